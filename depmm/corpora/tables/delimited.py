"""Split delimited text into rows; quotation marks that are not closed are found."""

import csv
import io
import re
from collections.abc import Iterator, Sequence

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.table_files import Origin, normalize

MAX_ROWS = 1_000_000  # of a table file; a row needs up to 1 kB of memory
MAX_COLUMNS = 16_384  # as in a spreadsheet
MAX_CELL = 131_072  # characters, the limit of the csv module
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"[+-]?[0-9.,:]*[0-9][0-9.,:]*(?:[eE][+-]?[0-9]+)?")  # or a clock time
_MAX_SEARCH = 2**23  # characters in which an open quotation mark is located
QUOTED = {",", ";"}  # with the separators TAB and space, a quotation mark is part of the text

Line = tuple[int, list[str]]  # line in the file, cells


def read_rows(text: str, file: str, sep: str, n_columns: int = 0) -> Iterator[Line]:
    """Split delimited text into rows; blank lines are skipped.

    With the separators comma and semicolon, cells may be in quotation marks. A quotation mark that
    is not closed would swallow the following rows. It is found where text follows the closing
    mark, where the text ends inside a cell, and where a cell with line breaks has the separators of
    the rows that it would have swallowed.

    Parameters
    ----------
    text : str
        The table.
    file : str
        Its name in messages.
    sep : str
        Separator.
    n_columns : int, default 0
        Number of columns; 0 if the first row names them.

    Yields
    ------
    line : int
        First line of the row, counted from 1.
    cells : list of str
        The cells, in composed Unicode (NFC).

    Raises
    ------
    ManifestError
        If a quotation mark is not closed, or there are too many rows, columns or characters.
    """
    is_quoted = sep in QUOTED
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=sep,
        quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE,
        skipinitialspace=True,
        strict=True,
    )
    n_rows, is_ascii = 0, text.isascii()
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _row_error(text, file, sep, (line, reader.line_num), error) from None
        if sep == " " and cells and not cells[-1]:
            del cells[-1]
        if not any(map(str.strip, cells)):
            continue
        if not is_ascii:
            cells = [normalize(cell) for cell in cells]
        n_rows += 1
        if n_rows > MAX_ROWS or len(cells) > MAX_COLUMNS:
            raise Origin(file, line).error(
                f"more than {MAX_ROWS} rows or {MAX_COLUMNS} columns, the limits for a table.",
                value=len(cells),
                remedy="Check that the pattern in the spec names a table, or split the file.",
            )
        n_columns = n_columns or len(cells)
        if is_quoted and reader.line_num > line and n_columns > 1:
            _check_line_breaks(cells, Origin(file, line), sep, n_columns)
        yield line, cells


def _check_line_breaks(cells: list[str], origin: Origin, sep: str, n_columns: int) -> None:
    """Refuse a cell that spans several lines and contains the separators of whole rows."""
    for index, cell in enumerate(cells):
        lines = [part for part in _LINE_END.split(cell) if part.strip()]
        n_breaks = len(lines) - 1
        if (
            n_breaks > 0
            and cell.count(sep) >= n_breaks * (n_columns - 1)
            and _hides_rows(lines, cells, index, sep)
        ):
            raise origin.error(
                f"the quotation mark that opens before {shorten(lines[0])} is closed {n_breaks} "
                f"lines later, and the cell {shorten(cell)} contains the separators of {n_breaks} "
                "rows.",
                value=shorten(cell),
                remedy="Remove the mark or close it in its line. A cell that really contains "
                "these line breaks must be written in one line.",
            )


def _hides_rows(lines: list[str], cells: list[str], index: int, sep: str) -> bool:
    """Tell whether the lines of a cell may be rows and not a text with separators.

    Rows have numbers (or nothing) where the row of the cell has them. Without numbers before the
    cell, rows have exactly their separators: the first line those after the cell, and the last line
    those before it.
    """
    numbers = [column for column in range(index) if _is_number(cells[column])]
    hidden = [line.split(sep) for line in lines[1:]]
    if numbers:
        return any(
            all(len(row) > k and (not row[k].strip() or _is_number(row[k])) for k in numbers)
            for row in hidden
        )
    n_separators = len(cells) - 1
    expected = [n_separators - index, *([n_separators] * (len(lines) - 2)), index]
    return [line.count(sep) for line in lines] == expected


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _row_error(
    text: str, file: str, sep: str, lines: tuple[int, int], error: csv.Error
) -> ManifestError:
    """Describe why a row cannot be split; a quotation mark is located where it opens."""
    first, last = lines
    row = list(io.StringIO(text, newline=""))[first - 1 : last]
    opened = _find_open_mark(row, sep)
    if opened is None:  # without a quotation mark, only the length of a cell can be wrong
        return Origin(file, first).error(
            f"not a table row ({error}).",
            value=row[0][:40] if row else None,
            remedy="Correct the row, or check sep: in the spec.",
        )
    index, column = opened
    start = row[index][column:].strip()
    if "expected after" in str(error):
        problem = "is closed inside its cell"
        remedy = "Remove both marks, or write each mark inside a cell twice."
    else:
        problem = f"is not closed within {last - first - index + 1} lines"
        remedy = "Remove the mark, or close it at the end of its cell."
    return Origin(file, first + index).error(
        f"the quotation mark that opens at {shorten(start)} {problem}.",
        value=shorten(start),
        remedy=remedy,
    )


def _find_open_mark(row: Sequence[str], sep: str) -> tuple[int, int] | None:
    """Find the last quotation mark that opens a cell: index of the line, and position in it."""
    opened, inside, at_start = None, False, True
    n_letters = 0
    for index, line in enumerate(row):
        position, end = 0, min(len(line), _MAX_SEARCH - n_letters)
        n_letters += len(line)
        while position < end:
            letter = line[position]
            if inside and letter == '"':
                if line[position + 1 : position + 2] == '"':
                    position += 1
                else:
                    inside = False
            elif not inside and letter == '"' and at_start:
                opened, inside = (index, position), True
            if not inside:
                at_start = letter == sep or (at_start and letter == " ")
            position += 1
    return opened


def shorten(text: str, length: int = 40) -> str:
    """Quote the beginning of a text for a message.

    Parameters
    ----------
    text : str
        The text.
    length : int, default 40
        Number of characters.

    Returns
    -------
    str
        The text in quotation marks.
    """
    return repr(text if len(text) <= length else text[:length] + "...")
