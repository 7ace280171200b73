"""Checksums of the files of runs and manifests, written and checked by this package.

The file ``SHA256SUMS`` of a folder, in the format of ``sha256sum``, lists its files with their
SHA-256. Every function that writes a file adds its line; every function that reads one compares.
A file without a line, written by another program, is accepted. While a file is replaced it has two
lines, of the old and of the new content: a process can be killed at any moment, and a file that
matches one of its lines is complete.
"""

import hashlib
import io
import json
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from depmm.files import writing
from depmm.files.damage import SUMS_FILE, damaged
from depmm.files.locks import locked

if TYPE_CHECKING:
    import pandas as pd

MAX_TEXT_BYTES = 128 * 2**20  # of a text file of a run or manifest
MAX_SUMS_BYTES = 16 * 2**20
_LOCK_FILE = ".depmm.checksums.lock"
_WAIT_S = 120.0  # for another process that writes a line
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
Sums = dict[str, set[str]]  # name of a file -> the digests of its lines


def read_bytes(path: Path, max_bytes: int | None = None) -> bytes:
    """Read a file and compare it with its checksum.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int, optional
        Largest size that is read.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    DamagedFileError
        If the content does not match the checksum, the path is not a file, or it is too large.
    OSError
        If it does not exist or cannot be opened.
    """
    _check_kind(path, max_bytes)
    sums = _read_sums(path.parent)
    while True:
        content = path.read_bytes()
        known = sums.get(path.name)
        if not known or hashlib.sha256(content).hexdigest() in known:
            return content
        sums = _reread_sums(path, sums)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 and compare it with its checksum.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        Its text.

    Raises
    ------
    DamagedFileError
        As ``read_bytes``, and if the file is not text in UTF-8.
    OSError
        As ``read_bytes``.
    """
    content = read_bytes(path, MAX_TEXT_BYTES)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise damaged(
            path, f"line {line} is not text in UTF-8 (byte {content[error.start]:#04x})", line=line
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, without NaN and infinities, and compare the file with its checksum.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to object
        Its content.

    Raises
    ------
    DamagedFileError
        As ``read_text``, and if the file does not contain a JSON object.
    OSError
        As ``read_bytes``.
    """
    text = read_text(path)
    if not text.strip():
        raise damaged(path, "the file is empty")
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise damaged(path, f"not JSON ({error})", line=error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"not JSON that can be used ({error})") from None
    if not isinstance(content, dict):
        raise damaged(path, f"the file contains a {type(content).__name__}, not a JSON object")
    return content


def read_table(path: Path) -> "pd.DataFrame":
    """Read a Parquet table and compare the file with its checksum.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataFrame
        The rows.

    Raises
    ------
    DamagedFileError
        As ``read_bytes``, and if the file is not Parquet.
    OSError
        As ``read_bytes``.
    """
    import pandas as pd

    content = read_bytes(path)
    if not content:
        raise damaged(path, "the file is empty")
    try:
        return pd.read_parquet(io.BytesIO(content))
    # a damaged file without a checksum can raise nearly anything
    except Exception as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise damaged(path, f"cannot be read as Parquet ({reason})") from None


def check(path: Path) -> None:
    """Compare a file with its checksum, without keeping its content in memory.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DamagedFileError
        If the content does not match the checksum, or the path is not a file.
    OSError
        If it does not exist or cannot be opened.
    """
    _check_kind(path)
    sums = _read_sums(path.parent)
    while known := sums.get(path.name):
        if _hash(path) in known:
            return
        sums = _reread_sums(path, sums)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path, rename it to ``path`` on success, and write its checksum.

    Parameters
    ----------
    path : Path
        The file to write; its folder must exist.

    Yields
    ------
    Path
        An empty new file with the same suffix; the caller writes this file.
    """
    with ExitStack() as renaming:
        temporary = renaming.enter_context(writing.replacing(path))
        yield temporary
        new = f"{_hash(temporary)}  {path.name}"
        with locked(path.with_name(_LOCK_FILE), _WAIT_S):
            lines = _read_lines(path.parent)
            old = [line for line in lines if _name(line) == path.name]
            if not old and path.is_file():  # of another program
                old = [f"{_hash(path)}  {path.name}"]
            both = list(dict.fromkeys([*lines, *old, new]))
            if both != lines:
                _write_lines(path.parent, both)
            renaming.close()
            if len(after := [line for line in both if line == new or line not in old]) < len(both):
                _write_lines(path.parent, after)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically, with its checksum.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    content : bytes
        Its content.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically, with its checksum.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    text : str
        Its content; line ends are not changed.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet atomically, without its index, with its checksum.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    table : DataFrame
        The rows.
    """
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def remove(path: Path) -> None:
    """Remove a file, if it exists, and its checksum.

    Parameters
    ----------
    path : Path
        The file.
    """
    path.unlink(missing_ok=True)
    if not path.with_name(SUMS_FILE).is_file():
        return
    with locked(path.with_name(_LOCK_FILE), _WAIT_S):
        lines = _read_lines(path.parent)
        if kept := [line for line in lines if _name(line) != path.name]:
            if kept != lines:
                _write_lines(path.parent, kept)
        else:
            path.with_name(SUMS_FILE).unlink(missing_ok=True)


def _check_kind(path: Path, max_bytes: int | None = None) -> None:
    """Refuse folders, pipes, devices and files that are too large."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise damaged(path, "a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise damaged(path, "a device or pipe, not a file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise damaged(path, f"the file has {status.st_size} bytes, at most {max_bytes} are read")


def _read_lines(folder: Path) -> list[str]:
    path = folder / SUMS_FILE
    if not path.exists():
        return []
    _check_kind(path, MAX_SUMS_BYTES)
    # lines in other formats are kept as they are
    lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    return [line for line in lines if line]


def _write_lines(folder: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    writing.write_bytes(folder / SUMS_FILE, text.encode("utf-8", "surrogateescape"))


def _name(line: str) -> str | None:
    match = _LINE.fullmatch(line)
    return match[2] if match else None


def _read_sums(folder: Path) -> Sums:
    sums: Sums = {}
    for line in _read_lines(folder):
        if (name := _name(line)) is not None:
            sums.setdefault(name, set()).add(line[:64])
    return sums


def _reread_sums(path: Path, before: Sums) -> Sums:
    """Read the checksums again if another process replaces the file, or raise the error."""
    sums = _read_sums(path.parent)
    if sums.get(path.name) != before.get(path.name):
        return sums
    raise damaged(
        path,
        f"the file is damaged or was changed: its SHA-256 is not that in {SUMS_FILE}",
        changed=True,
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")
