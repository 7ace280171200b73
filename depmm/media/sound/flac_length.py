"""The length of a FLAC file: what its header states, and where its last frame ends.

The header may state no length (a stream that was encoded into a pipe) or a wrong one. Every frame
begins with its position, so the end of the file suffices to know the length.

References
----------
RFC 9639, sections 8.2 (stream info) and 9.1 (frame header).
"""

from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 1 << 18  # contains several frames of at most 16 kB, or one of the largest
_SYNC = (b"\xff\xf8", b"\xff\xf9")  # fixed and variable block size
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << i for i in range(8)))


@dataclass(frozen=True)
class FlacLength:
    """Length of a FLAC file.

    Attributes
    ----------
    rate : int
        Samples per second, in Hz.
    n_channels : int
        Number of channels.
    stated : int or None
        Samples per channel that the header states; None if it states none.
    last : int or None
        Sample at which the last frame ends; None if no frame was found at the end of the file.
    """

    rate: int
    n_channels: int
    stated: int | None
    last: int | None


def read_flac_length(path: Path) -> FlacLength | None:
    """Read the header and the last frame of a FLAC file.

    Parameters
    ----------
    path : Path
        A file that begins with ``fLaC``.

    Returns
    -------
    FlacLength or None
        None if its header is damaged.
    """
    with path.open("rb") as file:
        head = file.read(42)
        size = file.seek(0, 2)
        file.seek(max(42, size - TAIL_BYTES))
        tail = file.read()
    if len(head) < 42 or head[4] & 0x7F:
        return None
    rate = int.from_bytes(head[18:21], "big") >> 4
    stated = int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF
    block_size = int.from_bytes(head[8:10], "big")
    return FlacLength(rate, (head[20] >> 1 & 7) + 1, stated or None, _last_sample(tail, block_size))


def _last_sample(tail: bytes, block_size: int) -> int | None:
    """Find the last two frames of which one ends where the other begins, or else the last one."""
    found: int | None = None
    next_start: int | None = None
    end = len(tail)
    while (position := max(tail.rfind(sync, 0, end) for sync in _SYNC)) >= 0:
        end = position + 1
        if (frame := _read_frame_header(tail[position : position + 16], block_size)) is None:
            continue
        start, length = frame
        if next_start == start + length:
            return found
        found, next_start = start + length, start
    return found


def _read_frame_header(head: bytes, block_size: int) -> tuple[int, int] | None:
    """Return first sample and number of samples of a frame; None if the header is not valid."""
    if len(head) < 6 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    number, used = _read_number(head[4:])
    if not used:
        return None
    position = 4 + used
    code = head[2] >> 4
    length = _BLOCK_SIZES[code]
    if code in (6, 7):
        length = int.from_bytes(head[position : position + code - 5], "big") + 1
        position += code - 5
    position += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if position >= len(head) or _crc8(head[:position]) != head[position]:
        return None
    return (number if head[1] & 1 else number * block_size), length


def _read_number(data: bytes) -> tuple[int, int]:
    """Decode a number that is coded as in UTF-8; return it and its bytes, 0 if it is invalid."""
    first = data[0]
    used = 1 if first < 0x80 else 8 - (~first & 0xFF).bit_length()
    if (first >= 0x80 and not 2 <= used <= 7) or len(data) < used:
        return 0, 0
    number = first if used == 1 else first & (0x7F >> used)
    for byte in data[1:used]:
        if byte >> 6 != 2:
            return 0, 0
        number = number << 6 | byte & 0x3F
    return number, used


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x107 if crc & 0x80 else 0)) & 0x1FF
    return crc
