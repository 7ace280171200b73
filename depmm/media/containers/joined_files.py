"""Refuse files that were joined byte by byte in formats that allow one recording per file.

MPEG streams, Ogg, MP3 and AAC may be joined so, and are read to their end. In MP4, WAV and FLAC,
every reader stops at the end of the first recording.
"""

from pathlib import Path

from depmm.media.errors import MediaError

MAX_BOXES = 100_000  # of MP4; a fragmented recording of a day has two per second at most


def check_single_mp4(path: Path) -> None:
    """Check that an MP4 file contains one recording.

    Only the headers of the outermost boxes are read.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    MediaError
        If a second file begins inside it.

    References
    ----------
    ISO/IEC 14496-12, section 4.2 (object structure).
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        position = 0
        for _ in range(MAX_BOXES):
            file.seek(position)
            head = file.read(16)
            if len(head) < 8:
                return
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:  # the length follows in 64 bits
                length = int.from_bytes(head[8:], "big")
            if name == b"ftyp" and position:
                raise second_recording(path, position, size)
            if length < 8:  # 0: to the end of the file
                return
            position += length


def second_recording(path: Path, position: int, size: int) -> MediaError:
    """Build the error of a file that contains two recordings.

    Parameters
    ----------
    path : Path
        The file.
    position : int
        Byte at which the second recording begins.
    size : int
        Size of the file in bytes.

    Returns
    -------
    MediaError
        The error.
    """
    return MediaError(
        path,
        f"a second recording begins at byte {position} of {size}: two files were joined byte by "
        "byte, and only the first of them would be read.",
        "Split it, or join the originals with the concat demuxer of FFmpeg.",
        value=position,
    )
