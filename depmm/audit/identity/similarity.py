"""Decide from embeddings which ids may belong to one subject, and which id to several.

Cosine similarities of voices depend on room, microphone, gender and amount of speech, and those of
faces on camera, light and pose, so that no threshold fits every corpus. All cuts are therefore
relative to the corpus itself: to the next nearest subject, as in Lowe's ratio test, and to the
similarity of two halves of one subject.

References
----------
Lowe, "Distinctive image features from scale-invariant keypoints", International Journal of Computer
Vision 60(2), 2004, section 7.1 (ratio of the distances to the nearest and the second nearest).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from depmm.audit.identity.session_embeddings import SessionEmbeddings, unit
from depmm.schemas.manifest import SUBJECT_KEY

# The two cuts were chosen with recordings of Emo-DB and RAVDESS, see docs/how-to/identity.md
MIN_RATIO = 2.0  # distance to the next nearest subject / distance of the pair
MAX_DEFICIT = 0.03  # mean similarity of the own halves - similarity of the halves of the pair
MIN_SUBJECTS = 5  # fewer do not show what is usual in a corpus
_BLOCK = 512  # rows of the matrix of similarities that are in memory at once

SubjectKey = tuple[str, str]  # corpus, subject


@dataclass(frozen=True)
class SubjectEmbeddings:
    """Two vectors per subject.

    Attributes
    ----------
    keys : list of tuple of str
        Subjects, (corpus, subject).
    halves : ndarray, shape (n, 2, D)
        Embeddings of two halves of the recordings of each subject, of length 1.
    """

    keys: list[SubjectKey]
    halves: np.ndarray


@dataclass(frozen=True)
class SimilarPair:
    """Two ids of which each is the most similar one to the other.

    Attributes
    ----------
    first, second : tuple of str
        The subjects, (corpus, subject).
    similarity : float
        Cosine similarity of the two.
    ratio : float
        Distance to the next nearest subject divided by the distance of the pair; distances are 1 -
        similarity.
    deficit : float
        Mean similarity of the halves of each minus that of the halves of the two.
    """

    first: SubjectKey
    second: SubjectKey
    similarity: float
    ratio: float
    deficit: float


@dataclass(frozen=True)
class DividedSubject:
    """A subject whose sessions have two different voices or faces.

    Attributes
    ----------
    subject : tuple of str
        The subject, (corpus, subject).
    part : tuple of str
        Ids of the sessions of the smaller part.
    similarity : float
        Cosine similarity of the two parts.
    usual : float
        Smallest similarity of the two parts of another subject of the corpus.
    """

    subject: SubjectKey
    part: tuple[str, ...]
    similarity: float
    usual: float


def embed_subjects(embeddings: SessionEmbeddings) -> SubjectEmbeddings:
    """Join the sessions of each subject.

    Parameters
    ----------
    embeddings : SessionEmbeddings
        Embeddings of sessions.

    Returns
    -------
    SubjectEmbeddings
        Subjects with the amount of ``per_subject``. The halves are every second session, or the
        halves of the only session.
    """
    keys: list[SubjectKey] = []
    halves: list[np.ndarray] = []
    for key, rows in embeddings.sessions.reset_index(drop=True).groupby(SUBJECT_KEY):
        if rows["amount"].sum() < embeddings.modality.per_subject:
            continue
        vectors = embeddings.halves[rows.index]
        pair = vectors[0]
        if len(vectors) > 1:
            pair = np.stack([vectors[part::2].sum(axis=(0, 1)) for part in (0, 1)])
        keys.append((str(key[0]), str(key[1])))
        halves.append(unit(pair))
    return SubjectEmbeddings(keys, np.array(halves))


def similar_pairs(subjects: SubjectEmbeddings) -> list[SimilarPair]:
    """Find pairs of subjects that are as similar as the halves of one subject.

    A pair is reported if each is the nearest of the other, if the distance to the next nearest
    subject of both is at least twice the distance of the pair, and if the halves of the two are at
    most 0.03 less similar than the halves of one.

    Parameters
    ----------
    subjects : SubjectEmbeddings
        At least 5 subjects; fewer give no pair.

    Returns
    -------
    list of SimilarPair
        The pairs, in the order of the subjects.
    """
    return [
        pair
        for pair in nearest_pairs(subjects)
        if pair.ratio >= MIN_RATIO and pair.deficit <= MAX_DEFICIT
    ]


def nearest_pairs(subjects: SubjectEmbeddings) -> list[SimilarPair]:
    """List the pairs of subjects of which each is the nearest of the other.

    Parameters
    ----------
    subjects : SubjectEmbeddings
        At least 5 subjects; fewer give no pair.

    Returns
    -------
    list of SimilarPair
        The pairs, in the order of the subjects.
    """
    n = len(subjects.keys)
    if n < MIN_SUBJECTS:
        return []
    sums = subjects.halves.sum(axis=1)
    nearest, best, second = _two_nearest(unit(sums))
    own = (subjects.halves[:, 0] * subjects.halves[:, 1]).sum(axis=1)
    pairs = []
    for i in range(n):
        j = int(nearest[i])
        if j <= i or nearest[j] != i:
            continue
        ratio = (1 - max(second[i], second[j])) / max(1e-6, 1 - best[i])
        deficit = (own[i] + own[j]) / 2 - sums[i] @ sums[j] / 4
        keys = subjects.keys[i], subjects.keys[j]
        pairs.append(SimilarPair(*keys, float(best[i]), float(ratio), float(deficit)))
    return pairs


def divided_subjects(embeddings: SessionEmbeddings) -> list[DividedSubject]:
    """Find subjects whose sessions have two different voices or faces.

    The sessions of every subject are divided into the two parts that differ most (average linkage).
    A subject is reported if the distance of its parts is at least twice the largest distance of the
    other subjects of the corpus, and if another subject is nearer to one of the parts than the
    other part is.

    Parameters
    ----------
    embeddings : SessionEmbeddings
        Embeddings of sessions. Those with less than ``per_session`` are not used.

    Returns
    -------
    list of DividedSubject
        The subjects, in order; none of a corpus with fewer than 5 subjects with several sessions.
    """
    embeddings = embeddings.long_sessions()
    table = embeddings.sessions
    vectors = unit(embeddings.halves.sum(axis=1))
    subjects: list[tuple[Any, Any]] = list(table.groupby(SUBJECT_KEY).groups.items())
    if not subjects:
        return []
    means = unit(np.array([vectors[rows].mean(axis=0) for _, rows in subjects]))
    found = []
    for corpus in sorted(set(table["corpus"])):
        parts = {
            index: _halve(vectors[rows])
            for index, (key, rows) in enumerate(subjects)
            if key[0] == corpus and len(rows) > 1
        }
        if len(parts) < MIN_SUBJECTS:
            continue
        distances = {
            index: 1 - float(first @ second) for index, (_, first, second) in parts.items()
        }
        for index, (in_second, first, second) in parts.items():
            others = np.delete(means, index, axis=0)
            usual = max(d for other, d in distances.items() if other != index)
            nearest = max(float((others @ part).max()) for part in (first, second))
            if distances[index] >= MIN_RATIO * usual and nearest > 1 - distances[index]:
                key, rows = subjects[index]
                minority = in_second if in_second.mean() <= 0.5 else ~in_second
                names = tuple(table.loc[rows[minority], "session"])
                similarity = 1 - distances[index]
                found.append(DividedSubject((key[0], key[1]), names, similarity, 1 - usual))
    return found


def _two_nearest(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find index and similarity of the nearest, and the similarity of the second nearest vector."""
    nearest, best, second = [], [], []
    for start in range(0, len(vectors), _BLOCK):
        similarity = vectors[start : start + _BLOCK] @ vectors.T
        rows = np.arange(len(similarity))
        similarity[rows, rows + start] = -np.inf
        largest = np.partition(similarity, -2, axis=1)
        nearest.append(similarity.argmax(axis=1))
        best.append(largest[:, -1])
        second.append(largest[:, -2])
    return np.concatenate(nearest), np.concatenate(best), np.concatenate(second)


def _halve(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide vectors in two parts: membership of the second, and the mean of both."""
    from sklearn.cluster import AgglomerativeClustering

    labels = AgglomerativeClustering(2, metric="cosine", linkage="average").fit_predict(vectors)
    return (
        labels == 1,
        unit(vectors[labels == 0].mean(axis=0)),
        unit(vectors[labels == 1].mean(axis=0)),
    )
