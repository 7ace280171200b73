"""Simulated corpora of feature rows with planted words, in memory or in files.

48 subjects read 12 words, six of which are planted. The bluntness of ``depmm simulate`` raises two
features of the voice and two of the face by one standard deviation per unit and lowers two others,
at ten rows per second.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.config import TRACKS
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.simulation.participants import DEPRESSED, DIAGNOSES, HEALTHY
from depmm.simulation.reading_list import (
    BALANCED,
    INTERACTING,
    ONE_SIDED,
    Step,
    read_word_lists,
    sample_reading_list,
)
from depmm.simulation.word_reading import SimulatedSubject, sample_subjects

N_WORDS, N_SUBJECTS = 12, 48
LOADINGS = np.array([1.0, 1.0, -1.0, -1.0])  # of bluntness on features, standard deviations
ROWS_PER_WORD = 10  # 1 s
CORPUS, VISIT = "planted_words", "1"
GENDER_SHARE, GENDER_SHIFT = 0.85, 1.5
STRETCH = 1.5


@dataclass(frozen=True)
class Design:
    """Effects and confounders that are planted in a corpus.

    Attributes
    ----------
    pattern : {"balanced", "one_sided", "interacting"}
        As in ``depmm simulate --pattern``.
    effect : float
        Additional bluntness of planted words.
    gender : bool
        Whether 85 % of the depressed and 15 % of the healthy subjects are women, whose features
        differ in half of the words by 1.5 standard deviations.
    stretch : float
        Factor of the duration of all words of depressed subjects.
    """

    pattern: str = BALANCED
    effect: float = 0.0
    gender: bool = False
    stretch: float = 1.0


DESIGNS = {
    BALANCED: Design(effect=1.0),
    ONE_SIDED: Design(ONE_SIDED, effect=1.0),
    INTERACTING: Design(INTERACTING, effect=1.0),
    "null": Design(),
    "gender": Design(gender=True),
    "duration": Design(stretch=STRETCH),
}


@dataclass(frozen=True)
class Corpus:
    """Feature rows of a corpus.

    Attributes
    ----------
    reading : list of Step
        The reading list with the planted words.
    subjects : list of SimulatedSubject
        Subjects in the order of their ids.
    features : dict of str to list of ndarray of float32, shape (rows, 4)
        Feature rows of each subject, for each modality.
    rows : list of int
        Rows of a word, for each subject.
    """

    reading: list[Step]
    subjects: list[SimulatedSubject]
    features: dict[str, list[NDArray[np.float32]]]
    rows: list[int]


def sample_corpus(design: Design, n_subjects: int, seed: int) -> Corpus:
    """Sample the feature rows of a corpus.

    Parameters
    ----------
    design : Design
        What is planted.
    n_subjects : int
        Number of subjects.
    seed : int
        Seed of all random numbers.

    Returns
    -------
    Corpus
        The rows of all subjects.
    """
    lists = read_word_lists(ENGLISH_WORDS)
    words = np.random.default_rng((seed, 0))
    reading = sample_reading_list(N_WORDS, lists, words, design.pattern)
    subjects = sample_subjects(n_subjects, reading, seed, design.effect, design.pattern)
    if design.gender:
        subjects = _confound_gender(subjects, np.random.default_rng((seed, 1)))
    features: dict[str, list[NDArray[np.float32]]] = {name: [] for name in TRACKS}
    rows = []
    for subject in subjects:
        noise = np.random.default_rng((seed, subject.index, 3))
        stretch = design.stretch if subject.traits.diagnosis == DEPRESSED else 1.0
        rows.append(round(ROWS_PER_WORD * stretch))
        for modality in TRACKS:
            shift = np.repeat(subject.bluntness[modality], rows[-1])[:, None]
            values = noise.standard_normal((len(shift), len(LOADINGS))) + shift * LOADINGS
            features[modality].append(values.astype(np.float32))
    return Corpus(reading, subjects, features, rows)


def write_corpus(corpus: Corpus, out: Path) -> None:
    """Write a corpus in the layout of ``planted_words_spec.yaml``.

    Parameters
    ----------
    corpus : Corpus
        The corpus.
    out : Path
        The folder.
    """
    words, labels = [], []
    for index, (subject, rows) in enumerate(zip(corpus.subjects, corpus.rows, strict=True)):
        for modality, values in corpus.features.items():
            file = out / modality / f"{subject.subject}_{VISIT}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, values[index])
        for step, word in enumerate(corpus.reading):
            times = step * rows / ROWS_PER_WORD, (step + 1) * rows / ROWS_PER_WORD
            words.append((subject.subject, VISIT, step, *times, word.word, word.valence))
        traits = subject.traits
        labels.append((subject.subject, VISIT, traits.score, traits.gender, traits.age))
    columns = ["subject", "session", "step", "start_s", "end_s", "word", "valence"]
    pd.DataFrame(words, columns=columns).to_csv(out / "words.csv", index=False)
    columns = ["subject", "session", "score", "gender", "age"]
    pd.DataFrame(labels, columns=columns).to_csv(out / "labels.csv", index=False)


def _confound_gender(
    subjects: list[SimulatedSubject], rng: np.random.Generator
) -> list[SimulatedSubject]:
    """Make most depressed subjects women and most healthy ones men; women differ in some words."""
    shifted = rng.permutation(N_WORDS)[: N_WORDS // 2]
    result = []
    for diagnosis in (DEPRESSED, HEALTHY):
        majority, minority = ("female", "male")[:: 1 if diagnosis == DEPRESSED else -1]
        group = [subject for subject in subjects if subject.traits.diagnosis == diagnosis]
        in_majority = rng.permutation(len(group)) < round(GENDER_SHARE * len(group))
        for is_majority, subject in zip(in_majority, group, strict=True):
            gender = majority if is_majority else minority
            bluntness = {name: values.copy() for name, values in subject.bluntness.items()}
            if gender == "female":
                for values in bluntness.values():
                    values[shifted] += GENDER_SHIFT
            traits = replace(subject.traits, gender=gender)
            result.append(replace(subject, traits=traits, bluntness=bluntness))
    return sorted(result, key=lambda subject: subject.index)


def list_sessions(corpus: Corpus) -> pd.DataFrame:
    """List the sessions with the columns that a training needs.

    Parameters
    ----------
    corpus : Corpus
        The corpus.

    Returns
    -------
    DataFrame
        Columns corpus, subject, session, label, target and gender.
    """
    label = [DIAGNOSES.index(subject.traits.diagnosis) for subject in corpus.subjects]
    return pd.DataFrame(
        {
            "corpus": CORPUS,
            "subject": [subject.subject for subject in corpus.subjects],
            "session": [f"{subject.subject}_{VISIT}" for subject in corpus.subjects],
            "label": label,
            "target": label,
            "gender": [subject.traits.gender for subject in corpus.subjects],
        }
    )
