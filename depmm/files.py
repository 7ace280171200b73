"""Atomic writes: other processes read the previous file or the complete new file."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``, and rename it to ``path`` on success.

    On an error, the temporary file is removed and ``path`` is not changed.

    Parameters
    ----------
    path : Path
        The file to write; its folder must exist.

    Yields
    ------
    Path
        A unique path with the same suffix; the caller writes this file.
    """
    # unique: several processes may write the same file at the same time
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    text : str
        Its content; line ends are not changed.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    content : bytes
        Its content.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, without its index, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    table : DataFrame
        The rows.
    """
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)
