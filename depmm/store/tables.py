"""Tables of a store: Parquet with a checksum of the whole file in its metadata.

The value ``crc32=...`` of the key ``depmm`` is the CRC-32 of the file with eight zeros in its
place. A table without this key, which another program has written, is read without a check.
"""

import zlib
from io import BytesIO

import pandas as pd

from depmm.schemas.table import SchemaError, TableSchema
from depmm.store.errors import StoreError, unreadable_file
from depmm.store.sessions import SessionStore

_MARK = b"crc32="
_ZEROS = b"0" * 8


class DamagedTableError(StoreError):
    """A table whose bytes are not those that were written."""


def write_table(store: SessionStore, table: pd.DataFrame, name: str) -> None:
    """Write a table into the folder of a store.

    Parameters
    ----------
    store : SessionStore
        The store.
    table : DataFrame
        The rows.
    name : str
        Name of the file.

    Raises
    ------
    StoreWriteError
        If the store cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), b"depmm": _MARK + _ZEROS}
    buffer = BytesIO()
    parquet.write_table(arrow.replace_schema_metadata(metadata), buffer)
    content = bytearray(buffer.getvalue())
    place = content.rindex(_MARK + _ZEROS) + len(_MARK)
    content[place : place + 8] = b"%08x" % zlib.crc32(content)
    store.put_bytes(bytes(content), f"{store.root}/{name}")


def read_table(store: SessionStore, schema: TableSchema, name: str) -> pd.DataFrame | None:
    """Read a table of a store.

    Parameters
    ----------
    store : SessionStore
        The store.
    schema : TableSchema
        Columns of the table.
    name : str
        Name of the file.

    Returns
    -------
    DataFrame or None
        The rows; None if there is no such file.

    Raises
    ------
    DamagedTableError
        If the file is damaged.
    StoreError
        If the table has other columns, or cannot be read.
    """
    path = f"{store.root}/{name}"
    if not store.filesystem.exists(path):
        return None
    try:
        content = store.filesystem.cat_file(path)
    except OSError as error:
        raise unreadable_file(path, error) from None
    try:
        _check(content)
        table = pd.read_parquet(BytesIO(content))
    except (ValueError, OSError, KeyError, TypeError) as error:  # Arrow raises OSError too
        raise DamagedTableError(
            f"{store.url}/{name}: the table is damaged ({error}).",
            file=path,
            remedy="Run depmm extract again, which computes it from the sessions.",
        ) from None
    try:
        schema.check(table)
    except SchemaError as error:
        raise StoreError(
            f"{store.url}/{error}",
            file=path,
            column=error.column,
            remedy="The store is of another version of depmm: extract into a new folder.",
        ) from None
    return table


def _check(content: bytes) -> None:
    place = content.rfind(_MARK) + len(_MARK)
    if place < len(_MARK):
        return
    zeros = content[:place] + _ZEROS + content[place + 8 :]
    if content[place : place + 8] != b"%08x" % zlib.crc32(zeros):
        raise ValueError("its checksum is wrong")
