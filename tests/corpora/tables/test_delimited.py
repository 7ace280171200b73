"""Delimited text: quotation marks, line ends, encodings, separators and repeated columns."""

import csv
import io
from pathlib import Path

import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.csv_files import read_csv
from depmm.corpora.tables.delimited import MAX_CELL, read_rows
from depmm.corpora.tables.table_columns import check_columns, check_width
from depmm.corpora.tables.table_files import Origin, read_text

HEADER = "start,end,text\n"
ROWS = [f"{k}.0,{k}.8,line {k}" for k in range(20)]


def table(*changes: tuple[int, str]) -> str:
    rows = list(ROWS)
    for index, row in changes:
        rows[index] = row
    return HEADER + "\n".join(rows) + "\n"


def cells(text: str, sep: str = ",") -> list[list[str]]:
    return [row for _, row in read_rows(text, "words.csv", sep)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (table((5, '5.0,5.8,"so he said')), 7),  # to the end of the file
        (table((5, '5.0,5.8,"so he said'), (12, '12.0,12.8,i am fine"')), 7),
        (table((5, '5.0,5.8,"so he said'), (6, '6.0,6.8,i am fine"')), 7),
        (table((5, '5.0,5.8,"so he said'), (6, '6.0,6.8,"well, yes"')), 7),
        (table((5, '5.0,5.8,"so he said'), (6, '6.0,6.8,he said "yes"')), 7),
        (table((0, '0.0,0.8,"a ""b'), (19, '19.0,19.8,b"')), 2),
        (table((5, '5.0,5.8,"so he\u2028said'), (6, '6.0,6.8,fine"')), 7),  # no line end in CSV
        (table((5, '5.0,"5.8,a'), (7, '7.0,7.8",b')), 7),  # in a cell in the middle
        (table((3, '3.0,3.8,"yes" he said')), 5),
        (table((3, '3.0,3.8,"a'), (4, "4.0,n/a,b, c"), (6, '6.0,6.8,d"')), 5),
        (table((3, '3.0,3.8,"two\nlines"'), (9, '9.0,9.8,"open')), 12),
        (HEADER + '0.0,0.8,"' + "a" * (MAX_CELL + 1), 2),
        (HEADER + '0.0,0.8,"' + "a" * 2**24, 2),
    ],
)
def test_a_stray_quotation_mark_is_refused_in_the_line_where_it_opens(text, line):
    with pytest.raises(ManifestError) as info:
        cells(text)
    error = info.value
    assert (str(error.file), error.line) == ("words.csv", line)
    assert error.value
    assert error.remedy


@pytest.mark.parametrize(
    "row",
    [
        '5.0,5.8,"two\nlines"',
        '5.0,5.8,"a, b\nand c"',
        '5.0,5.8,"well, you know, I was\nfine"',
        '5.0,5.8,"a\n\nb, c, d\r\ne, f, g"',
        '5.0,5.8,"a ""quoted"" word"',
        '5,6,a "b" c',
    ],
)
def test_quotation_marks_that_are_closed_stay_legal(row):
    text = table((5, row))
    assert cells(text) == list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("name", ["remark\n(free text)", "remark,\nfree, text, long"])
def test_a_name_of_a_column_may_have_several_lines(name):
    assert cells(f'id,score,sex,"{name}"\n1,2,f,-\n')[0] == ["id", "score", "sex", name]


def test_a_mark_that_hides_rows_without_numbers_is_refused():
    for text, line in (
        ('id,sex,hand\nP1,"f,left\nP2,m",right\nP3,f,left\n', 2),
        ('id,sex,"hand\nP1,f,left\nP2,m,right"\nP3,f,left\n', 1),
    ):
        with pytest.raises(ManifestError) as info:
            cells(text)
        assert info.value.line == line


def test_a_quotation_mark_is_text_between_tabs_and_blanks():
    assert cells('a\t"b\nc\td"\n', "\t") == [["a", '"b'], ["c", 'd"']]
    assert cells('a  "b \n', " ") == [["a", '"b']]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\n\r\n", "\r\n\r\n"])
def test_line_ends_do_not_matter(ends):
    assert cells(ends.join(["a,b", "1,2", "3,4"])) == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_mixed_line_ends_are_read():
    assert cells("a,b\r\n1,2\r3,4\n5,6") == [["a", "b"], ["1", "2"], ["3", "4"], ["5", "6"]]


def test_cells_are_composed():
    assert cells("Mu\u0308ller,1") == [["M\u00fcller", "1"]]


@pytest.mark.parametrize(
    ("data", "encoding", "line", "named"),
    [
        ("a,b\n1,é\n".encode("latin-1"), "utf-8", 2, "cp1252"),
        ("a,b\n1,é\n".encode("utf-16"), "utf-8", 1, "encoding: utf-16 "),
        ("a,b\n1,2\n".encode("utf-16-le"), "utf-8", 1, "encoding: utf-16-le "),
        ("a,b\n1,2\n".encode("utf-16-be"), "utf-8", 1, "encoding: utf-16-be "),
        (b"a,b\n1,\0\n", "utf-8", 2, "damaged"),
        ("a,恐惧\n".encode("gbk"), "utf-8", 1, "gb18030"),
        (b"a,b", "utf-16", 1, "encoding"),
        (b"PK\3\4\x14\0\x06\0\xff", "utf-8", 1, ".xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "utf-8", 1, ".xls)"),
        ("a,b\n1,é".encode("latin-1"), None, 2, "UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path, data, encoding, line, named):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(ManifestError) as info:
        read_text(tmp_path / "t.csv", "t.csv", encoding)
    assert (str(info.value.file), info.value.line) == ("t.csv", line)
    assert named in info.value.remedy + " "


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "gb18030"])
def test_utf8_is_not_read_in_another_encoding(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes("a,äöüß".encode())
    with pytest.raises(ManifestError) as info:
        read_text(tmp_path / "t.csv", "t.csv", encoding)
    assert (info.value.setting, info.value.value) == ("encoding", encoding)
    text = "Müller, „MENÜ“, ÉTÉ" if encoding == "cp1252" else "Müller"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read_text(tmp_path / "t.csv", "t.csv", encoding) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_text(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes("a,é".encode(encoding))
    stated = encoding.removesuffix("-sig")
    assert read_text(tmp_path / "t.csv", "t.csv", stated) == "a,é"


def test_a_column_that_stands_twice_is_refused_where_it_is_used():
    names = ["id", "", "score", "", "sex", "score"]
    check_columns(["id", "sex"], names, "labels.csv")
    with pytest.raises(ManifestError) as info:
        check_columns(["id", "score"], names, "labels.csv", line=1)
    assert (info.value.column, info.value.line) == ("score", 1)
    assert "columns 3, 6 of 6" in str(info.value)


@pytest.mark.parametrize(
    ("header", "sep", "named"),
    [
        ("id;score", ",", "';'"),
        ("id,score", ";", "','"),
        ("id\tscore", ",", r"'\t'"),
        ("id|score", ",", "'|'"),
    ],
)
def test_the_separator_of_a_table_is_guessed(header, sep, named):
    with pytest.raises(ManifestError) as info:
        check_columns(["id", "score"], [header], "labels.csv", sep)
    assert named in info.value.remedy
    with pytest.raises(ManifestError) as info:  # columns: in the spec, no header
        check_width(Origin("labels.csv", 1), [header], ["a", "b"], sep)
    assert named in info.value.remedy


def test_no_separator_is_guessed_for_a_misspelt_column():
    with pytest.raises(ManifestError) as info:
        check_columns(["id", "score"], ["id", "scores"], "labels.csv", ",")
    assert "separator" not in info.value.remedy
    assert "'scores'" in info.value.remedy


def test_too_many_columns_are_refused():
    with pytest.raises(ManifestError) as info:
        cells("a," * 20_000)
    assert info.value.line == 1


def test_a_missing_file_is_refused_with_the_type_of_the_caller(tmp_path):
    class CallerError(ManifestError):
        pass

    with pytest.raises(CallerError) as info:
        read_csv(tmp_path / "no.csv", ["a"], CallerError)
    assert info.value.file == Path(tmp_path / "no.csv")
