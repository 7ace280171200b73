"""What a question reads of an explained run: its contributions, and what its people are."""

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
    """Columns of the contributions that say something of a step."""
    return [
        name
        for name in columns(run, "contributions")
        if name in METHODS or name.startswith(("occlusion", "selected"))
    ]


def usual_measure(run: Path) -> str:
    """Rank by Shapley values, which find planted words best, where they were computed."""
    return "shapley" if "shapley" in columns(run, "contributions") else "occlusion"


def contributions(run: Path, measures: Sequence[str], within: str | None) -> pd.DataFrame:
    """Read steps with some measures, ``selected`` where there is such, and a column of people.

    Raises
    ------
    ValueError : an unknown measure or column
    """
    known = measures_of(run)
    for name in measures:
        if name not in known:
            raise ValueError(f"by={name}: is not measured here. {did_you_mean(name, known)}")
    keys = [*SESSION_KEY, *MODEL_KEY, "group", "step", "word", "valence"]
    wanted = [*keys, *measures, *{"selected"}.intersection(known).difference(measures)]
    names = ", ".join(f'"{name}"' for name in wanted)
    table = read(run, "contributions", f"SELECT {names} FROM contributions")
    return with_column(run, table, within)


def with_column(run: Path, table: pd.DataFrame, within: str | None) -> pd.DataFrame:
    """Add a column of people (gender) from the predictions, where the table does not have it."""
    if within is None or within in table:
        return table
    known = columns(run, "predictions")
    if within not in known:
        raise ValueError(f"within={within}: is no column. {did_you_mean(within, known)}")
    people = read(
        run, "predictions", f'SELECT DISTINCT corpus, subject, session, "{within}" FROM predictions'
    )
    return table.merge(people, on=SESSION_KEY, how="left")


def cautions(run: Path, within: str | None) -> list[str]:
    """What a reader of a difference between the groups must know besides."""
    if within is not None or not (run / "predictions.parquet").is_file():
        return []
    if "gender" not in columns(run, "predictions"):
        return []
    people = read(
        run,
        "contributions",
        'SELECT DISTINCT corpus, subject, session, "group" FROM contributions '
        'WHERE "group" IS NOT NULL',
    )
    caution = uneven_gender(with_column(run, people, "gender"))
    return [] if caution is None else [caution]


def check_name(run: Path, column: str, value: str, subject: str) -> None:
    """Refuse a value that no row has, and name those near to it."""
    where = "WHERE subject = ?" if subject else ""
    names = read(
        run,
        "contributions",
        f"SELECT DISTINCT {column} AS name FROM contributions {where} ORDER BY name",
        [subject] if subject else [],
    )["name"].tolist()
    if value not in names:
        near = difflib.get_close_matches(value, names, n=3, cutoff=0.5) or names[:3]
        of = f" of {subject}" if subject else ""
        raise ValueError(
            f"{column} {value!r}{of} was not explained; there are {len(names)}, e.g. "
            f"{', '.join(near)}"
        )
