"""Splits and folds as CSV files, and the check that no subject is in two splits."""

import contextlib
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.corpora.stratified_assignment import SubjectKey
from depmm.corpora.tables.csv_files import read_csv
from depmm.corpora.tables.table_files import MAX_BYTES
from depmm.errors import DepmmError, abbreviate
from depmm.files.checksums import read_bytes
from depmm.files.writing import write_text
from depmm.schemas.manifest import FOLDS, SPLIT, SPLITS

MAX_NAMED = 20  # subjects in a message


class SplitError(DepmmError):
    """A split that cannot be built or is not valid."""


def check_disjoint(split: pd.DataFrame, needed: tuple[str, ...] = SPLITS) -> None:
    """Check that every subject is in exactly one split and that no split is empty.

    Parameters
    ----------
    split : DataFrame
        Columns corpus, subject, split; with a column fold, each fold is checked.
    needed : tuple of str, optional
        The splits that must not be empty.

    Raises
    ------
    SplitError
        If a column is missing, the folds are not 0, 1, 2, ..., a split is unknown or empty, or a
        subject is listed more than once.
    """
    if "fold" in split:
        folds = sorted(set(map(int, split["fold"])))
        if not folds or folds != list(range(len(folds))):
            raise SplitError(
                f"split: the folds are {folds[:20]}, not 0, 1, 2, ... Number them from 0.",
                column="fold",
                value=folds,
            )
        for fold, rows in split.groupby("fold"):
            try:
                check_disjoint(rows.drop(columns="fold"), needed)
            except SplitError as error:
                raise with_prefix(error, f"fold {fold}") from None
        return
    for column in SPLIT.names:
        if column not in split:
            raise SplitError(f"split: column {column!r} is missing. Add it.", column=column)
    unknown = sorted(set(split["split"].astype(str)) - set(SPLITS))
    if unknown:
        raise SplitError(
            f"split: {unknown[0]!r} is unknown. Use {', '.join(SPLITS)}.",
            column="split",
            value=unknown[0],
        )
    repeated = {
        subject: names for subject, names in splits_by_subject(split).items() if len(names) > 1
    }
    if repeated:
        raise SplitError(
            f"{len(repeated)} subjects appear more than once: {name_overlap(repeated)}. Keep each "
            "subject in one split.",
            subject=next(iter(repeated))[1],
        )
    if empty := [name for name in needed if name not in set(split["split"])]:
        raise SplitError(
            f"split: {empty[0]} is empty ({len(split)} subjects). Add subjects, or change folds or "
            "validation.",
            column="split",
            value=empty[0],
        )


def write_split(split: pd.DataFrame, path: Path | str) -> None:
    """Check one split or several folds and save them as CSV.

    Parameters
    ----------
    split : DataFrame
        Columns corpus, subject, split; with several folds also fold.
    path : Path or str
        The file; its folder is created if it does not exist.

    Raises
    ------
    SplitError
        As ``check_disjoint``.
    """
    text = format_split(split)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def format_split(split: pd.DataFrame) -> str:
    """Check one split or several folds and format them as CSV.

    Parameters
    ----------
    split : DataFrame
        Columns corpus, subject, split; with several folds also fold.

    Returns
    -------
    str
        The text of the file.

    Raises
    ------
    SplitError
        As ``check_disjoint``.
    """
    check_disjoint(split)
    schema = FOLDS if "fold" in split else SPLIT
    table = split[schema.names]
    schema.check(table)
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def read_split(path: Path | str, needed: tuple[str, ...] = SPLITS) -> pd.DataFrame:
    """Read and check a split that is saved as CSV; ids stay text (``01`` is not 1).

    Parameters
    ----------
    path : Path or str
        Columns corpus, subject, split; with several folds also fold.
    needed : tuple of str, optional
        The splits that must not be empty.

    Returns
    -------
    DataFrame
        Columns corpus, subject, fold (0 where the file has none), split.

    Raises
    ------
    SplitError
        If the file does not exist or is not CSV, and as ``check_disjoint``.
    """
    with contextlib.suppress(OSError):  # reading reports it
        read_bytes(Path(path), MAX_BYTES)  # compares the checksum
    names, rows = read_csv(path, SPLIT.names, SplitError)
    if "fold" in names:
        names, rows = read_csv(path, FOLDS.names, SplitError)
    columns = [name for name in FOLDS.names if name in names]
    places = [names.index(name) for name in columns]
    cells = [[row[place] for place in places] for _, row in rows]
    for (line, _), row in zip(rows, cells, strict=True):
        if "" in row:
            raise SplitError(
                f"{path}, line {line}: {columns[row.index('')]} is empty. Fill the cell, or remove "
                "the row.",
                file=path,
                line=line,
                column=columns[row.index("")],
                value="",
            )
    if not rows:
        raise SplitError(
            f"{path}: the table has no rows. Write one row per subject.", file=path, column="split"
        )
    split = pd.DataFrame(cells, columns=columns, dtype="str")
    if "fold" not in split:
        split["fold"] = "0"
    wrong = split["fold"][~split["fold"].str.fullmatch("[0-9]{1,9}")]
    if len(wrong):
        raise SplitError(
            f"{path}: fold is {wrong.iloc[0]!r}. Number the folds from 0.",
            file=path,
            column="fold",
            value=wrong.iloc[0],
        )
    split = split.astype({"fold": int})
    try:
        check_disjoint(split, needed)
    except SplitError as error:
        raise with_prefix(error, str(path), file=path) from None
    return split[FOLDS.names]


def splits_by_subject(table: pd.DataFrame) -> dict[SubjectKey, list[Any]]:
    """Collect the entries of the column split for each subject.

    Parameters
    ----------
    table : DataFrame
        Columns corpus, subject, split.

    Returns
    -------
    dict of tuple to list
        (corpus, subject) -> entries, sorted by subject.
    """
    splits: dict[SubjectKey, list[Any]] = {}
    for corpus, subject, name in zip(*(table[column] for column in SPLIT.names), strict=True):
        splits.setdefault((corpus, subject), []).append(name)
    return dict(sorted(splits.items()))


def name_overlap(overlap: dict[SubjectKey, list[str]]) -> str:
    """List subjects with their splits, for a message.

    Parameters
    ----------
    overlap : dict of tuple to list of str
        (corpus, subject) -> splits.

    Returns
    -------
    str
        The first subjects, and how many more there are.
    """
    names = [f"{'/'.join(subject)} in {' and '.join(parts)}" for subject, parts in overlap.items()]
    return abbreviate(names, MAX_NAMED, "; ")


def with_prefix(error: SplitError, prefix: str, file: Path | str | None = None) -> SplitError:
    """Return a copy of an error with a prefix before its message.

    Parameters
    ----------
    error : SplitError
        The error.
    prefix : str
        Text before the message, such as a file or fold.
    file : Path or str, optional
        File with the invalid split.

    Returns
    -------
    SplitError
        The new error.
    """
    return SplitError(
        f"{prefix}: {error}",
        setting=error.setting,
        file=file or error.file,
        column=error.column,
        subject=error.subject,
        value=error.value,
    )
