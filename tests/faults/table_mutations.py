"""Mutated tables of labels, transcripts and features; a seed gives the same file again."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openpyxl
from faults.table_samples import (
    LABELS,
    feature_rows,
    label_rows,
    to_csv,
    turn_rows,
)

N_TABLES = 100
TABLES = ["labels.csv", "P1_words.csv", "P1_face.csv"]


@dataclass(frozen=True)
class TableCase:
    """One mutated table.

    Attributes
    ----------
    kind : str
        Name of the mutation.
    file : str
        The table.
    seed : int
        Seed of all choices.
    """

    kind: str
    file: str
    seed: int

    def __str__(self) -> str:
        return f"table {self.kind} {self.file} seed {self.seed}"

    @property
    def labels(self) -> str:
        """Name of the table of labels in this corpus."""
        return self.file if self.file in LABELS else "labels.csv"


Rows = list[list[object]]


def _rows_of(file: str) -> Rows:
    if file in LABELS:
        return label_rows()
    return turn_rows(0) if file.endswith("_words.csv") else feature_rows(0)


def _numbers_of(file: str) -> list[int]:
    """Return the indices of columns with numbers."""
    return {"labels": [1], "P1_words": [1, 2], "P1_face": [1, 3, 4, 5]}[file.partition(".")[0]]


def _cell(rows: Rows, file: str, rng: np.random.Generator) -> tuple[int, int]:
    """Choose a cell with a number."""
    return int(rng.integers(1, len(rows))), int(rng.choice(_numbers_of(file)))


def _set_number(*values: str) -> Callable[[Rows, str, np.random.Generator], Rows]:
    def change(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
        row, column = _cell(rows, file, rng)
        old = str(rows[row][column])
        rows[row][column] = str(rng.choice(list(values))).replace("OLD", old)
        return rows

    return change


def _number_format(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    """Write a number in another form, with the same value where it has one."""
    row, column = _cell(rows, file, rng)
    old = str(rows[row][column])
    number = float(old)
    forms = [
        f"+{old}", f" {old} ", f"{number:e}", old.replace(".", ","), f"{old}s", f"0{old}",
        f"{number:.6f}", f"'{old}", f"{old} sec", old.replace("0.", ".", 1), f"1_{old}",
        "".join(chr(0x660 + int(c)) if c.isdigit() else c for c in old), f"00:00:{old}",
        f"{old}\u00a0", f"{old}.", f"\u2212{old}",
    ]  # fmt: skip
    rows[row][column] = forms[rng.integers(len(forms))]
    return rows


def _duplicate_column(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    column = int(rng.choice(_numbers_of(file)))
    others = rng.permutation([row[column] for row in rows[1:]])
    return [[*rows[0], rows[0][column]]] + [
        [*row, other] for row, other in zip(rows[1:], others, strict=True)
    ]


def _missing_cell(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    del rows[rng.integers(1, len(rows))][int(rng.choice(_numbers_of(file)))]
    return rows


def _extra_cell(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    rows[rng.integers(1, len(rows))].insert(int(rng.choice(_numbers_of(file))), "7")
    return rows


def _rename_column(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    column = int(rng.choice(_numbers_of(file)))
    name = str(rows[0][column])
    rows[0][column] = str(rng.choice([name.swapcase(), f" {name} ", f"{name}2", ""]))
    return rows


def _contradict(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    """Repeat a row with another number."""
    row, column = _cell(rows, file, rng)
    again = list(rows[row])
    again[column] = float(str(again[column])) + 3
    return [*rows[: row + 1], again, *rows[row + 1 :]]


def _formula(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    row, column = _cell(rows, file, rng)
    rows[row][column] = str(rng.choice(["=1+1", '=HYPERLINK("x")', "#REF!", "#N/A", "@SUM(1)"]))
    return rows


def _huge_cell(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    row, column = _cell(rows, file, rng)
    rows[row][column] = "9" * int(rng.choice([400, 200_000, 3_000_000]))
    return rows


def _shuffle(rows: Rows, file: str, rng: np.random.Generator) -> Rows:
    return [rows[0], *(rows[index] for index in 1 + rng.permutation(len(rows) - 1))]


ROW_CHANGES: dict[str, Callable[[Rows, str, np.random.Generator], Rows]] = {
    "number": _number_format,
    "not_a_number": _set_number("nan", "inf", "-inf", "", "None", "1e400", "many", "0x1F", "1/2"),
    "negative": _set_number("-1", "-OLD", "-999", "-0.001"),
    "duplicate_column": _duplicate_column,
    "missing_cell": _missing_cell,
    "extra_cell": _extra_cell,
    "rename_column": _rename_column,
    "contradict": _contradict,
    "formula": _formula,
    "huge_cell": _huge_cell,
    "shuffle": _shuffle,
}


def _quote(data: bytes, rng: np.random.Generator) -> bytes:
    """Insert a quotation mark at the start of a cell or inside one."""
    places = [match.end() for match in re.finditer(rb"[,\n]", data[:-1])]
    position = int(rng.choice(places)) + int(rng.integers(0, 3))
    return data[:position] + b'"' + data[position:]


def _encode(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode().replace("word", "wörd")
    encoding = str(rng.choice(["utf-16", "utf-8-sig", "latin-1", "utf-16-be", "utf-32"]))
    return text.encode(encoding)


def _separate(data: bytes, rng: np.random.Generator) -> bytes:
    return data.replace(b",", [b";", b"\t", b"|", b" "][rng.integers(4)])


def _nul(data: bytes, rng: np.random.Generator) -> bytes:
    position = int(rng.integers(len(data)))
    return data[:position] + bytes(int(rng.integers(1, 600))) + data[position:]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(len(data) * rng.uniform(0, 0.9))]


def _other_file(data: bytes, rng: np.random.Generator) -> bytes:
    return [b"", b"\n", rng.bytes(3000), b"PK\3\4", b"<html></html>"][rng.integers(5)]


def _line_ends(data: bytes, rng: np.random.Generator) -> bytes:
    return data.replace(b"\n", [b"\r\n", b"\r", b"\n\n", b"\n,,,,,\n"][rng.integers(4)])


def _flip_byte(data: bytes, rng: np.random.Generator) -> bytes:
    """Set the highest bit of a byte, which makes text invalid."""
    changed = bytearray(data)
    changed[rng.integers(len(data))] ^= 128
    return bytes(changed)


BYTE_CHANGES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "quote": _quote,
    "encoding": _encode,
    "separator": _separate,
    "nul": _nul,
    "cut": _cut,
    "other_file": _other_file,
    "line_ends": _line_ends,
    "high_bit": _flip_byte,
}


def _huge_row(data: bytes, rng: np.random.Generator) -> bytes:
    """State the last row as row 1,048,576 of the sheet."""
    return _edit_sheet(
        data, rb'<row r="7"', b'<row r="1048576"', rb'r="([A-C])7"', rb'r="\g<1>1048576"'
    )


def _no_cached_value(data: bytes, rng: np.random.Generator) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(data))
    book.active[f"B{rng.integers(2, 8)}"] = "=10+4"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _duplicate_member(data: bytes, rng: np.random.Generator) -> bytes:
    return data.replace(b'"PHQ8_Score": 14', b'"PHQ8_Score": 2,\n  "PHQ8_Score": 14')


def _json_value(data: bytes, rng: np.random.Generator) -> bytes:
    values = [b"NaN", b"[14]", b'{"a": 14}', b"true", b"1e999", b'"14 points"', b"14.5.1"]
    return data.replace(b": 14", b": " + values[rng.integers(len(values))])


def _json_shape(data: bytes, rng: np.random.Generator) -> bytes:
    shapes = [b'{"rows": DATA}', b"[DATA]", b"DATA DATA", b"[" * 100_000, b"[1, 2]", b"null"]
    return shapes[rng.integers(len(shapes))].replace(b"DATA", data)


def _edit_sheet(data: bytes, *changes: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == "xl/worksheets/sheet1.xml":
                for pattern, replacement in zip(changes[::2], changes[1::2], strict=True):
                    content = re.sub(pattern, replacement, content)
            new.writestr(item, content)
    return out.getvalue()


SPECIAL: dict[str, tuple[str, Callable[[bytes, np.random.Generator], bytes]]] = {
    "huge_row": ("labels.xlsx", _huge_row),
    "no_cached_value": ("labels.xlsx", _no_cached_value),
    "cut": ("labels.xlsx", _cut),
    "high_bit": ("labels.xlsx", _flip_byte),
    "duplicate_member": ("labels.json", _duplicate_member),
    "json_value": ("labels.json", _json_value),
    "json_shape": ("labels.json", _json_shape),
    "high_bit_of_json": ("labels.json", _flip_byte),
    "cut_json": ("labels.json", _cut),
}
ROWS_IN = [*TABLES, "labels.xlsx", "labels.json"]
IMPOSSIBLE = {
    *((kind, "labels.json") for kind in ("duplicate_column", "missing_cell", "extra_cell")),
    ("contradict", "P1_words.csv"),  # two speakers may talk at one time
    ("negative", "P1_face.csv"),  # a feature may be negative
}


def table_cases(n: int = N_TABLES) -> list[TableCase]:
    """List ``n`` cases, all kinds and tables in turn."""
    kinds = [(kind, file) for file in ROWS_IN for kind in ROW_CHANGES]
    kinds = [entry for entry in kinds if entry not in IMPOSSIBLE]
    kinds += [(kind, file) for file in TABLES for kind in BYTE_CHANGES]
    kinds += [(kind, file) for kind, (file, _) in SPECIAL.items()]
    order = np.random.default_rng(0).permutation(len(kinds))
    return [TableCase(*kinds[order[seed % len(kinds)]], seed) for seed in range(n)]


def mutate_table(case: TableCase, data: bytes) -> bytes:
    """Return the content of the mutated table.

    Parameters
    ----------
    case : TableCase
        The mutation.
    data : bytes
        The undamaged table.
    """
    rng = np.random.default_rng(case.seed)
    if SPECIAL.get(case.kind, ("",))[0] == case.file:
        return SPECIAL[case.kind][1](data, rng)
    if case.kind in BYTE_CHANGES:
        return BYTE_CHANGES[case.kind](data, rng)
    rows = ROW_CHANGES[case.kind](_rows_of(case.file), case.file, rng)
    if case.file == "labels.json":
        header, *others = rows
        return json.dumps([dict(zip(header, row, strict=True)) for row in others]).encode()
    return LABELS.get(case.file, to_csv)(rows)
