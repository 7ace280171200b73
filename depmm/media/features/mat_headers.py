"""Check the header of a variable in a MATLAB file before the variable is loaded.

A small file can state or decompress to any size, so that the size is bounded before scipy allocates
memory for it.

References
----------
MathWorks, "MAT-File Format", chapter 1: a level 5 file is a header of 128 bytes and a list of data
elements; each is a tag of 8 bytes (type, number of bytes) and its content.
"""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from depmm.media.errors import MediaError
from depmm.media.features.file_content import describe_content

MAX_BYTES = 2**32  # of a variable in memory
# compressed features are at least 1/4 of their size; 64 MB may be compressed at any rate
MAX_COMPRESSION, FREE_BYTES = 100, 2**26
_BYTES = {"double": 8, "single": 4, "logical": 1}
_BYTES |= {f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)}
_COMPRESSED = 15  # type of a data element
_HEADER_BYTES = 2**16  # of flags, dimensions and name of a variable


def check_mat_variable(path: Path, variable: str) -> None:
    """Check that a variable is a dense numeric array whose size fits the file.

    Parameters
    ----------
    path : Path
        A file of version 4, 6 or 7.
    variable : str
        Name of the variable.

    Raises
    ------
    MediaError
        If the file is not such a file or is incomplete, the variable is missing, stands twice or is
        not numeric, or its size is not plausible.
    """
    contents = _list_variables(path)
    found = [(shape, kind) for name, shape, kind in contents if name == variable]
    if len(found) != 1:
        known = ", ".join(str(name) for name, _, _ in contents[:20]) or "no variable"
        problem = "is missing" if not found else f"stands {len(found)} times"
        raise MediaError(
            path,
            f"variable {variable!r} {problem} (the file has {known}).",
            "Correct variable: in the data spec.",
            value=variable,
        )
    shape, kind = found[0]
    if kind not in _BYTES:
        raise MediaError(
            path,
            f"variable {variable!r} is of class {kind}, not an array of numbers.",
            "Save a full numeric array: full(x) of a sparse one, a field of a struct as a variable "
            "of its own.",
            value=kind,
        )
    file_bytes = path.stat().st_size
    stated = math.prod(int(length) for length in shape) * _BYTES[kind]
    limit = min(MAX_BYTES, max(FREE_BYTES, MAX_COMPRESSION * file_bytes))
    with path.open("rb") as file:
        stated = max([stated, *_stated_bytes(file, variable)])
    if stated > limit:
        raise MediaError(
            path,
            f"variable {variable!r} of shape {tuple(int(n) for n in shape)} states {stated} bytes; "
            f"at most {limit} are plausible for a file of {file_bytes} bytes.",
            "Copy the file again; save larger features as .npy or with single precision.",
            value=stated,
        )


def _list_variables(path: Path) -> list[Any]:
    """Return name, shape and class of each variable."""
    from scipy.io import whosmat

    with path.open("rb") as file:
        head = file.read(520)
    if head.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n\x1a\n" in head:
        raise MediaError(
            path,
            "is a MATLAB file of version 7.3 (HDF5); versions up to 7.2 can be read.",
            "Save it with -v7.",
            value="7.3",
        )
    try:
        with warnings.catch_warnings():  # for example about names that stand twice
            warnings.simplefilter("ignore")
            return list(whosmat(path, appendmat=False))
    except Exception as error:  # scipy raises anything on damaged files
        raise MediaError(
            path,
            f"not a complete MATLAB file: {describe_content(path)} ({str(error)[:200]}).",
            "Copy it again, or save it with -v7.",
        ) from None


def _stated_bytes(file: IO[bytes], variable: str) -> Iterator[int]:
    """Yield the bytes of the values of a compressed variable, as its own header states them."""
    head = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
    if order is None:  # version 4, which is not compressed
        return
    while len(tag := file.read(8)) == 8:
        kind, n_bytes = struct.unpack(f"{order}II", tag)
        end = file.tell() + n_bytes
        if kind == _COMPRESSED:
            start = zlib.decompressobj().decompress(file.read(_HEADER_BYTES), _HEADER_BYTES)
            elements = list(_elements(start, order))  # flags, dimensions, name, values
            if len(elements) > 3 and elements[2][0] == variable.encode():
                yield elements[3][1]
        file.seek(end)


def _elements(start: bytes, order: str) -> Iterator[tuple[bytes, int]]:
    """Yield content and size of each element of a matrix that starts in ``start``."""
    position = 8  # after the tag of the matrix
    while position + 8 <= len(start):
        kind, n_bytes = struct.unpack(f"{order}II", start[position : position + 8])
        if kind >> 16:  # a small element: size and type in 4 bytes, the content in the next 4
            yield start[position + 4 : position + 4 + (kind >> 16)], kind >> 16
            position += 8
            continue
        yield start[position + 8 : position + 8 + n_bytes], n_bytes
        position += 8 + n_bytes + -n_bytes % 8
