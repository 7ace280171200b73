"""What a question reads of an explained run: its attributions, and what its people are."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from depmm.corpora.manifest import SESSION_KEY
from depmm.errors import did_you_mean
from depmm.interpret.query.confounds import uneven_gender
from depmm.interpret.query.misclassified import MODEL_KEY
from depmm.interpret.query.sql import columns, read

METHODS = ("permutation", "integrated_gradients", "shapley")


def measures_of(run: Path) -> list[str]:
    """Columns of the attributions that say something of a step."""
    return [
        name
        for name in columns(run, "attributions")
        if name in METHODS or name.startswith(("occlusion", "selected"))
    ]


def usual_measure(run: Path) -> str:
    """Rank by Shapley values, which find planted words best, where they were computed."""
    return "shapley" if "shapley" in columns(run, "attributions") else "occlusion"


def attributions(run: Path, measures: Sequence[str], stratify_by: str | None) -> pd.DataFrame:
    """Read steps with some measures, ``selected`` where there is such, and a column of people.

    Raises
    ------
    ValueError : an unknown measure or column
    """
    known = measures_of(run)
    for name in measures:
        if name not in known:
            raise ValueError(f"rank_by={name}: is not measured here. {did_you_mean(name, known)}")
    keys = [*SESSION_KEY, *MODEL_KEY, "label", "step", "word", "valence"]
    wanted = [*keys, *measures, *{"selected"}.intersection(known).difference(measures)]
    names = ", ".join(f'"{name}"' for name in wanted)
    table = read(run, "attributions", f"SELECT {names} FROM attributions")
    return with_column(run, table, stratify_by)


def with_column(run: Path, table: pd.DataFrame, stratify_by: str | None) -> pd.DataFrame:
    """Add a column of people (gender) from the predictions, where the table does not have it."""
    if stratify_by is None or stratify_by in table:
        return table
    known = columns(run, "predictions")
    if stratify_by not in known:
        raise ValueError(
            f"stratify_by={stratify_by}: is no column. {did_you_mean(stratify_by, known)}"
        )
    people = read(
        run,
        "predictions",
        f'SELECT DISTINCT corpus, subject, session, "{stratify_by}" FROM predictions',
    )
    return table.merge(people, on=SESSION_KEY, how="left")


def cautions(run: Path, stratify_by: str | None) -> list[str]:
    """What a reader of a difference between the groups must know besides."""
    if stratify_by is not None or not (run / "predictions.parquet").is_file():
        return []
    if "gender" not in columns(run, "predictions"):
        return []
    people = read(
        run,
        "attributions",
        "SELECT DISTINCT corpus, subject, session, label FROM attributions WHERE label IS NOT NULL",
    )
    caution = uneven_gender(with_column(run, people, "gender"))
    return [] if caution is None else [caution]


def check_name(run: Path, column: str, value: str, subject: str) -> None:
    """Refuse a value that no row has, and name those near to it."""
    where = "WHERE subject = ?" if subject else ""
    names = read(
        run,
        "attributions",
        f"SELECT DISTINCT {column} AS name FROM attributions {where} ORDER BY name",
        [subject] if subject else [],
    )["name"].tolist()
    if value not in names:
        near = difflib.get_close_matches(value, names, n=3, cutoff=0.5) or names[:3]
        of = f" of {subject}" if subject else ""
        raise ValueError(
            f"{column} {value!r}{of} was not explained; there are {len(names)}, e.g. "
            f"{', '.join(near)}"
        )
