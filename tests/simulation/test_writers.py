"""Writers of simulated files: tables and arrays are read back, and bytes repeat."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from simulated_layouts import HEAD

from depmm.config import StreamConfig
from depmm.corpora.spec import parse_spec
from depmm.corpora.tables.tables import read_table
from depmm.simulation.writers import can_write, write_array, write_cells, write_objects

ROWS = [["1", "a & b"], ["2", "<c>"]]


@pytest.mark.parametrize(
    ("table", "file"),
    [
        ("file: x.xlsx", "x.xlsx"),
        ("file: x.json\n    format: json", "x.json"),
        ("file: y.json\n    format: json\n    key: id", "y.json"),
    ],
)
def test_workbooks_and_objects_are_read_back(table: str, file: str, tmp_path: Path) -> None:
    write_cells(tmp_path / "x.xlsx", [["id", "note"], *ROWS])
    write_objects(tmp_path / "x.json", ["id", "note"], ROWS)
    write_objects(tmp_path / "y.json", ["id", "note"], ROWS, key="id")
    text = f"tables:\n  - {table}\n    join: {{id: subject}}\n    fields: {{note: note}}\n"
    recordings = 'recordings: [{pattern: "{subject}.wav", modalities: [audio]}]\n'
    spec = parse_spec(f'{HEAD}{recordings}session: "{{subject}}"\n{text}', "toy")
    joined = read_table(spec.tables[0], tmp_path, [file])
    notes = {key: row[0].fields["note"] for key, row in joined.rows.items()}
    assert notes == {("1",): "a & b", ("2",): "<c>"}


def test_workbooks_do_not_contain_the_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_cells(tmp_path / f"{name}.xlsx", ROWS)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert file.read("docProps/core.xml").count(b"1980-01-01T00:00:00Z") == 2
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_matlab_files_do_not_contain_the_time(tmp_path: Path) -> None:
    stream = StreamConfig(name="x", format="mat", rate_hz=1.0, variable="x")
    values = np.ones((3, 2), np.float32)
    write_array(tmp_path / "x.mat", values, stream, [2])
    assert (tmp_path / "x.mat").read_bytes()[:116] == b"MATLAB 5.0 MAT-file".ljust(116)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "x.mat")["x"], values)


def test_cells_are_quoted_only_where_readers_expect_it(tmp_path: Path) -> None:
    cells = [["a", 'say "b", c']]
    write_cells(tmp_path / "x.csv", cells)
    write_cells(tmp_path / "x.tsv", cells, sep="\t", encoding="utf-16")
    assert (tmp_path / "x.csv").read_bytes() == b'a,"say ""b"", c"\n'
    assert (tmp_path / "x.tsv").read_text(encoding="utf-16") == 'a\tsay "b", c\n'


def test_formats_that_can_be_written() -> None:
    assert can_write("a/{x}.MP4", with_video=True)
    assert can_write("x.wav", with_video=False)
    assert not can_write("x.wav", with_video=True)
    assert not can_write("x.rm", with_video=True)
