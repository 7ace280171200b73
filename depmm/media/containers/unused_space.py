"""Space at the end of a file that was reserved and not used: zeros.

Programs reserve space on the disk before they write. If they are stopped, or a file was not copied
completely, the rest contains zeros. FFmpeg searches them for packets, which takes all memory.
"""

import functools
import io
import os
from pathlib import Path

from depmm.media.containers.file_ends import TS_PACKET_BYTES, TS_SYNC_BYTE

# MPEG program and transport streams, tags before MP3 and AAC, AC-3
_PACKET_STARTS = (b"\0\0\1\xba", TS_SYNC_BYTE, b"ID3", b"\x0b\x77")
MIN_UNUSED_BYTES = 1 << 16  # fewer zeros may belong to the last packet
KEPT_BYTES = 1 << 12  # zeros that are kept, because the last packet may end with zeros
_BLOCK_BYTES = 1 << 20


def used_bytes(path: Path, start: int = 0) -> int:
    """Return the size of a file without the zeros at its end.

    Parameters
    ----------
    path : Path
        The file.
    start : int, default 0
        Byte from which on zeros are searched.

    Returns
    -------
    int
        Number of bytes up to the last one that is not zero, at least ``start``.
    """
    state = path.stat()
    return _used_bytes(path, start, state.st_size, state.st_mtime_ns)


@functools.lru_cache(
    maxsize=8
)  # a recording is opened several times, and may have gigabytes of zeros
def _used_bytes(path: Path, start: int, size: int, _mtime_ns: int) -> int:
    end = size
    with path.open("rb", buffering=0) as file:
        while end > start:
            first = max(start, end - _BLOCK_BYTES)
            file.seek(first)
            if used := len(file.read(end - first).rstrip(b"\0")):
                return first + used
            end = first
    return start


class FileStart(io.RawIOBase):
    """The first bytes of a file, as a file.

    Parameters
    ----------
    file : io.FileIO
        The file.
    size : int
        Number of bytes.
    """

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, size: int = -1) -> bytes:
        """Read bytes.

        Parameters
        ----------
        size : int, default -1
            Number of bytes; negative for all.

        Returns
        -------
        bytes
            At most ``size`` bytes; none at the end.
        """
        rest = max(0, self._size - self._file.tell())
        return self._file.read(rest if size < 0 else min(size, rest)) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the position.

        Parameters
        ----------
        offset : int
            Bytes from the start, the position or the end.
        whence : int, default os.SEEK_SET
            From where, as of :func:`os.lseek`.

        Returns
        -------
        int
            The position from the start.
        """
        if whence == os.SEEK_END:
            offset, whence = self._size + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position.

        Returns
        -------
        int
            Bytes from the start.
        """
        return self._file.tell()

    def readable(self) -> bool:
        """Tell that it can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def seekable(self) -> bool:
        """Tell that the position can be changed.

        Returns
        -------
        bool
            True.
        """
        return True


def is_packet_stream(path: Path) -> bool:
    """Tell whether a file consists of packets without an index or a total size.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        True for MPEG program and transport streams, MP3, AAC and AC-3.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(5)
    return head.startswith(_PACKET_STARTS) or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def without_unused_end(path: Path, file: io.FileIO) -> io.RawIOBase:
    """Leave out the unused end of a file, which FFmpeg would search for packets.

    Parameters
    ----------
    path : Path
        The file.
    file : io.FileIO
        The same, open.

    Returns
    -------
    io.RawIOBase
        ``file`` itself, or its start if ``MIN_UNUSED_BYTES`` or more at its end are zero.
    """
    size = path.stat().st_size
    if size < MIN_UNUSED_BYTES:
        return file
    file.seek(size - MIN_UNUSED_BYTES)
    is_unused = not any(file.read(MIN_UNUSED_BYTES))
    file.seek(0)
    if not is_unused:
        return file
    used = used_bytes(path)
    padded = -(-used // TS_PACKET_BYTES) * TS_PACKET_BYTES + KEPT_BYTES
    return FileStart(file, min(size, padded)) if used else file
