"""Tables that are written row group by row group and replace the previous ones together."""

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from depmm.interpret.attribution import parquet_stream
from depmm.interpret.attribution.parquet_stream import ParquetStream
from depmm.schemas import Column, SchemaError, TableSchema

A, B = (
    TableSchema(
        f"{name}.parquet",
        "Rows.",
        (
            Column("word", "str", "Text", nullable=True),
            Column("step", "int64", "Index"),
            Column("value", "float64", "Value"),
            Column("shared_selected", "bool", "Flag", nullable=True),
            Column("more", "int64", "Another column", required=False),
        ),
    )
    for name in "ab"
)


def make_rows(first: int, word: str | None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "word": pd.Series([word] * 7, dtype="str"),
            "step": np.arange(first, first + 7, dtype=np.int32),
            "value": np.float32(first),
            "shared_selected": pd.array([pd.NA] * 7, dtype="boolean"),
        }
    )


def test_tables_are_written_in_full_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_stream, "ROWS_PER_GROUP", 10)
    parts = [make_rows(0, None), make_rows(7, "joy"), make_rows(14, "grief")]
    with ParquetStream(tmp_path, [A, B]) as stream:
        for part in parts:
            stream.write({"a": part})
            assert not (tmp_path / "a.parquet").exists()
            assert sum(len(waiting) for waiting in stream._files["a"]._waiting) < 10
    assert stream.rows == {"a": 21}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "a.parquet"]
    whole = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), whole)
    meta = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").metadata
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [10, 4, 7]
    encodings = [meta.row_group(2).column(n).encodings for n in (0, 1, 2)]
    assert ["RLE_DICTIONARY" in names for names in encodings] == [True, True, False]


def write_and_raise(stream: ParquetStream, error: type[BaseException]) -> None:
    stream.write({"a": make_rows(0, "new")})
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interruption_keeps_the_previous_files(tmp_path, error):
    old = make_rows(0, "old")
    with ParquetStream(tmp_path, [A, B]) as stream:
        stream.write({"a": old, "b": old})
    stream = ParquetStream(tmp_path, [A, B])
    with pytest.raises(error), stream:
        write_and_raise(stream, error)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["SHA256SUMS", "a.parquet", "b.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), old)


def test_table_without_rows_is_removed(tmp_path):
    with ParquetStream(tmp_path, [A, B]) as stream:
        stream.write({"a": make_rows(0, "old"), "b": make_rows(0, "old")})
    with ParquetStream(tmp_path, [A, B]) as stream:
        stream.write({"a": make_rows(0, "new")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "a.parquet"]


def test_columns_must_stay_the_same(tmp_path):
    with ParquetStream(tmp_path, [A]) as stream:
        stream.write({"a": make_rows(0, "joy")})
        with pytest.raises(AssertionError):
            stream.write({"a": make_rows(7, "joy").assign(more=1)})


def test_rows_must_fit_the_schema(tmp_path):
    with ParquetStream(tmp_path, [A]) as stream:
        with pytest.raises(SchemaError) as info:
            stream.write({"a": make_rows(0, "joy").drop(columns="step")})
        assert info.value.column == "step"
    assert list(tmp_path.iterdir()) == []
