"""Lists of the failures and warnings of an extraction, for the terminal."""

from collections.abc import Iterator

import pandas as pd

from depmm.media.warnings import group_problems

MAX_LISTED = 10  # failures, and kinds of warnings; the tables of the store have all
MAX_PER_KIND = 3  # different problems of one kind of warning


def list_failures(failures: pd.DataFrame) -> Iterator[str]:
    """Write one line per cause, with the sessions and files that have it.

    Parameters
    ----------
    failures : DataFrame
        Columns of ``depmm.schemas.store.FAILURES``.

    Yields
    ------
    str
        Session, stage, file, cause and remedy; of several sessions, their number and the first
        files.
    """
    groups = list(failures.groupby(["stage", "cause", "remedy"], sort=False))
    for (stage, cause, remedy), rows in groups[:MAX_LISTED]:
        sessions = rows[["subject", "session"]].drop_duplicates()
        first = "/".join(sessions.iloc[0])
        named = first if len(sessions) == 1 else f"{len(sessions)} sessions"
        (line,) = group_problems((file, str(cause)) for file in rows["file"])
        yield f"  {named} {stage}: {line} {remedy}".rstrip()
    if len(groups) > MAX_LISTED:
        yield f"  ... and {len(groups) - MAX_LISTED} other causes"


def list_warnings(warnings: pd.DataFrame) -> Iterator[str]:
    """Write one line per problem, sorted by kind, and the remedy of a kind after its last line.

    Parameters
    ----------
    warnings : DataFrame
        Columns of ``depmm.schemas.store.WARNINGS``.

    Yields
    ------
    str
        A line.
    """
    groups = list(warnings.groupby(["name", "remedy"], sort=False))
    for (name, remedy), rows in groups[:MAX_LISTED]:
        lines = group_problems(zip(rows["file"], rows["problem"], strict=True))
        n_more = len(lines) - MAX_PER_KIND
        lines = lines[:MAX_PER_KIND] + ([f"... and {n_more} more."] if n_more > 0 else [])
        lines[-1] += f" {remedy}"
        yield from (f"  warning: {name}: {line}" for line in lines)
    if len(groups) > MAX_LISTED:
        yield f"  ... and {len(groups) - MAX_LISTED} other kinds of warnings"
