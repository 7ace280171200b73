"""Pairs of corpora with equal numbers: different subjects, and the same subjects.

    python experiments/benchmarks/statistics/audit_same_subjects.py [PAIRS]

Subjects of both corpora have the numbers 1 to n. Each corpus assigns them in one of four ways: at
random, sorted by label, with alternating labels and genders, or in order of age. The check asks
whether they are the same subjects if its p value is below .005. Default: 400 pairs.
"""

import sys

import numpy as np
import pandas as pd

from depmm.audit.same_subjects import compare_values

ALPHA = 0.005
NUMBERINGS = ("random", "label", "alternating", "age")


def sample_subjects(
    n_subjects: int, rng: np.random.Generator, columns: str = "all"
) -> pd.DataFrame:
    """Sample subjects in the order of their numbers."""
    label = (rng.random(n_subjects) < rng.uniform(0.3, 0.6)).astype(float)
    score = np.where(label == 1, rng.integers(10, 25, n_subjects), rng.integers(0, 10, n_subjects))
    table = pd.DataFrame(
        {
            "score": score.astype(float),
            "age": rng.integers(18, rng.integers(26, 66), n_subjects).astype(float),
            "label": label,
            "gender": rng.choice(["female", "male"], n_subjects),
        }
    )
    numbering = rng.choice(NUMBERINGS)
    if numbering in ("label", "age"):
        table = table.sort_values(str(numbering), ignore_index=True)
    if numbering == "alternating":
        order = np.argsort(label, kind="stable")
        halves = np.array_split(order, 2)
        woven = [index for pair in zip(*halves, strict=False) for index in pair]
        table = table.loc[woven + [k for k in order if k not in woven]].reset_index(drop=True)
        table["gender"] = np.where(np.arange(n_subjects) % 2, "male", "female")
    for name in {"scores": ["age", "gender"], "ages": ["score"]}.get(columns, []):
        table[name] = np.nan
    return table


def sample_pair(
    seed: int, n_subjects: int, same: float = 0.0, columns: str = "all"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sample two corpora; a share of the subjects with equal numbers is the same."""
    rng = np.random.default_rng([seed, n_subjects])
    first, second = (sample_subjects(n_subjects, rng, columns) for _ in range(2))
    copied = rng.random(n_subjects) < same
    second = second.astype({"gender": object})
    second.loc[copied] = first.loc[copied]
    return first, second


def asks(seed: int, n_subjects: int, same: float = 0.0, columns: str = "all") -> bool:
    """Check whether the audit would ask about a pair."""
    tested = compare_values(*sample_pair(seed, n_subjects, same, columns))
    return tested is not None and tested[1] < ALPHA


def main(arguments: list[str]) -> None:
    """Print in what share of the pairs the audit asks."""
    n_pairs = int(arguments[0]) if arguments else 400
    for same, columns in ((0.0, "all"), (0.0, "scores"), (1.0, "all"), (1.0, "scores"),
                          (1.0, "ages"), (0.5, "all"), (0.25, "all")):  # fmt: skip
        shares = {
            n: float(np.mean([asks(seed, n, same, columns) for seed in range(n_pairs)]))
            for n in (8, 12, 20, 50, 150)
        }
        print(f"{same:.0%} the same, {columns}: {shares}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
