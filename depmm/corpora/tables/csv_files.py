"""Read CSV files with a header that no spec describes: word lists, splits, steps."""

from collections.abc import Sequence
from pathlib import Path

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.delimited import Line, read_rows
from depmm.corpora.tables.table_columns import check_columns, check_width
from depmm.corpora.tables.table_files import Origin, read_text
from depmm.errors import DepmmError


def read_csv(
    path: Path | str,
    needed: Sequence[str],
    error: type[DepmmError],
    optional: Sequence[str] | None = None,
) -> tuple[list[str], list[Line]]:
    """Read a CSV file in UTF-8 with a header.

    Parameters
    ----------
    path : Path or str
        The file.
    needed : sequence of str
        Columns that the file must have.
    error : type of DepmmError
        Type of the errors.
    optional : sequence of str, optional
        The only further columns that the file may have; by default, any.

    Returns
    -------
    names : list of str
        The columns.
    rows : list of (int, list of str)
        Line and cells of each row, without surrounding blanks.

    Raises
    ------
    DepmmError
        Of the given type, if the file cannot be read, is not UTF-8, has a quotation mark that is
        not closed, lacks or repeats one of the columns or has an unknown one, or a row has another
        number of cells.
    """
    file = str(path)
    names: list[str] = []
    rows: list[Line] = []
    try:
        for line, row in read_rows(read_text(Path(path), file), file, ","):
            cells = [cell.strip() for cell in row]
            if names:
                check_width(Origin(file, line), cells, names, ",", in_spec=False)
                rows.append((line, cells))
            else:
                names = cells
                _check_csv_header(names, needed, optional, Origin(file, line))
        if not names:
            raise ManifestError(
                f"{file}: the table is empty.",
                file=file,
                remedy=f"Copy it again; it needs the columns {', '.join(needed)}.",
            )
    except ManifestError as problem:
        raise error(
            str(problem),
            file=problem.file,
            line=problem.line,
            column=problem.column,
            value=problem.value,
        ) from None
    return names, rows


def _check_csv_header(
    names: list[str], needed: Sequence[str], optional: Sequence[str] | None, origin: Origin
) -> None:
    known = [*needed, *(optional or ())]
    used = [*needed, *(name for name in known if name in names)]
    check_columns(used, names, origin.file, ",", in_spec=False, line=origin.line)
    unknown = [name for name in names if name not in known]
    if unknown and optional is not None:
        raise origin.error(
            f"column {unknown[0][:120]!r} is unknown.",
            unknown[0],
            remedy=f"Remove it; the columns are {', '.join(known)}.",
        )
