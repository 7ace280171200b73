"""Read the first sheet of an Excel workbook, with bounds for damaged and hostile files."""

import io
import itertools
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.delimited import Line
from depmm.corpora.tables.table_files import Origin, normalize, read_bytes

_MAX_SHEET_ROWS = 1_048_576  # rows of a sheet in Excel
_MAX_EMPTY_ROWS = 10_000  # in succession; more are a wrong row number
_MAX_CELLS = 20_000_000  # of a sheet, empty ones included
_MAX_STORED_CELLS = 1_000_000  # each needs up to 500 bytes while its row is read
MAX_UNPACKED = 2**25  # bytes; XML elements need up to 40 times their length
_REMEDY = (
    "Check the file, or save it as .csv (UTF-8) and name that under file: in the spec's table."
)
_ROW_NUMBER = re.compile(rb'<(?:\w+:)?row\s(?:[^>]*?\s)?r="([0-9]+)"')
_MERGED = re.compile(rb'<mergeCell\s[^>]*?ref="([A-Z]{1,3})([0-9]+):([A-Z]{1,3})([0-9]+)"')


def read_sheet(
    path: Path, file: str, needed: Callable[[int, list[str]], Sequence[str]]
) -> Iterator[Line]:
    """Read the first sheet of an Excel workbook row by row.

    Columns without a name are skipped: they contain remarks next to the table. Integral numbers are
    converted without a trailing ``.0``.

    Parameters
    ----------
    path : Path
        The file.
    file : str
        Its name in messages.
    needed : callable
        Function that checks the names of the columns in a row and returns those that are used.

    Yields
    ------
    line : int
        Row of the sheet, counted from 1.
    cells : list of str
        The cells of the columns that have a name. The first row contains the names.

    Raises
    ------
    ManifestError
        If the file is not a workbook or too large, its first sheet is hidden, or a used cell
        contains a formula without its result, an error value, or is merged with cells of another
        row or column.
    """
    book, values, formulas, sheet_xml = _open(path, file)
    named: list[int] = []
    used: dict[int, str] = {}
    n_empty = n_cells = 0
    pairs = itertools.zip_longest(values, formulas) if formulas else ((row, ()) for row in values)
    try:
        for line, (row, formula_row) in enumerate(pairs, start=1):
            n_cells += len(row)
            n_empty = 0 if any(cell is not None for cell in row) else n_empty + 1
            if n_empty > _MAX_EMPTY_ROWS or line > _MAX_SHEET_ROWS or n_cells > _MAX_CELLS:
                raise Origin(file, line).error(
                    f"more than {_MAX_EMPTY_ROWS} empty rows, {_MAX_SHEET_ROWS} rows or "
                    f"{_MAX_CELLS} cells, the limits for a sheet.",
                    value=line,
                    remedy="Delete the rows below and the columns beside the table. " + _REMEDY,
                )
            if not named:
                named = [index for index, cell in enumerate(row) if _text(cell)]
                names = [_text(row[index]) for index in named]
                if not names:
                    continue
                columns = set(_check_header(book[0], needed, line, names))
                used = {i: name for i, name in zip(named, names, strict=True) if name in columns}
                _check_merged(sheet_xml, used, line, file)
                yield line, names
                continue
            _check_cells(row, formula_row or (), used, Origin(file, line))
            cells = [_text(row[index]) if index < len(row) else "" for index in named]
            if any(cells):
                yield line, cells
    except ManifestError:
        raise
    except Exception as error:  # openpyxl raises errors of zip, XML and its own types
        raise _unreadable(file, error) from None
    finally:
        for opened in book:
            opened.close()


def _check_header(
    book: Any, needed: Callable[[int, list[str]], Sequence[str]], line: int, names: list[str]
) -> Sequence[str]:
    """Check the header; the error of a workbook with several sheets names the one that is read."""
    try:
        return needed(line, names)
    except ManifestError as error:
        first, *others = [sheet.title for sheet in book.worksheets]
        if others:
            remark = f" Only the first sheet, {first!r}, is read; others: {', '.join(others[:5])}."
            error.args = (f"{error}{remark}",)
        raise


def _unreadable(file: str, error: object) -> ManifestError:
    return ManifestError(
        f"{file}: cannot be read as an Excel workbook ({error}).", file=file, remedy=_REMEDY
    )


def _open(path: Path, file: str) -> tuple[list[Any], Any, Any, bytes]:
    """Open a workbook: the values, the formulas if there are any, and the text of the sheet."""
    import openpyxl

    data = read_bytes(path, file)
    books = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_UNPACKED:
                raise ManifestError(
                    f"{file}: {len(data)} bytes unpack to {size}, more than "
                    f"{MAX_UNPACKED // 2**20} MiB, the limit for a workbook.",
                    file=file,
                    value=size,
                    remedy=_REMEDY,
                )
            for data_only in (True, False):
                book = openpyxl.load_workbook(
                    io.BytesIO(data), read_only=True, data_only=data_only, keep_links=False
                )
                books.append(book)
                if not book.worksheets:
                    raise _unreadable(file, "no sheet")
                # some programs write dimensions that truncate the table
                book.worksheets[0].reset_dimensions()
                sheet_xml = archive.read(book.worksheets[0]._worksheet_path)
                n_cells = sum(1 for _ in re.finditer(rb"<(?:\w+:)?c[\s/>]", sheet_xml))
                if n_cells > _MAX_STORED_CELLS:
                    raise ManifestError(
                        f"{file}: more than {_MAX_STORED_CELLS} cells, the limit for a workbook.",
                        file=file,
                        value=n_cells,
                        remedy=_REMEDY,
                    )
                if len(books) == 1:
                    _check_visible(book, file)
                    _check_row_numbers(sheet_xml, file)
                if not re.search(rb"<(?:\w+:)?f[\s/>]", sheet_xml):
                    break
    except ManifestError:
        raise
    except Exception as error:  # openpyxl raises errors of zip, XML and its own types
        raise _unreadable(file, error) from None
    formulas = books[1].worksheets[0].values if len(books) > 1 else None
    return books, books[0].worksheets[0].values, formulas, sheet_xml


def _check_visible(book: Any, file: str) -> None:
    """Refuse a hidden first sheet beside visible ones, because the table may be in another."""
    first, *others = book.worksheets
    visible = [sheet.title for sheet in others if sheet.sheet_state == "visible"]
    if first.sheet_state != "visible" and visible:
        raise ManifestError(
            f"{file}: the first sheet, {first.title!r}, is hidden; visible: "
            f"{', '.join(visible[:5])}.",
            file=file,
            value=first.title,
            remedy="Only the first sheet is read: unhide it, or move the sheet with the table to "
            "the front.",
        )


def _check_row_numbers(sheet_xml: bytes, file: str) -> None:
    """Refuse row numbers that do not rise: one of two rows with the same number would be lost."""
    last = 0
    for match in _ROW_NUMBER.finditer(sheet_xml):
        number = int(match[1])
        if number <= last:
            raise Origin(file, number).error(
                f"row {number} is stored after row {last}.", value=number, remedy=_REMEDY
            )
        last = number


def _check_cells(
    row: Sequence[object], formulas: Sequence[object], used: dict[int, str], origin: Origin
) -> None:
    """Refuse formulas without a stored result, and error values, in the columns that are used."""
    from openpyxl.cell.cell import ERROR_CODES

    for index, column in used.items():
        value = row[index] if index < len(row) else None
        formula = formulas[index] if index < len(formulas) else None
        if value is None and formula is not None:
            formula = getattr(formula, "text", formula)
            raise origin.error(
                f"{column} is the formula {str(formula)[:80]!r} without a stored result.",
                column,
                str(formula),
                remedy="Open the workbook in a spreadsheet program and save it, or replace the "
                "formula by its value.",
            )
        if isinstance(value, str) and value in ERROR_CODES:
            raise origin.error(
                f"{column} is the error value {value}.",
                column,
                value,
                remedy="Correct the formula, or leave the cell empty.",
            )


def _check_merged(sheet_xml: bytes, used: dict[int, str], header: int, file: str) -> None:
    """Refuse merged cells below the header in the columns that are used: only one has a value."""
    from openpyxl.utils import column_index_from_string

    for match in _MERGED.finditer(sheet_xml):
        left, top, right, bottom = (part.decode() for part in match.groups())
        first = column_index_from_string(left) - 1
        last = column_index_from_string(right) - 1
        columns = [name for index, name in used.items() if first <= index <= last]
        if columns and int(bottom) > header and int(top) > header:
            cells = f"{left}{top}:{right}{bottom}"
            raise Origin(file, int(top)).error(
                f"the cells {cells} of column {columns[0]!r} are merged; only the first has a "
                "value.",
                columns[0],
                cells,
                remedy="Unmerge them and fill in every cell.",
            )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()  # as in codes: of a spec
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()  # Excel stores every date with a time, midnight if there is none
    return normalize(str(value).strip())
