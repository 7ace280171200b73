"""Words of the transcripts that occur in the sessions of one class only.

A transcript can state the label: a prompt of the interviewer that only patients hear, a heading of
the table, a word list that one class reads. Every word and every pair of neighbouring words is
tested for its presence in the texts of a subject with Fisher's exact test; pairs also find another
order of the same words. The p value of the strongest one is multiplied by the number of words that
could have a small p value, given in how many subjects they occur.

References
----------
Tarone, "A modified Bonferroni method for discrete data", Biometrics 46(2), 1990.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse, stats
from scipy.special import gammaln

from depmm.audit.associations import Association
from depmm.errors import abbreviate
from depmm.schemas.manifest import SUBJECT_KEY

TOKEN = r"[぀-ヿ㐀-鿿]|\w+"  # languages without spaces: a character is a word
_MIN_SUBJECTS = 2  # in whose texts a word occurs
_N_EXACT = 20  # words with the largest phi of which the exact p value is computed
_SHOWN = 8  # words with the same subjects in a description
_ALPHA = 0.05


def subject_texts(steps: pd.DataFrame) -> pd.Series:
    """Join the texts of the steps of each subject.

    Parameters
    ----------
    steps : DataFrame
        Steps of a manifest.

    Returns
    -------
    Series of str
        Texts in the order of sessions and steps, with the index (corpus, subject).
    """
    spoken = steps[steps["text"].notna()]
    return spoken.groupby(SUBJECT_KEY)["text"].agg(" ".join)


def associate_words(texts: pd.Series, labels: pd.Series) -> Association | None:
    """Test the words of the texts of each subject.

    Parameters
    ----------
    texts : Series of str, shape (subjects,)
        Text of each subject; missing without a text.
    labels : Series, shape (subjects,)
        1, 0, or NaN, with the same index.

    Returns
    -------
    Association or None
        The word with the largest phi coefficient, with the p value of all words; None if no word
        occurs in the texts of a part of the subjects.
    """
    known = texts.notna() & labels.notna()
    positive = labels[known].to_numpy(float) == 1
    n_subjects, n_positive = len(positive), int(positive.sum())
    if not 0 < n_positive < n_subjects:
        return None
    words, present = _count_words(texts[known])
    totals = np.asarray(present.sum(0)).ravel()
    varying = (totals >= _MIN_SUBJECTS) & (totals <= n_subjects - _MIN_SUBJECTS)
    if not varying.any():
        return None
    words, totals = words[varying], totals[varying]
    counts = np.asarray(present[:, varying][positive].sum(0)).ravel()
    n_tests = _count_tests(totals, n_positive, n_subjects)
    deviation = counts - totals * n_positive / n_subjects
    scale = np.sqrt(totals * (n_subjects - totals) * n_positive * (n_subjects - n_positive))
    phi = n_subjects * deviation / scale
    best = np.argsort(-np.abs(phi), kind="stable")[:_N_EXACT]
    p_values = [_fisher(counts[k], totals[k], n_positive, n_subjects) for k in best]
    chosen = best[int(np.argmin(p_values))]
    same = np.flatnonzero((counts == counts[chosen]) & (totals == totals[chosen]))
    named = abbreviate([repr(word) for word in words[same]], _SHOWN)
    return Association(
        f"{named} in the texts of {counts[chosen]} of {n_positive} "
        f"positive subjects and {totals[chosen] - counts[chosen]} of {n_subjects - n_positive} "
        f"negative subjects; {len(words)} words and pairs of words were tested",
        "phi",
        float(phi[chosen]),
        min(1.0, min(p_values) * n_tests),
    )


def _count_words(texts: pd.Series) -> tuple[NDArray[np.object_], sparse.csc_matrix]:
    """List words and pairs of words, and mark in whose texts they are."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(binary=True, ngram_range=(1, 2), token_pattern=TOKEN)
    try:
        present = vectorizer.fit_transform(texts.tolist())
    except ValueError:  # no text has a word
        return np.array([], dtype=object), sparse.csc_matrix((len(texts), 0), dtype=int)
    return vectorizer.get_feature_names_out(), present.tocsc()


def _fisher(count: int, total: int, n_positive: int, n_subjects: int) -> float:
    rest = n_positive - count
    table = [[count, total - count], [rest, n_subjects - n_positive - (total - count)]]
    return float(stats.fisher_exact(table).pvalue)


def _count_tests(totals: NDArray[np.int64], n_positive: int, n_subjects: int) -> int:
    """Count the words to correct for: the smallest k such that k words can have p <= alpha / k."""

    def log_choose(n: NDArray[np.int64] | int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            value = gammaln(np.add(n, 1)) - gammaln(k + 1) - gammaln(np.subtract(n, k) + 1)
        return np.where((k >= 0) & (k <= n), value, -np.inf)

    # the most extreme tables: as many, or as few, positive subjects as possible use the word
    most = np.minimum(totals, n_positive)
    least = np.maximum(0, totals - (n_subjects - n_positive))
    norm = log_choose(n_subjects, totals)
    smallest = [
        log_choose(n_positive, k) + log_choose(n_subjects - n_positive, totals - k) - norm
        for k in (most, least)
    ]
    log_p = np.sort(np.minimum(*smallest))
    possible = np.arange(1, len(log_p) + 1)
    limits = np.log(_ALPHA / possible)
    n_possible = np.searchsorted(log_p, limits, side="right")
    return int(possible[n_possible <= possible][0])
