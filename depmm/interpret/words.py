"""Which words separate the groups: effect, permutation test over people, false discovery rate."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from depmm.corpora.manifest import PERSON_KEY


def words_by_group(
    steps: pd.DataFrame, measure: str = "occlusion", permutations: int = 5000, seed: int = 0
) -> pd.DataFrame:
    """Rank words by how differently they act in the two groups.

    A person who read a word more than once counts once, with the mean. Labels are permuted between
    people, and every word is tested with the same permutations; those that leave a group with fewer
    than two readers of a word say nothing about it.

    Parameters
    ----------
    steps : one row a step that was read: corpus, subject, ``group`` (0 or 1), ``word``,
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
    ValueError : no words, people of one group only, or scores instead of groups
    """
    if steps["group"].isna().all():
        raise ValueError(
            "group is empty, the sessions have scores: ask this of a run with task.kind binary"
        )
    steps = steps.dropna(subset=["word", "group", measure])
    if steps.empty:
        raise ValueError(
            "no step has a word: this question needs a corpus whose steps carry text "
            "(steps.parquet)"
        )
    table = steps.pivot_table(index=[*PERSON_KEY, "group"], columns="word", values=measure)
    positive = table.index.get_level_values("group").to_numpy(dtype=int) == 1
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
    extreme = np.abs(effects[1:]) >= np.abs(effects[0]) * (1 - 1e-9)
    p = (extreme.sum(0) + 1) / ((~np.isnan(effects[1:])).sum(0) + 1)
    known = ~np.isnan(effects[0])
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
    [labellings, words]; infinite where the groups differ and nobody differs within; nan where a
    group has fewer than two people with the word, or all people read it alike
    """
    read = np.isfinite(values).astype(float)
    count = np.maximum(read.sum(0), 1)
    # around the mean of everybody: squares of large values would drown small differences
    centred = np.where(read > 0, values - np.nansum(values, axis=0) / count, 0.0)
    total = (centred**2).sum(0)
    differs = total > 1e-24 * np.nansum(values**2, axis=0)  # by more than rounding
    n1, n0 = labels @ read, ~labels @ read
    with np.errstate(invalid="ignore", divide="ignore"):
        mean1, mean0 = (labels @ centred) / n1, (~labels @ centred) / n0
        within = total - n1 * mean1**2 - n0 * mean0**2
        pooled = np.sqrt(np.where(within > 1e-12 * total, within, 0.0) / (n1 + n0 - 2))
        effect = (mean1 - mean0) / pooled
    return np.where((n1 > 1) & (n0 > 1) & differs, effect, np.nan)
