"""Parquet files that are written batch by batch and replace the previous files together."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow
import pyarrow.parquet

from depmm.files.checksums import remove, replacing
from depmm.schemas import TableSchema

ROWS_PER_GROUP = 2**17  # rows of a Parquet row group, which is kept in memory until it is full


class ParquetStream:
    """Tables of a folder, written row group by row group under temporary names.

    At the end of the ``with`` block, the temporary files are renamed, and existing files of tables
    without rows are removed because they belong to an older explanation. After an error or an
    interruption, the folder is unchanged.

    Parameters
    ----------
    folder : Path
        Folder of the tables.
    schemas : sequence of TableSchema
        The tables; ``schema.file`` without its suffix is the name of a table.
    """

    def __init__(self, folder: Path, schemas: Sequence[TableSchema]) -> None:
        self._stack = ExitStack()
        self._files = {
            Path(schema.file).stem: _GrowingFile(folder / schema.file, schema, self._stack)
            for schema in schemas
        }

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of each table that has any."""
        return {name: file.rows for name, file in self._files.items() if file.rows}

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Append rows to tables.

        Parameters
        ----------
        tables : mapping of str to DataFrame
            Rows by the name of their table. The first rows determine the columns and types of a
            table.

        Raises
        ------
        SchemaError
            If the rows do not fit the schema of their table.
        """
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
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:  # renames the temporary files, or removes them if one cannot be finished
            for file in self._files.values():
                file.finish()
        for file in self._files.values():
            if not file.rows:
                remove(file.path)


class _GrowingFile:
    """One table of a stream; the temporary file is created with the first rows."""

    def __init__(self, path: Path, schema: TableSchema, stack: ExitStack) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema
        self._stack = stack
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        self._waiting: list[pyarrow.Table] = []

    def append(self, table: pd.DataFrame) -> None:
        self._schema.check(table)
        if self._writer is None:
            temporary = self._stack.enter_context(replacing(self.path))
            columns = pyarrow.Schema.from_pandas(table, preserve_index=False)
            self._writer = self._stack.enter_context(_open_writer(temporary, columns))
        assert list(table) == self._writer.schema.names, "the columns differ from the first rows'"
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


def _open_writer(path: Path, schema: pyarrow.Schema) -> pyarrow.parquet.ParquetWriter:
    """Open a writer with dictionary encoding, and byte-stream split for floats."""
    float_columns = [field.name for field in schema if pyarrow.types.is_floating(field.type)]
    return pyarrow.parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name not in float_columns],
        use_byte_stream_split=float_columns,
    )
