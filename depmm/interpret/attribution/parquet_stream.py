"""Parquet files that grow while sessions pass by, and appear together when all are whole."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow
import pyarrow.parquet

ROWS_PER_GROUP = 2**17  # of a file's row groups, held in memory until they are full


class ParquetStream:
    """Tables of a folder, written row group by row group under temporary names.

    At the end of the ``with`` block they take their names, and a file of one of these names that
    got no rows is removed: nothing of an older explanation stays beside a newer one. After an error
    or an interruption the folder is as it was.

    Parameters
    ----------
    folder : where ``<name>.parquet`` will lie
    names : of the tables
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self._files = {name: _GrowingFile(folder / f"{name}.parquet") for name in names}

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each table that has any."""
        return {name: file.rows for name, file in self._files.items() if file.rows}

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Append to tables by name; the first rows of a table decide its columns and types."""
        for name, table in tables.items():
            self._files[name].append(table)

    def __enter__(self) -> "ParquetStream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                for file in self._files.values():
                    file.finish()
                for file in self._files.values():
                    file.appear()
        finally:
            for file in self._files.values():
                file.discard()


class _GrowingFile:
    def __init__(self, path: Path):
        self.path = path
        self.part = path.with_suffix(".part")
        self.rows = 0
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        self._waiting: list[pyarrow.Table] = []

    def append(self, table: pd.DataFrame) -> None:
        if self._writer is None:
            schema = pyarrow.Schema.from_pandas(table, preserve_index=False)
            self._writer = _open_writer(self.part, schema)
        assert list(table) == self._writer.schema.names, "a column more or less than before"
        self._waiting.append(
            pyarrow.Table.from_pandas(table, self._writer.schema, preserve_index=False)
        )
        self.rows += len(table)
        if sum(len(waiting) for waiting in self._waiting) >= ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._writer is not None and self._waiting:
            self._writer.write_table(pyarrow.concat_tables(self._waiting), ROWS_PER_GROUP)
        self._waiting = []

    def finish(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def appear(self) -> None:
        if self.rows:
            os.replace(self.part, self.path)
        else:
            self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.part.unlink(missing_ok=True)


def _open_writer(path: Path, schema: pyarrow.Schema) -> pyarrow.parquet.ParquetWriter:
    """Few different values: a dictionary; measured numbers: their bytes sorted by significance."""
    numbers = [field.name for field in schema if pyarrow.types.is_floating(field.type)]
    return pyarrow.parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name not in numbers],
        use_byte_stream_split=numbers,
    )
