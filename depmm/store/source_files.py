"""Whether the recordings of a session are still those that were extracted.

Sizes and names are part of the ``source_hash`` of a session. A recording that was replaced by one
of the same size, for example by the sound without noise, has another time of modification; as a
copy also has another one, the contents decide then.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def describe_files(root: Path, files: Iterable[str]) -> dict[str, list[Any]]:
    """Describe the files of a session as they are now.

    Parameters
    ----------
    root : Path
        Folder of the recordings.
    files : iterable of str
        Paths relative to ``root``.

    Returns
    -------
    dict of str to list
        File -> time of its last modification in ns and SHA-256 of its content; without files that
        cannot be read.
    """
    described = {}
    for file in files:
        if (modified_ns := _modified_ns(root / file)) is not None:
            try:
                described[file] = [modified_ns, _digest(root / file, modified_ns)]
            except OSError:
                continue
    return described


def have_changed(root: Path, described: Mapping[str, list[Any]]) -> bool:
    """Compare files with their description.

    Only a file with another time of modification is read.

    Parameters
    ----------
    root : Path
        Folder of the recordings.
    described : mapping of str to list
        As from :func:`describe_files`.

    Returns
    -------
    bool
        Whether a file has another content, or cannot be read.
    """
    for file, (modified_ns, digest) in described.items():
        now_ns = _modified_ns(root / file)
        if now_ns == modified_ns:
            continue
        try:
            if now_ns is None or _digest(root / file, now_ns) != digest:
                return True
        except OSError:
            return True
    return False


def file_status(file: Path) -> os.stat_result | None:
    """Look up size and times of a file.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    stat_result or None
        None for a file that cannot be read, or that is no file.
    """
    try:
        return file.stat() if file.is_file() else None
    except (OSError, ValueError):  # for example, its name is too long
        return None


def _modified_ns(file: Path) -> int | None:
    status = file_status(file)
    return None if status is None else status.st_mtime_ns


@lru_cache(maxsize=256)  # a file of many sessions is read once
def _digest(file: Path, modified_ns: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
