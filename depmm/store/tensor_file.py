"""Tensors in one safetensors file, with checksums of all of its bytes.

The metadata of the header contain ``checksum``, the CRC-32 of the length and text of the header
with this value as eight zeros, and ``block_checksums``, the CRC-32 of each 16 KiB of the data. The
header is checked when a file is opened, and every block when a part of it is read, so that a few
frames of a long recording can be read without the rest. CRC-32 finds every single flipped bit; it
does not protect against changes on purpose. Therefore the table of the tensors is checked too,
before memory is allocated for them.
"""

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from depmm.store.errors import damaged_file, unreadable_file

BLOCK = 1 << 14  # bytes: about a face crop, the smallest part that is read
MAX_HEADER_BYTES = 1 << 25  # 32 MiB: the checksums of 60 GB of data
DTYPES = {
    "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8", "BOOL": "bool",
    "F32": "float32", "F64": "float64",
}  # fmt: skip
HEADER_START = b'{"__metadata__":{"checksum":"'
_CHECKSUM = slice(len(HEADER_START), len(HEADER_START) + 8)


def header_checksum(length: bytes, text: bytes) -> bytes:
    """Compute the checksum of a header.

    Parameters
    ----------
    length : bytes
        The first eight bytes of the file.
    text : bytes
        The header, which starts with `HEADER_START` and any eight digits.

    Returns
    -------
    bytes
        Eight hexadecimal digits.
    """
    zeros = text[: _CHECKSUM.start] + b"0" * 8 + text[_CHECKSUM.stop :]
    return b"%08x" % zlib.crc32(zeros, zlib.crc32(length))


def open_file(path: str | Path) -> BinaryIO:
    """Open a local file without a buffer.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    BinaryIO
        The open file.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    try:
        return Path(path).open("rb", buffering=0)
    except OSError as error:
        raise unreadable_file(path, error) from None


class TensorFile:
    """Read parts of tensors, and check the bytes that are read.

    Parameters
    ----------
    file : BinaryIO
        The open file, which is closed with this object.
    path : str or Path
        Its path, for messages.

    Attributes
    ----------
    metadata : dict of str to str
        The metadata of the header.
    checksum : str
        Checksum of the header, which depends on the data too.
    shapes : dict of str to tuple
        Type and shape of each tensor.

    Raises
    ------
    StoreError
        If the header is damaged, or the file has another size than the header says.
    """

    def __init__(self, file: BinaryIO, path: str | Path) -> None:
        self._file, self.path = file, path
        self._last_block = (-1, b"")  # index and bytes: small steps lie in one block
        try:
            self._read_header()
        except OSError as error:
            self.close()
            raise unreadable_file(path, error) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self.close()
            raise damaged_file(path, str(error)) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_header(self) -> None:
        size = self._file.seek(0, 2)
        self._file.seek(0)
        start = self._file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not len(HEADER_START) + 8 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size} bytes")
        text = bytes(self._read_exactly(length))
        if not text.startswith(HEADER_START) or header_checksum(start, text) != text[_CHECKSUM]:
            raise ValueError("the checksum of its header is wrong")
        header = json.loads(text)
        self.metadata: dict[str, str] = header.pop("__metadata__")
        self.checksum = self.metadata["checksum"]
        self._start, self._size = 8 + length, size - 8 - length
        self._blocks = bytes.fromhex(self.metadata["block_checksums"])
        if len(self._blocks) != 4 * math.ceil(self._size / BLOCK):
            raise ValueError(f"the file size is wrong: {size} bytes")
        self._offsets: dict[str, tuple[int, int]] = {}
        self.shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, entry in header.items():
            self._add_tensor(name, entry)
        end = 0
        for first, last in sorted(self._offsets.values()):
            if first != end:
                raise ValueError("its tensors overlap or have gaps")
            end = last
        if end != self._size:
            raise ValueError(f"the file size is wrong: {size} bytes")

    def _add_tensor(self, name: str, entry: dict[str, Any]) -> None:
        dtype, shape, (first, last) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, last]
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise ValueError(f"the shape or place of {name} is not valid")
        # numpy multiplies the sizes of an empty array too
        if math.prod(max(1, n) for n in shape) >= 2**60 or len(shape) > 8:
            raise ValueError(f"the shape of {name} is not valid")
        if math.prod(shape) * np.dtype(dtype).itemsize != last - first:
            raise ValueError(f"the shape of {name} does not fit its {last - first} bytes")
        self._offsets[name], self.shapes[name] = (first, last), (dtype, tuple(shape))

    def read(self, name: str) -> np.ndarray:
        """Read one tensor.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        ndarray
            The tensor.

        Raises
        ------
        StoreError
            If its bytes are damaged or cannot be read.
        """
        dtype, shape = self.shapes[name]
        return np.frombuffer(self._read_bytes(*self._offsets[name]), dtype).reshape(shape)

    def read_rows(self, name: str, first: int, end: int) -> np.ndarray:
        """Read rows of a tensor.

        Parameters
        ----------
        name : str
            Its name.
        first, end : int
            First row, and the row after the last one; both are in the tensor.

        Returns
        -------
        ndarray
            The rows.

        Raises
        ------
        StoreError
            If the bytes of the rows are damaged or cannot be read.
        """
        dtype, (n_rows, *rest) = self.shapes[name]
        first, end = int(first), int(end)
        assert 0 <= first <= end <= n_rows, (name, first, end, n_rows)
        start, row_size = self._offsets[name][0], np.dtype(dtype).itemsize * math.prod(rest)
        data = self._read_bytes(start + first * row_size, start + end * row_size)
        return np.frombuffer(data, dtype).reshape(end - first, *rest)

    def verify(self) -> None:
        """Check all bytes.

        Raises
        ------
        StoreError
            If the file is damaged or cannot be read.
        """
        for first in range(0, self._size, 256 * BLOCK):
            self._read_bytes(first, min(first + 256 * BLOCK, self._size))

    def _read_bytes(self, start: int, end: int) -> memoryview:
        """Read bytes of the data, and check the blocks that contain them."""
        if start == end:
            return memoryview(b"")
        block = start // BLOCK
        first, last = block * BLOCK, min(math.ceil(end / BLOCK) * BLOCK, self._size)
        is_one = last - first <= BLOCK
        if is_one and self._last_block[0] == block:
            return memoryview(bytearray(self._last_block[1][start - first : end - first]))
        try:
            self._file.seek(self._start + first)
            data = memoryview(self._read_exactly(last - first))
        except OSError as error:
            raise unreadable_file(self.path, error) from None
        except ValueError as error:
            raise damaged_file(self.path, str(error)) from None
        for offset in range(0, len(data), BLOCK):
            checksum = self._blocks[4 * block : 4 * block + 4]
            if zlib.crc32(data[offset : offset + BLOCK]) != int.from_bytes(checksum, "big"):
                raise damaged_file(self.path, f"the checksum of block {block} is wrong")
            block += 1
        if is_one:  # a copy, because arrays of the bytes that are returned can be written
            self._last_block = (block - 1, bytes(data))
        return data[start - first : end - first]

    def _read_exactly(self, count: int) -> bytearray:
        buffer = bytearray(count)  # arrays of it can be written, those of bytes cannot
        view, done = memoryview(buffer), 0
        while done < count:
            read = self._file.readinto(view[done:])  # type: ignore[attr-defined]
            if not read:
                raise ValueError(f"it ends after {done} of {count} bytes")
            done += read
        return buffer
