"""The header frame of an MP3 file (Xing, Info), and whether the file has the size that it states.

References
----------
G. Crocker, "Xing VBR header", 1999.
"""

from pathlib import Path

SIZE_TOLERANCE = 4096  # bytes of tags at the end of the file
_FRAME_BYTES = 2048  # contains the first frame
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
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:
            start = 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:]))
        file.seek(start)
        frame = file.read(_FRAME_BYTES)
    name = next((name for name in (b"Xing", b"Info") if name in frame), None)
    if name is None:
        return False
    fields = frame[frame.index(name) + 4 :][:12]
    if len(fields) < 12 or fields[3] & _HAS_FRAMES_AND_BYTES != _HAS_FRAMES_AND_BYTES:
        return False
    stated = int.from_bytes(fields[8:12], "big")
    return abs(size - start - stated) <= SIZE_TOLERANCE
