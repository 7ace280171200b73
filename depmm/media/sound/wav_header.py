"""The size of the sound data of a WAV file: what its header states and what the file contains."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from depmm.media.containers.unused_space import used_bytes

CHUNK_LIMIT = 10_000  # chunks of a WAV file that are read; written files have a few
_UNKNOWN_SIZE = 0x7FFF_F000  # programs that write to a pipe store this size or a larger one
_EXTENSIBLE = 0xFFFE
FIRST_CHUNKS = (b"RIFF", b"RF64", b"BW64", b"RIFX")  # names of the forms of WAV
_SECOND_CHUNKS = (*FIRST_CHUNKS, b"data")  # no reader continues behind the first sound data

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True)
class WavHeader:
    """The sound data of a WAV file, as its header states and as the file contains them.

    Attributes
    ----------
    codec : int
        Format tag: 1 for PCM, 3 for floating point, 6 and 7 for A-law and mu-law.
    n_channels : int
        Number of channels.
    rate : int
        Samples per second, in Hz.
    bytes_per_s : int
        Bytes of sound per second.
    stated_bytes : int or None
        Size of the sound data; None if the program that wrote the file did not know it.
    missing_bytes : int
        By how much the file is shorter than that.
    further_bytes : int
        What follows the sound data and is not a valid sequence of chunks, without zeros at its end.
    second_at : int or None
        Byte at which a second WAV file, or further sound data, begin behind the sound data.
    """

    codec: int
    n_channels: int
    rate: int
    bytes_per_s: int
    stated_bytes: int | None
    missing_bytes: int
    further_bytes: int
    second_at: int | None = None


def read_wav_header(path: Path) -> WavHeader | None:
    """Read the chunks of a WAV file.

    Parameters
    ----------
    path : Path
        A file that begins as WAV, also RF64, BW64 and RIFX.

    Returns
    -------
    WavHeader or None
        None if the file has no format or no sound data.
    """
    size = path.stat().st_size
    sound: tuple[int, int, int, int] | None = None  # the first attributes
    long_size: int | None = None  # of the data in files of more than 4 GB
    with path.open("rb") as file:
        order: ByteOrder = "big" if file.read(12)[:4] == b"RIFX" else "little"
        for _ in range(CHUNK_LIMIT):
            name, length = _read_chunk(file, order)
            if name == b"ds64":
                long_size = int.from_bytes(file.read(24)[8:16], "little")
                length -= 24
            elif name == b"fmt ":
                content = file.read(min(length, 40))
                sound = _read_format(content, order)
                length -= len(content)
            elif name == b"data" and sound is not None:
                if length == 0xFFFF_FFFF and long_size is not None:
                    length = long_size
                elif length >= _UNKNOWN_SIZE:
                    return WavHeader(*sound, None, 0, 0)
                end = file.tell() + length
                end_of_chunks = _end_of_chunks(file, end, size, order)
                further = size - end_of_chunks
                if further > 0:
                    further = used_bytes(path, end_of_chunks) - end_of_chunks
                file.seek(end_of_chunks)
                is_second = _read_chunk(file, order)[0] in _SECOND_CHUNKS
                second_at = end_of_chunks if is_second else None
                return WavHeader(*sound, length, max(0, end - size), max(0, further), second_at)
            elif not name:
                return None
            file.seek(length + length % 2, 1)
    return None


def _read_format(content: bytes, order: ByteOrder) -> tuple[int, int, int, int]:
    """Return codec, channels, rate and bytes per second of a format chunk."""

    def number(start: int, n_bytes: int) -> int:
        return int.from_bytes(content[start : start + n_bytes], order)

    codec = number(0, 2)
    if codec == _EXTENSIBLE:
        codec = number(24, 2)
    return codec, number(2, 2), number(4, 4), number(8, 4)


def _read_chunk(file: BinaryIO, order: ByteOrder) -> tuple[bytes, int]:
    head = file.read(8)
    if len(head) < 8:
        return b"", 0
    return head[:4], int.from_bytes(head[4:], order)


def _end_of_chunks(file: BinaryIO, position: int, size: int, order: ByteOrder) -> int:
    """Return the end of the last valid chunk from ``position`` on."""
    for _ in range(CHUNK_LIMIT):
        for start in (position + position % 2, position):  # some programs do not pad
            file.seek(start)
            name, length = _read_chunk(file, order)
            if not name:
                continue
            if name in _SECOND_CHUNKS:
                return start
            if name.isascii() and name.decode().isprintable() and start + 8 + length <= size:
                position = start + 8 + length
                break
        else:
            return position
    return position
