"""Name the format of a file by its first bytes, for messages about unexpected content."""

from pathlib import Path

_SIGNATURES = (
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a zip archive, as .npz and .xlsx are"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB 7.3", "a MATLAB file of version 7.3"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\x80", "a pickled Python object"),
    (b"RIFF", "a WAV or AVI recording"),
    (b"%PDF", "a PDF document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"<", "XML or HTML"),
)


def describe_content(path: Path) -> str:
    """Describe what a file contains.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        A clause, for example "its content is a zip archive, as .npz and .xlsx are".
    """
    with path.open("rb") as file:
        head = file.read(512)
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return f"its content is {name}"
    if not head.strip(b"\0"):
        return "its content is zero bytes"
    if b"\0" in head or any(byte < 9 for byte in head):
        return "its content is binary data of an unknown format"
    return "its content is text" if _is_text(head) else "its content is of an unknown format"


def _is_text(head: bytes) -> bool:
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 8
    return True
