"""Damaged and unusual tables: refused with file, cause and remedy, or read as they are."""

import gzip

import numpy as np
import pytest
from feature_files import read_all, stream_of

from depmm.config import ValidityRule
from depmm.media.errors import MediaError
from depmm.media.features.feature_files import feature_names

ROWS = [f"{i},{i / 2},{-i}" for i in range(30)]
TABLE = "\n".join(["a,b,c", *ROWS]) + "\n"
EXPECTED = np.float32([[i, i / 2, -i] for i in range(30)])


def with_row(row: str, position: int = 5) -> str:
    return "\n".join(["a,b,c", *ROWS[:position], row, *ROWS[position:]]) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        ("\n\n" + TABLE.replace("\n", "\n\n")).encode(),
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.replace(",", " , ").encode(),
        b'"a","b","c"\n' + TABLE.split("\n", 1)[1].encode(),
        TABLE.rstrip("\n").encode(),
        gzip.compress(TABLE.encode()),
    ],
    ids=["plain", "CRLF", "CR", "blank lines", "BOM", "blanks", "quotes", "no end", "gzip"],
)
def test_usual_forms_of_text_are_read(content, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    _, values, warnings = read_all(path, stream_of())
    np.testing.assert_array_equal(values, EXPECTED)
    assert warnings == {}
    assert feature_names(path, stream_of()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("content", "remedy", "attributes"),
    [
        (TABLE.encode()[:40] + b"\0" + TABLE.encode()[40:], "format:", {}),
        (TABLE.encode("utf-16"), "UTF-8", {}),
        (TABLE.replace("c", "ü").encode("latin-1"), "UTF-8", {"line": 1}),
        (with_row("1,2,ü").encode("latin-1"), "UTF-8", {"value": 0xFC}),
        (b"PK\x03\x04" + bytes(60), "format:", {}),
        (b"<html><body>404</body></html>", "session", {}),
        (gzip.compress(TABLE.encode() * 50)[:200], "Copy", {}),
        (b"a,b\n" + b"1" * (34 * 2**20), "row", {}),
        (b"b" * (34 * 2**20), "row", {}),
        (TABLE.replace(",", ";").encode(), "';'", {"column": "a;b;c"}),
        (TABLE.replace(",", "\t").encode(), "tab", {"column": "a\tb\tc"}),
        (TABLE.replace("a,b,c", "# made by x\na,b,c").encode(), "comment", {}),
        (with_row("1_0,2,3").encode(), "drop:", {"column": "a", "value": "1_0"}),
        (with_row("0x1F,2,3").encode(), "drop:", {"column": "a", "value": "0x1F"}),
        (with_row('"1,234.5",2,3').encode(), "drop:", {"column": "a", "value": "1,234.5"}),
        (with_row("a,b,c").encode(), "one table", {"column": "a", "value": "a"}),
        (with_row("7,8").encode(), "line", {"line": 7, "value": 2}),
        (with_row("7,8", 30).encode(), "line", {"line": 32, "value": 2}),
        (with_row("7,8,9,10").encode(), "sep:", {}),
        (with_row('"7,8,9').encode(), "sep:", {}),
        (TABLE.replace("a,b,c", "a,b,b").encode(), "Rename", {"column": "b", "value": "b"}),
        (b"a,b,c\n", "session", {}),
    ],
    ids=[
        "zero byte", "UTF-16", "header in latin-1", "row in latin-1", "zip", "HTML", "cut gzip",
        "long line", "long header", "semicolons", "tabs", "comment", "underscore", "hexadecimal",
        "thousands", "header again", "short row", "short last row", "long row", "open quote",
        "column twice", "header only",
    ],
)  # fmt: skip
def test_damaged_tables_are_refused(content, remedy, attributes, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(MediaError) as info:
        read_all(path, stream_of())
    assert info.value.file == path
    assert remedy in info.value.remedy
    for name, value in attributes.items():
        assert getattr(info.value, name) == value


def test_a_row_that_was_not_written_completely_is_left_out(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(TABLE[:-5])  # "29,14.5,-29" ends as "29,14.5"
    _, values, warnings = read_all(path, stream_of())
    np.testing.assert_array_equal(values, EXPECTED[:-1])
    assert warnings["incomplete_row"].value == 2


def test_a_column_that_stands_twice_may_be_dropped(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(TABLE.replace("a,b,c", "b,b,c"))
    _, values, _ = read_all(path, stream_of(drop=["b"]))
    np.testing.assert_array_equal(values, EXPECTED[:, 2:])


def test_a_validity_rule_on_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(TABLE.replace("a,b,c", "ok,ok,c"))
    rule = ValidityRule(column="ok", at_least=1)
    with pytest.raises(MediaError) as info:
        read_all(path, stream_of(drop=["ok"], valid=[rule]))
    assert info.value.column == "ok"


def test_columns_without_name_have_the_name_that_pandas_gives_them(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(TABLE.replace("a,b,c", ",b,c"))  # DataFrame.to_csv writes the index like this
    _, values, _ = read_all(path, stream_of(drop=["Unnamed: 0"]))
    np.testing.assert_array_equal(values, EXPECTED[:, 1:])
    path.write_text(TABLE.replace("a,b,c", "a,b,c,"))
    assert feature_names(path, stream_of()) == ["a", "b", "c", "Unnamed: 3"]
    _, values, _ = read_all(path, stream_of(drop=["Unnamed*"]))
    np.testing.assert_array_equal(values, EXPECTED)


def test_decimal_commas_have_a_key(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(TABLE.replace(",", ";").replace(".", ","))
    with pytest.raises(MediaError) as info:
        read_all(path, stream_of(sep=";"))
    assert "decimal:" in info.value.remedy
    assert (info.value.column, info.value.value) == ("b", "0,0")
    _, values, _ = read_all(path, stream_of(sep=";", decimal=","))
    np.testing.assert_array_equal(values, EXPECTED)


def test_rows_separated_by_blanks_are_complete(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(TABLE.replace(",", "  "))
    _, values, _ = read_all(path, stream_of(sep=" "))
    np.testing.assert_array_equal(values, EXPECTED)
    path.write_text(with_row("1,2").replace(",", "  "))
    with pytest.raises(MediaError) as info:
        read_all(path, stream_of(sep=" "))
    assert info.value.line == 7


def test_long_integers_and_values_beyond_float32_are_not_read_as_others(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "1e300,1\n2,2\n" * 20)
    _, values, warnings = read_all(path, stream_of())
    assert np.isnan(values[::2, 0]).all()
    assert (values[1::2, 0] == 2).all()
    assert warnings["infinite_values"].value == 20
    path.write_text(f"a,b\n{10**30},1\n")
    with pytest.raises(MediaError) as info:
        read_all(path, stream_of())
    assert info.value.column == "a"
