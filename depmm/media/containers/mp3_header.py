"""The header frame of an MP3 file (Xing, Info), and whether the file has the size that it states.

References
----------
G. Crocker, "Xing VBR header", 1999.
"""

from pathlib import Path

SIZE_TOLERANCE = 4096  # bytes of tags at the end of the file
_FRAME_BYTES = 2048  # contains the first frame
_HAS_FRAMES = 1
_HAS_FRAMES_AND_BYTES = 3


def states_its_size(path: Path) -> bool:
    """Tell whether the header frame states length and size, and the size is that of the file.

    Parameters
    ----------
    path : Path
        An MP3 file.

    Returns
    -------
    bool
        False without a header frame, and if the file was cut or joined with another.
    """
    start, fields = _read_fields(path)
    if len(fields) < 12 or fields[3] & _HAS_FRAMES_AND_BYTES != _HAS_FRAMES_AND_BYTES:
        return False
    stated = int.from_bytes(fields[8:12], "big")
    return abs(path.stat().st_size - start - stated) <= SIZE_TOLERANCE


def states_its_length(path: Path) -> bool:
    """Tell whether the file has a header frame with the number of its frames.

    Parameters
    ----------
    path : Path
        An MP3 file.

    Returns
    -------
    bool
        True also if the file was cut afterwards.
    """
    _, fields = _read_fields(path)
    return len(fields) == 12 and fields[3] & _HAS_FRAMES > 0


def _read_fields(path: Path) -> tuple[int, bytes]:
    """Return the start of the first frame, and the first 12 bytes of its fields."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:
            start = 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:]))
        file.seek(start)
        frame = file.read(_FRAME_BYTES)
    name = next((name for name in (b"Xing", b"Info") if name in frame), None)
    return start, b"" if name is None else frame[frame.index(name) + 4 :][:12]
