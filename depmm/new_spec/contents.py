"""What a file contains: a recording, features, a table, steps, a transcript or a score."""

import csv
import io
import json
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from depmm.corpora.patterns import NUMBER
from depmm.corpora.tables.sheets import read_sheet
from depmm.corpora.tables.table_files import normalize
from depmm.new_spec.words import END, FACE_COLUMNS, START, TEXT, TIME

MAX_BYTES = 2**20  # of a text file that are read
MAX_ROWS = 5000
SOUND = {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac", ".wma", ".aiff", ".aif"}
VIDEO = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv", ".mts", ".3gp"}
TEXTS = {".csv", ".tsv", ".txt", ".json", ".xlsx", ".align", ".lab"}
ARRAYS = {".npy", ".mat"}
NOT_NUMBERS = frozenset({"nan", "inf", "-inf", "NaN", "NA"})  # of numeric columns of programs
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
_MIN_DECIMALS = 0.8  # share of the cells of a column with decimal commas that are numbers
Kind = Literal["recording", "features", "table", "steps", "transcript", "score", "unknown"]


@dataclass(frozen=True)
class Content:
    """What a file contains.

    Attributes
    ----------
    kind : str
        What it is.
    tracks : tuple of str
        Modalities of a recording.
    settings : dict of str to object
        Keys of the spec that read the file, such as ``sep``.
    columns : dict of str to list of str
        Column -> its cells.
    shape : tuple of int
        Lengths of the axes of an array.
    """

    kind: Kind
    tracks: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    shape: tuple[int, ...] = ()

    @property
    def signature(self) -> tuple[Any, ...]:
        """What files of one kind have in common: columns, or the lengths of the axes but one."""
        names = tuple(self.columns) if self.settings.get("header", True) else (len(self.columns),)
        return self.kind, self.tracks, names, len(self.shape)

    @property
    def n_rows(self) -> int:
        """Number of rows that were read."""
        return max(map(len, self.columns.values()), default=0)


def probe_content(path: Path) -> Content:
    """Find out what a file contains, by its extension, header and first rows.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Content
        Of the kind "unknown" if the file is empty or cannot be read.
    """
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size == 0:
            return Content("unknown")
        if suffix in SOUND:
            return Content("recording", ("audio",))
        if suffix in VIDEO:
            return _probe_video(path)
        if suffix in ARRAYS:
            return _probe_array(path)
        if suffix == ".xlsx":
            rows = read_sheet(path, path.name, lambda _line, _names: [])
            lines = [cells for _, cells in islice(rows, MAX_ROWS)]
            return _classify(lines, {}, True) if len(lines) > 1 else Content("unknown")
        if suffix == ".json":
            return _probe_json(path)
        return _probe_text(path) if suffix in TEXTS else Content("unknown")
    except Exception:  # damaged files: scipy and json raise errors of many types
        return Content("unknown")


def _probe_video(path: Path) -> Content:
    from depmm.media.containers.container import probe
    from depmm.media.errors import MediaError

    try:
        info = probe(path)
    except MediaError:
        return Content("recording", ("audio", "face"))
    tracks = [("audio", info.has_audio), ("face", info.has_video)]
    return Content("recording", tuple(name for name, there in tracks if there))


def _probe_array(path: Path) -> Content:
    """Read the header of an array; nothing is unpickled."""
    if path.suffix.lower() == ".mat":
        from scipy.io import whosmat

        found = [item for item in whosmat(path) if len(item[1]) >= 1 and item[2] != "char"]
        if len(found) != 1:
            return Content("unknown")
        name, shape, _ = found[0]
        return Content("features", settings={"format": "mat", "variable": name}, shape=shape)
    import numpy as np

    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    if dtype.hasobject or not shape:
        return Content("unknown")
    axis = len(shape) - 1 if len(shape) > 2 and shape[0] == shape[1] else 0
    settings: dict[str, Any] = {"format": "npy"} | ({"axis": axis} if axis else {})
    return Content("features", settings=settings, shape=shape)


def _probe_json(path: Path) -> Content:
    if path.stat().st_size > 16 * MAX_BYTES:
        return Content("unknown")
    value = json.loads(path.read_text(encoding="utf-8"))
    settings: dict[str, Any] = {"format": "json"}
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        value = [{"key": key, **members} for key, members in value.items()]
        settings["key"] = "key"
    if not (isinstance(value, list) and value and all(isinstance(row, dict) for row in value)):
        return Content("unknown")
    columns: dict[str, list[str]] = {}
    for row in value[:MAX_ROWS]:
        for name in row:
            columns.setdefault(name, [])
    for row in value[:MAX_ROWS]:
        for name, cells in columns.items():
            cell = row.get(name)
            plain = isinstance(cell, str | int | float)
            cells.append(str(cell).strip() if plain else "")
    return Content("table", settings=settings, columns=columns)


def _probe_text(path: Path) -> Content:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES)
    settings: dict[str, Any] = {}
    try:
        text = data.decode("utf-8-sig") if len(data) < MAX_BYTES else data.decode("utf-8", "ignore")
    except UnicodeDecodeError:
        settings["encoding"] = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"
        text = data.decode(settings["encoding"], "replace")
    lines = [line for line in text.splitlines()[:MAX_ROWS] if line.strip()]
    if len(data) == MAX_BYTES:
        lines = lines[:-1]
    if not lines:
        return Content("unknown")
    if len(lines) == 1 and NUMBER.fullmatch(lines[0].strip()):
        header = {"header": False, "columns": ["score"]}
        return Content("score", settings=settings | header, columns={"score": [lines[0].strip()]})
    sep = _find_separator(lines)
    if sep is None:
        if any(" " in line.strip() for line in lines) or not text.isascii() or len(lines) == 1:
            header = {"header": False, "columns": ["transcript"], "whole_file": True}
            return Content("transcript", settings=settings | header)
        sep = ","
    if sep != ",":
        settings["sep"] = sep
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=sep, skipinitialspace=True))
    if sep == " ":
        rows = [line.split() for line in lines]
    rows = [[normalize(cell).strip() for cell in row] for row in rows]
    if sep != "," and _has_decimal_commas(rows):
        settings["decimal"] = ","
        rows = [[_point(cell) for cell in row] for row in rows]
    is_header = not any(NUMBER.fullmatch(cell) for cell in rows[0]) and len(rows) > 1
    named = [cell for cell in rows[0] if cell]  # spreadsheets add separators of empty columns
    is_header &= len(set(named)) == len(named) > 0
    return _classify(rows, settings, is_header)


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Check that a column has decimal commas, and no cell of the table a decimal point."""
    if any("." in cell and NUMBER.fullmatch(cell) for row in rows for cell in row):
        return False
    for cells in zip(*(row for row in rows if len(row) == len(rows[0])), strict=True):
        known = [cell for cell in cells[1:] if cell]
        n_numbers = sum(bool(NUMBER.fullmatch(_point(cell))) for cell in known)
        has_comma = any(_DECIMAL_COMMA.fullmatch(cell) for cell in known)
        if has_comma and n_numbers >= _MIN_DECIMALS * len(known):
            return True
    return False


def _point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _find_separator(lines: list[str]) -> str | None:
    """Return the separator that all of the first lines have equally often."""
    first = lines[:30]
    for sep in ("\t", ";", ",", "|"):
        counts = [line.count(sep) for line in first]
        agreeing = sum(count == counts[0] for count in counts)
        if counts[0] and agreeing >= 0.8 * len(first):
            return sep
    words = [line.split() for line in first]
    numbers = [sum(bool(NUMBER.fullmatch(word)) for word in row) for row in words]
    if len(words[0]) > 1 and {len(row) for row in words} == {len(words[0])} and min(numbers) > 1:
        return " "
    return None


def _classify(rows: list[list[str]], settings: dict[str, Any], is_header: bool) -> Content:
    names = rows[0] if is_header else [f"column_{i + 1}" for i in range(len(rows[0]))]
    body = [row for row in rows[is_header:] if len(row) == len(names)]
    columns = {name: [row[i] for row in body] for i, name in enumerate(names) if name}
    if not is_header:
        settings = settings | {"header": False, "columns": names}
    numeric = [name for name, cells in columns.items() if is_numeric(cells)]
    starts = [name for name in numeric if START.match(name)]
    if any(c for c in columns if END.match(c)) and starts:
        return Content("steps", settings=settings, columns=columns)
    if not is_header and len(names) == 3 and numeric == names[:2] and body:
        low, high = (float(body[0][i]) for i in range(2))
        if low < high:
            return Content("steps", settings=settings, columns=columns)
    clock = [c for c, cells in columns.items() if START.match(c) and _is_clock(cells)]
    if clock and any(END.match(c) or TEXT.match(c) for c in columns):
        return Content("steps", settings=settings, columns=columns)
    features = sum(bool(FACE_COLUMNS.match(name)) for name in columns)
    timed = any(TIME.match(name) for name in columns)
    mostly = len(numeric) >= 0.8 * max(len(columns), 1)
    if mostly and (features >= 3 or (timed and len(numeric) > 2) or len(numeric) >= 5):
        return Content("features", settings=settings, columns=columns)
    return Content("table", settings=settings, columns=columns)


def is_numeric(cells: list[str]) -> bool:
    """Check that the cells of a column are numbers.

    Parameters
    ----------
    cells : list of str
        The cells.

    Returns
    -------
    bool
        Whether all cells with a content are numbers; some of them may be ``inf`` or ``nan``.
    """
    known = [cell for cell in cells if cell]
    good = sum(bool(NUMBER.fullmatch(cell)) for cell in known)
    return good > 0 and all(NUMBER.fullmatch(c) or c in NOT_NUMBERS for c in known)


def _is_clock(cells: list[str]) -> bool:
    known = [cell for cell in cells if cell]
    pattern = re.compile(r"(?:\d+:)?\d+:\d+(?:[.,]\d+)?")
    return bool(known) and all(pattern.fullmatch(cell) for cell in known)
