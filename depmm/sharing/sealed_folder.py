"""Checksums of a whole exported folder, written after the search and checked before each use."""

import hashlib
from pathlib import Path

from depmm.files.checksums import MAX_SUMS_BYTES
from depmm.files.damage import SUMS_FILE
from depmm.files.writing import write_text
from depmm.sharing.errors import SharingError

RECORD = "export.json"
SUFFIXES = {"", ".csv", ".json", ".md", ".onnx", ".safetensors", ".skops", ".yaml"}
# of a download of a hub, and of git
_IGNORED = {".cache", ".gitattributes", ".git"}
_AGAIN = "Export the run again, into a new folder: depmm export RUN FOLDER."


def seal_folder(folder: Path) -> None:
    """Write the checksums of all files.

    Every folder lists its own files, so that it is a complete run of its own; the folder above
    also lists this list.

    Parameters
    ----------
    folder : Path
        The exported folder.
    """
    lines = []
    for path in sorted(folder.iterdir()):
        name = path.name
        if path.is_dir():
            seal_folder(path)
            name, path = f"{path.name}/{SUMS_FILE}", path / SUMS_FILE
        elif name == SUMS_FILE:
            continue
        lines.append(f"{_hash(path)}  {name}\n")
    write_text(folder / SUMS_FILE, "".join(lines))


def check_sealed(folder: Path, links: bool = False) -> list[str]:
    """Check that a folder contains exactly the files of an export, unchanged.

    Parameters
    ----------
    folder : Path
        The exported folder.
    links : bool, default False
        Whether files may be links, as in the cache of a hub.

    Returns
    -------
    list of str
        Names of the files, relative to the folder, sorted.

    Raises
    ------
    SharingError
        If the folder is no export, or a file was added, removed or changed.
    """
    if not (folder / RECORD).is_file() or not (folder / SUMS_FILE).is_file():
        raise SharingError(
            f"{folder} is not an exported folder: it has no {RECORD}.", file=folder, remedy=_AGAIN
        )
    return sorted(_check(folder, "", links))


def _check(folder: Path, prefix: str, links: bool) -> list[str]:
    listed = {}
    if (folder / SUMS_FILE).stat().st_size > MAX_SUMS_BYTES:
        raise _not_exported(folder / SUMS_FILE, "is larger than that of an export")
    for line in (folder / SUMS_FILE).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    names = [f"{prefix}{SUMS_FILE}"]
    for path in sorted(folder.iterdir()):
        if path.name in _IGNORED or path.name == SUMS_FILE:
            continue
        key = f"{path.name}/{SUMS_FILE}" if path.is_dir() else path.name
        expected = listed.pop(key, None)
        if expected is None or (path.is_symlink() and (path.is_dir() or not links)):
            raise _not_exported(path, "was not written by the export")
        if path.is_dir():
            if not (path / SUMS_FILE).is_file() or _hash(path / SUMS_FILE) != expected:
                raise _not_exported(path / SUMS_FILE, "was changed after the export")
            names += _check(path, f"{prefix}{path.name}/", links)
            continue
        if path.suffix not in SUFFIXES:
            raise _not_exported(path, "is of a format that an export never contains")
        if _hash(path) != expected:
            raise _not_exported(path, "was changed after the export")
        names.append(f"{prefix}{path.name}")
    if listed:
        raise _not_exported(folder / min(listed), "is missing")
    return names


def _not_exported(path: Path, what: str) -> SharingError:
    return SharingError(f"{path} {what}.", file=path, remedy=_AGAIN)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
