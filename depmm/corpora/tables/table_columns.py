"""Check the columns of a table, and guess the separator of one that was read with a wrong one."""

from collections.abc import Sequence

from depmm.corpora.tables.delimited import QUOTED, shorten
from depmm.corpora.tables.table_files import Origin
from depmm.errors import did_you_mean

_SEPARATORS = {",": "','", ";": "';'", "\t": "'\\t' (TAB)", "|": "'|'", " ": "' ' (blanks)"}
_MAX_NAMED = 20  # columns in a message


def check_columns(
    needed: Sequence[str],
    names: Sequence[str],
    file: str,
    sep: str | None = None,
    in_spec: bool = True,
    line: int | None = None,
) -> None:
    """Check that every column that is used is in the header, once.

    Parameters
    ----------
    needed : sequence of str
        The columns that are used.
    names : sequence of str
        The header.
    file : str
        Name of the table in messages.
    sep : str, optional
        Separator of a delimited text, which may be the wrong one.
    in_spec : bool, default True
        Whether a spec describes the table, and can be corrected.
    line : int, optional
        Line of the header.

    Raises
    ------
    ManifestError
        If a column is missing or appears more than once.
    """
    for column in dict.fromkeys(needed):
        places = [index for index, name in enumerate(names, start=1) if name == column]
        if len(places) == 1:
            continue
        if places:
            raise Origin(file, line).error(
                f"column {column!r} appears {len(places)} times (columns "
                f"{', '.join(map(str, places))} of {len(names)}).",
                column,
                remedy="Rename or remove all but one of them in the file.",
            )
        listed = ", ".join(name for name in names[:_MAX_NAMED] if name)
        other = None if sep is None else guess_separator(sep.join(names), sep, needed)
        hint = did_you_mean(column, list(filter(None, names[:_MAX_NAMED])))
        if hint.startswith("Known") and not set(needed) & set(names):
            hint = "Remove the rows above the names of the columns, if there are any."
        if other:
            hint = f"The separator seems to be {other}: {_separator_advice(sep, in_spec)}"
        where = ", or the column's name in the spec's table" if in_spec else ""
        raise Origin(file, line).error(
            f"column {column!r} is missing (columns: {listed}).",
            column,
            remedy=f"{hint} Correct the file{where}.",
        )


def _separator_advice(sep: str | None, in_spec: bool) -> str:
    if in_spec:
        return "set sep: in the spec's table."
    return f"separate the columns by {'commas' if sep == ',' else repr(sep)}."


def guess_separator(line: str, sep: str, needed: Sequence[str] = (), n_columns: int = 0) -> str:
    """Guess the separator of a table that was read with a wrong one.

    Parameters
    ----------
    line : str
        A line of the table.
    sep : str
        The wrong separator.
    needed : sequence of str, optional
        Columns that the header must have.
    n_columns : int, default 0
        Number of cells of every row; 0 if the header is given.

    Returns
    -------
    str
        The separator for a message; empty if none fits.
    """
    for other, text in _SEPARATORS.items():
        if other == sep or other not in line:
            continue
        cells = [part.strip().strip('"') for part in line.split(None if other == " " else other)]
        if len(cells) == n_columns or (not n_columns and len(set(cells) & set(needed)) > 1):
            return text
    return ""


def check_width(
    origin: Origin, cells: list[str], names: Sequence[str], sep: str, in_spec: bool = True
) -> None:
    """Check that a row has one cell for each column.

    Parameters
    ----------
    origin : Origin
        File and line.
    cells : list of str
        The row.
    names : sequence of str
        The columns.
    sep : str
        Separator of the table.
    in_spec : bool, default True
        Whether a spec describes the table, and can be corrected.

    Raises
    ------
    ManifestError
        If the row has more or fewer cells.
    """
    if len(cells) == len(names):
        return
    other = guess_separator(sep.join(cells), sep, n_columns=len(names))
    remedy = "Correct the row."
    if sep in QUOTED:
        remedy = "Correct the row; a text with the separator needs quotation marks."
    if other:
        remedy = f"The separator seems to be {other}: {_separator_advice(sep, in_spec)}"
    elif in_spec and sep:
        remedy = f"Correct the row, or sep: (now {sep!r}) in the spec's table."
    listed, row = ", ".join(names[:_MAX_NAMED]), sep.join(cells)
    raise origin.error(
        f"{len(cells)} cells, but {len(names)} columns ({listed}): {shorten(row)}.",
        value=row[:120],
        remedy=remedy,
    )
