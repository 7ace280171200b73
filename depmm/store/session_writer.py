"""Write the tensors of a session, or of its embeddings, to a file with checksums."""

import json
import math
import struct
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from depmm.store.errors import writing
from depmm.store.tensor_file import BLOCK, DTYPES, HEADER_START, header_checksum

IN_MEMORY_BYTES = 1 << 20  # of each tensor
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class SessionWriter:
    """Write the tensors of a session in parts, so that memory does not grow with its length.

    Each tensor is written to a separate temporary file without a name, which is created when it
    exceeds 1 MiB, and :meth:`save` joins the files. (The ``safetensors`` library needs all tensors
    in memory at once; its format does not.)

    Parameters
    ----------
    folder : context manager of Path
        Creates the folder of the temporary files, and removes it at the end.
    """

    def __init__(self, folder: AbstractContextManager[Path]) -> None:
        self._temporary = folder
        self._files: dict[str, SpooledTemporaryFile[bytes]] = {}
        # type and shape of a row
        self._row_types: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        with writing():
            self._folder = self._temporary.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            with suppress(OSError):  # a full disk was reported by the method that wrote
                file.close()
        self._temporary.__exit__(kind, value, trace)

    def append(self, name: str, rows: np.ndarray) -> int:
        """Append rows to a tensor.

        Parameters
        ----------
        name : str
            Name of the tensor.
        rows : ndarray, shape (N, ...)
            The rows, with the same type and shape as earlier rows.

        Returns
        -------
        int
            New number of rows of the tensor.

        Raises
        ------
        StoreWriteError
            If the temporary file cannot be written.
        """
        rows = np.ascontiguousarray(rows)
        row_type = (rows.dtype, rows.shape[1:])
        if name not in self._files:
            with writing(self._folder):
                self._files[name] = SpooledTemporaryFile(  # noqa: SIM115 (closed in __exit__)
                    IN_MEMORY_BYTES, "w+b", dir=str(self._folder)
                )
            self._row_types[name], self._rows[name] = row_type, 0
        assert self._row_types[name] == row_type, (name, self._row_types[name], row_type)
        with writing(self._folder):
            self._files[name].write(rows.data if rows.size else b"")
        self._rows[name] += len(rows)
        return self._rows[name]

    def rows(self, name: str) -> int:
        """Count the rows of a tensor.

        Parameters
        ----------
        name : str
            Name of the tensor.

        Returns
        -------
        int
            Number of rows so far; 0 for an unknown name.
        """
        return self._rows.get(name, 0)

    def mark(self) -> dict[str, int]:
        """Return the lengths of all tensors, for :meth:`rewind`.

        Returns
        -------
        dict of str to int
            Number of rows of each tensor.
        """
        return dict(self._rows)

    def rewind(self, mark: dict[str, int]) -> None:
        """Remove every row that was appended after a mark.

        Parameters
        ----------
        mark : dict of str to int
            From :meth:`mark`.

        Raises
        ------
        StoreWriteError
            If a temporary file cannot be written.
        """
        for name in list(self._files):
            n_rows = mark.get(name, 0)
            dtype, shape = self._row_types[name]
            with writing(self._folder):
                self._files[name].seek(n_rows * dtype.itemsize * math.prod(shape))
                self._files[name].truncate()
            self._rows[name] = n_rows
            if n_rows == 0:
                self._files.pop(name).close()
                del self._row_types[name], self._rows[name]

    def save(self, summary: dict[str, Any]) -> Path:
        """Join the tensors to one safetensors file with checksums.

        Parameters
        ----------
        summary : dict
            Summary of the session, JSON values.

        Returns
        -------
        Path
            A local file, which is deleted when the writer is closed.

        Raises
        ------
        StoreWriteError
            If the file cannot be written.
        """
        tensors: dict[str, Any] = {}
        offset = 0
        # widest type first, like the library, so that every tensor is aligned
        order = sorted(self._files, key=lambda name: (-self._row_types[name][0].itemsize, name))
        for name in order:
            dtype, shape = self._row_types[name]
            size = self._rows[name] * dtype.itemsize * math.prod(shape)
            tensors[name] = {
                "dtype": _NAMES[dtype.name],
                "shape": [self._rows[name], *shape],
                "data_offsets": [offset, offset + size],
            }
            offset += size
        n_blocks = math.ceil(offset / BLOCK)
        path = self._folder / "complete"
        with writing(self._folder), path.open("wb") as out:
            # the length of the header does not depend on the checksums, which are known at the end
            out.write(_header(tensors, summary, bytes(4 * n_blocks)))
            checksums = _copy([self._files[name] for name in order], out)
            out.seek(0)
            out.write(_header(tensors, summary, checksums))
        return path


def _header(tensors: dict[str, Any], summary: dict[str, Any], checksums: bytes) -> bytes:
    metadata = {
        "checksum": "0" * 8,
        "block_checksums": checksums.hex(),
        "depmm": json.dumps(summary, sort_keys=True),
    }
    text = json.dumps({"__metadata__": metadata, **tensors}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    length = struct.pack("<Q", len(text))
    assert text.startswith(HEADER_START)
    rest = text[len(HEADER_START) + 8 :]
    return length + HEADER_START + header_checksum(length, text) + rest


def _copy(files: Sequence[SpooledTemporaryFile[bytes]], out: IO[bytes]) -> bytes:
    """Append files to ``out``; return the checksums of the blocks."""
    checksums, checksum, filled = bytearray(), 0, 0
    for file in files:
        file.seek(0)
        while data := file.read(BLOCK - filled):
            out.write(data)
            checksum, filled = zlib.crc32(data, checksum), filled + len(data)
            if filled == BLOCK:
                checksums += checksum.to_bytes(4, "big")
                checksum, filled = 0, 0
    if filled:
        checksums += checksum.to_bytes(4, "big")
    return bytes(checksums)
