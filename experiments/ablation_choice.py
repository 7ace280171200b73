"""Compare the chosen parts of DEP-Former with the full model, on corpora of their own.

    python experiments/ablation_choice.py OUT [--jobs 2] [--record]

The study (``ablations.py``) uses the corpora of seeds 0 to 19. The parts of the config
``dep_former_few_subjects`` were chosen by its table ``ablations_150``, whose differences are
therefore too favourable for the choice. Here both are trained on corpora of other seeds, with 150
training subjects, and so are the unimodal halves of the choice: voice and face alone, with the
chosen parts. Each training is one file in ``OUT``; the same command continues.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.multiple_testing import holm
from experiments.ablation_tables import (
    CHOSEN_SUM,
    CHOSEN_UNIMODAL,
    compare_pairs,
    read_origin,
    read_results,
)
from experiments.ablations import CHOICE, Study, train_all
from experiments.results import publish

DESIGNS = ("additive", "congruence", "retrieval", "salience", "suppression")
SUBJECTS, EPOCHS = 150, 25
FIRST_SEED, N_SEEDS = 20, 10
VARIANTS = ("full", CHOICE, *CHOSEN_UNIMODAL)
COMPARED = {"less all parts": "full", "less sum of its halves": CHOSEN_SUM}


def list_trainings() -> list[Study]:
    """List all trainings, seed by seed."""
    return [
        Study(design, SUBJECTS, seed, variant, EPOCHS)
        for seed in range(FIRST_SEED, FIRST_SEED + N_SEEDS)
        for design in DESIGNS
        for variant in VARIANTS
    ]


def compare(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Compare the choice with the full model and with the sum of its unimodal halves.

    Parameters
    ----------
    results : DataFrame
        From `read_results`.

    Returns
    -------
    list of dict
        Column -> value, a row per design.
    """
    rows: list[dict[str, Any]] = []
    tests: dict[str, list[float]] = {column: [] for column in COMPARED}
    for design, group in results.groupby("design"):
        auroc = group.pivot_table("auroc", "seed", "variant").dropna()
        row: dict[str, Any] = {"design": design, "corpora": len(auroc)}
        row |= {
            "Bayes classifier": float(pd.DataFrame(group["bayes"].tolist())["both"].mean()),
            "all parts": float(auroc["full"].mean()),
            "all parts, lowest": float(auroc["full"].min()),
            "chosen parts": float(auroc[CHOICE].mean()),
            "chosen parts, lowest": float(auroc[CHOICE].min()),
        }
        for column, other in COMPARED.items():
            row[column], p = compare_pairs(auroc[CHOICE], auroc[other])
            tests[column].append(p)
        rows.append(row)
    for column, p_values in tests.items():
        for row, p in zip(rows, holm(p_values), strict=True):
            row[f"p, {column}"] = float(p)
    return rows


def main() -> None:
    """Train, and print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="write the results file")
    arguments = parser.parse_args()
    train_all(arguments.out, list_trainings(), arguments.jobs)
    results = read_results(arguments.out)
    publish(
        "ablation_choice",
        compare(results[results["seed"] >= FIRST_SEED]),
        arguments.record,
        command="python experiments/ablation_choice.py OUT --record",
        seeds=list(range(FIRST_SEED, FIRST_SEED + N_SEEDS)),
        interval="95 % t interval of the paired difference over corpora; p of the paired t test, "
        "adjusted over the designs (Holm)",
        notes=f"{SUBJECTS} training subjects. In `additive`, all models have the tokens of all "
        "positions. The halves, voice alone and face alone, have the chosen parts.",
        origin=read_origin(arguments.out),
    )


if __name__ == "__main__":
    main()
