"""Ends of files in formats that FFmpeg reads without an error after they were cut."""

import os
from pathlib import Path

TS_PACKET_BYTES, TS_SYNC_BYTE = 188, b"\x47"  # ISO/IEC 13818-1, 2.4.3.2
OGG_PAGE, OGG_HEADER_BYTES, OGG_END = b"OggS", 27, 4  # RFC 3533, section 6
OGG_PAGE_BYTES = 65_307  # largest size of a page


def transport_stream_is_cut(path: Path) -> bool:
    """Tell whether the last packet of an MPEG transport stream is incomplete.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        False also if the file does not consist of packets of 188 bytes from its beginning on.
    """
    remainder = path.stat().st_size % TS_PACKET_BYTES
    with path.open("rb") as file:
        starts = file.read(2 * TS_PACKET_BYTES + 1)[::TS_PACKET_BYTES]
        file.seek(-remainder, os.SEEK_END)
        return remainder > 0 and starts + file.read(1) == 4 * TS_SYNC_BYTE


def avi_is_cut(path: Path) -> bool:
    """Tell whether an AVI file is smaller than its first chunk states.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        False also if the size was not written, because the recorder was stopped.
    """
    with path.open("rb") as file:
        head = file.read(8)
    stated = int.from_bytes(head[4:], "little")
    return 0 < stated < 2**32 - 1 and path.stat().st_size < 8 + stated


def ogg_is_cut(path: Path) -> bool:
    """Tell whether the last page of an Ogg file is incomplete or not marked as the end.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        Recorders that are stopped, and some streams, leave out the mark as well.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - OGG_PAGE_BYTES))
        tail = file.read()
    page = tail[max(0, tail.rfind(OGG_PAGE)) :]
    if len(page) < OGG_HEADER_BYTES:
        return True
    sizes = page[OGG_HEADER_BYTES : OGG_HEADER_BYTES + page[26]]
    complete = OGG_HEADER_BYTES + page[26] + sum(sizes) <= len(page)
    return not (complete and page[5] & OGG_END)
