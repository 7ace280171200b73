"""Which words separate the groups: effect, permutation test over people, false discovery rate."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from depmm.corpora.manifest import PERSON_KEY


def words_by_group(
    steps: pd.DataFrame, measure: str = "contribution", permutations: int = 5000, seed: int = 0
) -> pd.DataFrame:
    """Rank words by how differently they act in the two groups.

    A person who read a word more than once counts once, with the mean. Labels are permuted between
    people, and every word is tested with the same permutations.

    Parameters
    ----------
    steps : one row a step that was read: corpus, subject, ``y_true`` (0 or 1), ``word``,
        ``valence`` and the measure
    measure : column that is compared
    permutations : of the labels; the smallest possible p is 1 / (permutations + 1)
    seed : of the permutations

    Returns
    -------
    one row a word, strongest effect first: ``word``, ``valence``, ``n_positive``, ``n_negative``
    (people), ``mean_positive``, ``mean_negative``, ``effect`` (difference of means in pooled
    standard deviations, Cohen's d), ``p`` (two-sided) and ``q`` (Benjamini-Hochberg)

    Raises
    ------
    ValueError : no words, or people of one group only
    """
    steps = steps.dropna(subset=["word", "y_true", measure])
    if steps.empty:
        raise ValueError(
            "no step has a word: this question needs a corpus whose steps carry text "
            "(steps.parquet)"
        )
    table = steps.pivot_table(index=[*PERSON_KEY, "y_true"], columns="word", values=measure)
    positive = table.index.get_level_values("y_true").to_numpy(dtype=int) == 1
    if positive.all() or not positive.any():
        raise ValueError(
            f"all {len(positive)} people are of one group: words cannot separate groups. Explain "
            "sessions of both groups."
        )
    values = table.to_numpy(dtype=float)
    rng = np.random.default_rng(seed)
    # one row a permutation; the first is what was observed
    labels = np.stack([positive, *(rng.permutation(positive) for _ in range(permutations))])
    effects = _effect(values, labels)
    extreme = np.abs(effects[1:]) >= np.abs(effects[0]) - 1e-12
    p = (extreme.sum(0) + 1) / (permutations + 1)
    known = np.isfinite(effects[0])
    p = np.where(known, p, np.nan)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known], method="bh")
    valence = steps.groupby("word")["valence"].first()
    with np.errstate(invalid="ignore"):
        result = pd.DataFrame(
            {
                "word": table.columns,
                "valence": valence.reindex(table.columns).to_numpy(),
                "n_positive": np.isfinite(values[positive]).sum(0),
                "n_negative": np.isfinite(values[~positive]).sum(0),
                "mean_positive": table[positive].mean().to_numpy(),
                "mean_negative": table[~positive].mean().to_numpy(),
                "effect": effects[0],
                "p": p,
                "q": q,
            }
        )
    order = result["effect"].abs().sort_values(ascending=False, kind="stable", na_position="last")
    return result.loc[order.index].reset_index(drop=True)


def _effect(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cohen's d of every word under every labelling.

    Parameters
    ----------
    values : [people, words], nan where a person did not read a word
    labels : [labellings, people] bool

    Returns
    -------
    [labellings, words]; nan where a group has fewer than two people with the word
    """
    read = np.isfinite(values)
    filled = np.where(read, values, 0.0)

    def moments(member: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weight = member.astype(float)
        n = weight @ read
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weight @ filled) / n
            square = (weight @ filled**2) - n * mean**2
        return n, mean, square

    n1, mean1, square1 = moments(labels)
    n0, mean0, square0 = moments(~labels)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = np.sqrt(np.maximum(square1 + square0, 0) / (n1 + n0 - 2))
        effect = (mean1 - mean0) / pooled
    return np.where((n1 > 1) & (n0 > 1) & (pooled > 0), effect, np.nan)
