"""Text of a table as a file object that checks what a parser of tables does not check."""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import numpy as np

from depmm.media.errors import MediaError
from depmm.media.features.file_content import describe_content

MAX_LINE_BYTES = 2**25  # 32 MB, 2 million features of 16 characters
LAST_LINE_BYTES = 2**20
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


def open_table(path: Path) -> IO[bytes]:
    """Open a table, compressed or not.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    file
        The decompressed bytes.
    """
    with path.open("rb") as file:
        start = file.read(2)
    if start in _COMPRESSED:
        return cast(IO[bytes], _COMPRESSED[start](path, "rb"))
    return path.open("rb")


def last_line(path: Path) -> tuple[int, bytes]:
    """Read the last line of a table that is not compressed, if no line break follows it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    start : int
        Position of its first byte in the file.
    line : bytes
        The line; empty if the file ends with a line break, or the line is very long.
    """
    with path.open("rb") as file:
        compressed = file.read(2) in _COMPRESSED
        size = file.seek(0, 2)
        start = file.seek(max(0, size - LAST_LINE_BYTES))
        data = file.read()
    start += data.rfind(b"\n") + 1
    if compressed or b"\n" not in data or b"\r" in data[-1:]:
        return size, b""
    return start, data[data.rfind(b"\n") + 1 :]


class TableText(io.RawIOBase):
    """The bytes of a table.

    Zero bytes, which are part of no text, and very long lines are errors. The separators are
    counted, because pandas fills rows that are too short.

    Parameters
    ----------
    path : Path
        The file.
    sep : str
        Separator of the cells.
    stop : int, optional
        Number of bytes that are read; by default the whole file.

    Attributes
    ----------
    error : MediaError or None
        The error that was raised, because parsers of tables replace it by their own.
    n_separators : int or None
        Number of separators read so far; None if they may be quoted or are blanks.
    """

    def __init__(self, path: Path, sep: str, stop: int | None = None) -> None:
        self._path, self._left = path, stop
        file = open_table(path)  # without its buffer, because the caller has one
        self._file: Any = file.detach() if isinstance(file, io.BufferedReader) else file
        self._sep = sep.encode()
        self._line_bytes = 0  # since the last line break
        self.error: MediaError | None = None
        self.n_separators: int | None = 0 if len(self._sep) == 1 and sep != " " else None

    def readable(self) -> bool:
        """Return True.

        Returns
        -------
        bool
            Whether the file can be read.
        """
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer.

        Parameters
        ----------
        buffer : bytes-like
            Where they are written.

        Returns
        -------
        int
            Number of bytes, 0 at the end of the file.

        Raises
        ------
        MediaError
            If the bytes are not part of a table.
        """
        try:
            n_bytes: int = self._file.readinto(buffer)
        except Exception as error:  # of a damaged archive or file system
            self._fail(f"cannot be read ({error}).", "Copy it again.")
        if self._left is not None:
            n_bytes = min(n_bytes, self._left)
            self._left -= n_bytes
        data = bytes(memoryview(buffer)[:n_bytes])
        if b"\0" in data:
            self._fail(
                f"contains zero bytes: {describe_content(self._path)}, not a table.",
                "Save it as UTF-8 text, or correct format: in the data spec.",
            )
        last = data.rfind(b"\n")
        self._line_bytes = self._line_bytes + n_bytes if last < 0 else n_bytes - last - 1
        if self._line_bytes > MAX_LINE_BYTES:
            self._fail(
                f"has a line of more than {MAX_LINE_BYTES} bytes.",
                "Save one row of features a line.",
            )
        if self.n_separators is not None:
            if b'"' in data:
                self.n_separators = None
            else:
                found = np.frombuffer(data, np.uint8) == self._sep[0]
                self.n_separators += int(np.count_nonzero(found))
        return n_bytes

    def _fail(self, problem: str, remedy: str) -> NoReturn:
        self.error = MediaError(self._path, problem, remedy)
        raise self.error
