"""Excel sheets: formulas, merged cells, wrong row numbers and archives that unpack to too much."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import datetime

import openpyxl
import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.sheets import MAX_UNPACKED, read_sheet

ROWS: list[list[object]] = [["id", "score", "remark"], ["001", 3, None], ["002", 12, None]]


def workbook(edit: Callable[[openpyxl.worksheet.worksheet.Worksheet], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in ROWS:
        sheet.append(row)
    if edit:
        edit(sheet)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def replace_in_sheet(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes of the XML of the first sheet."""
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert old in content
                content = content.replace(old, new)
            target.writestr(name, content)
    return changed.getvalue()


def read(tmp_path, data: bytes) -> list[tuple[int, list[str]]]:
    (tmp_path / "t.xlsx").write_bytes(data)
    return list(read_sheet(tmp_path / "t.xlsx", "t.xlsx", lambda line, names: ["id", "score"]))


def test_rows_keep_their_number_and_blank_rows_are_skipped(tmp_path):
    def edit(sheet):
        sheet["A9"], sheet["B9"], sheet["C5"] = "003", 7.0, "beside"

    assert read(tmp_path, workbook(edit)) == [
        (1, ["id", "score", "remark"]), (2, ["001", "3", ""]), (3, ["002", "12", ""]),
        (5, ["", "", "beside"]), (9, ["003", "7", ""]),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["=A2+1", "=SUM(B2:B2)"])
def test_a_formula_without_a_result_is_refused_where_it_is_used(tmp_path, value):
    def used(sheet):
        sheet["B3"] = value

    with pytest.raises(ManifestError) as info:
        read(tmp_path, workbook(used))
    assert (info.value.line, info.value.column, info.value.value) == (3, "score", value)

    def unused(sheet):
        sheet["C3"] = value

    assert read(tmp_path, workbook(unused))[2] == (3, ["002", "12", ""])


def test_a_formula_with_a_result_is_its_result(tmp_path):
    def edit(sheet):
        sheet["B3"] = "=5+6"

    data = replace_in_sheet(workbook(edit), b"<v />", b"<v>11</v>")
    assert read(tmp_path, data)[2] == (3, ["002", "11", ""])


def test_error_values_and_merged_cells_are_refused(tmp_path):
    def error(sheet):
        sheet["B2"] = "#N/A"

    with pytest.raises(ManifestError) as info:
        read(tmp_path, workbook(error))
    assert (info.value.line, info.value.column, info.value.value) == (2, "score", "#N/A")
    with pytest.raises(ManifestError) as info:
        read(tmp_path, workbook(lambda sheet: sheet.merge_cells("A2:A3")))
    assert (info.value.line, info.value.column, info.value.value) == (2, "id", "A2:A3")
    assert len(read(tmp_path, workbook(lambda sheet: sheet.merge_cells("C2:C3")))) == 3


def test_a_hidden_first_sheet_is_refused_beside_visible_ones(tmp_path):
    def hide(sheet):
        sheet.sheet_state = "hidden"
        sheet.parent.create_sheet("new")
        sheet.parent.active = 1

    with pytest.raises(ManifestError) as info:
        read(tmp_path, workbook(hide))
    assert info.value.value == "Sheet"
    hidden_second = workbook(
        lambda sheet: setattr(sheet.parent.create_sheet("old"), "sheet_state", "hidden")
    )
    assert len(read(tmp_path, hidden_second)) == 3


@pytest.mark.parametrize("row", [0, 1, 2])
def test_row_numbers_that_do_not_rise_are_refused(tmp_path, row):
    data = replace_in_sheet(workbook(), b'<row r="3">', f'<row r="{row}">'.encode())
    with pytest.raises(ManifestError) as info:
        read(tmp_path, data)
    assert (info.value.line, info.value.value) == (row, row)


@pytest.mark.parametrize("row", [1_048_576, 10**12])
def test_a_huge_row_number_is_refused_in_little_memory(tmp_path, row):
    data = replace_in_sheet(workbook(), b'<row r="3">', f'<row r="{row}">'.encode())
    tracemalloc.start()
    try:
        with pytest.raises(ManifestError) as info:
            read(tmp_path, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(info.value.file) == "t.xlsx"
    assert info.value.remedy
    assert peak < 50e6


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    data = io.BytesIO(workbook())
    with (
        zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/sharedStrings2.xml", "w") as member,
    ):
        for _ in range(MAX_UNPACKED // 2**20 + 1):
            member.write(bytes(2**20))
    assert len(data.getvalue()) < 2**20
    with pytest.raises(ManifestError) as info:
        read(tmp_path, data.getvalue())
    assert info.value.value > MAX_UNPACKED


def test_a_row_of_too_many_cells_is_refused_unread(tmp_path):
    data = replace_in_sheet(
        workbook(), b"</row></sheetData>", b"<c/>" * 2**20 + b"</row></sheetData>"
    )
    with pytest.raises(ManifestError) as info:
        read(tmp_path, data)
    assert info.value.value > 2**20


@pytest.mark.parametrize("content", [b"", b"PK", b"id,score\n1,2\n"])
def test_other_files_are_refused(tmp_path, content):
    with pytest.raises(ManifestError) as info:
        read(tmp_path, content)
    assert str(info.value.file) == "t.xlsx"


def test_a_workbook_cut_anywhere_is_refused(tmp_path):
    data = workbook()
    for share in (0.2, 0.5, 0.9, 0.99):
        with pytest.raises(ManifestError):
            read(tmp_path, data[: int(len(data) * share)])


def test_bytes_of_a_sheet_that_are_not_xml_are_refused(tmp_path):
    data = replace_in_sheet(workbook(), b"</row>", b"<row>")
    with pytest.raises(ManifestError):
        read(tmp_path, data)


def test_a_date_is_text_without_a_time(tmp_path):
    data = workbook(lambda sheet: sheet.append([datetime(2024, 3, 5), datetime(2024, 3, 5, 14)]))
    assert read(tmp_path, data)[-1][1][:2] == ["2024-03-05", "2024-03-05 14:00:00"]
