"""Compare two sets of measures on parts of RAVDESS in which intensity and class are not mixed.

    python experiments/benchmarks/ravdess_conditions.py OUT --ravdess DIR [--record]

Neutral utterances have one intensity, the other emotions two. Both configs are cross-validated
without neutral sessions, and with utterances of normal intensity alone, on the partitions of the
table ``ravdess_measures``. The script can be interrupted: finished folds are kept.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depmm.multiple_testing import holm
from experiments.benchmarks.table_definitions import PARTITIONS, PARTITIONS_DRAWN, Row, Table
from experiments.benchmarks.tables import find_difference, measure, prepare
from experiments.results import interval, publish
from experiments.results_source import describe_origin

NAME = "ravdess_conditions"
CONDITIONS = {
    "without neutral, in training and test": "target.negative=[calm,happy]",
    "utterances of normal intensity": "data.steps.task=[normal]",
}
MEASURES = {"MFCC and pitch": "ravdess_sad_mfcc_pitch", "eGeMAPS": "ravdess_sad_egemaps"}
FIRST, SECOND = MEASURES["eGeMAPS"], MEASURES["MFCC and pitch"]
INTERVAL = (
    "95 % over subjects: AUROC by Newcombe; differences: 95 % of the paired difference over "
    "subjects; p by permutation within subjects, adjusted (Holm) for the rows"
)


def list_tables() -> dict[str, Table]:
    """List the configs of each condition, by the sessions that are used."""
    return {
        condition: Table(
            "ravdess",
            tuple(Row(config, (*PARTITIONS, setting)) for config in MEASURES.values()),
            ((FIRST, SECOND),),
            "",
            ("auroc",),
        )
        for condition, setting in CONDITIONS.items()
    }


def make_rows(found: dict[str, tuple[dict[str, Any], Any]]) -> list[dict[str, Any]]:
    """Make the rows of the results file.

    Parameters
    ----------
    found : dict of str to (dict, DataFrame)
        Metrics and differences of each condition, from ``tables.measure``.
    """
    rows = []
    for condition, (contents, differences) in found.items():
        row: dict[str, Any] = {
            "sessions": condition,
            "number of sessions": contents[FIRST]["counts"]["test"]["sessions"],
        }
        for label, config in MEASURES.items():
            metric = contents[config]["metrics"]["auroc"]
            row[label] = interval(metric["value"], metric["ci_low"], metric["ci_high"])
        difference, p = find_difference(differences, "auroc", FIRST, SECOND)
        rows.append(row | {"eGeMAPS minus MFCC and pitch": difference, "p": p})
    adjusted = holm([row["p"] for row in rows])
    return [row | {"p": float(p)} for row, p in zip(rows, adjusted, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both conditions.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--ravdess", type=Path, help="speech recordings of RAVDESS")
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args(arguments)
    base = options.out.absolute()
    prepare("ravdess", base, options.ravdess and options.ravdess.absolute())
    found, trained = {}, list[Path]()
    for number, (condition, table) in enumerate(list_tables().items()):
        folder = f"{NAME}_{number}"
        found[condition] = measure(folder, table, base)
        trained += [base / "runs" / folder / row.name for row in table.rows]
    publish(
        NAME,
        make_rows(found),
        options.record,
        command=f"python experiments/benchmarks/{NAME}.py OUT --ravdess RAVDESS --record",
        seeds=PARTITIONS_DRAWN,
        interval=INTERVAL,
        origin=describe_origin(trained),
    )


if __name__ == "__main__":
    main()
