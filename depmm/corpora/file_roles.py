"""Roles of the files in a corpus folder: recording, table, ignored, excluded or unmatched."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from depmm.corpora.cells import Fields
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest_rules import is_safe_path
from depmm.corpora.patterns import (
    Pattern,
    compile_pattern,
    compile_rules,
    excluded_value,
    fill_template,
)
from depmm.corpora.recording_files import RecordingFile
from depmm.corpora.spec_schema import TRUTH_FILE, RecordingPattern, Spec
from depmm.corpora.tables.table_files import normalize


@dataclass
class FileRoles:
    """The files of a corpus folder by their role; all paths are relative to the folder.

    Attributes
    ----------
    recordings : list of RecordingFile
        Files that match a pattern under ``recordings``.
    tables : dict of str to list of str
        File pattern of a table -> paths.
    ignored : list of str
        Files that match ``ignore`` of the spec.
    unused_ignores : list of str
        Patterns of ``ignore`` that match no file.
    unmatched : list of str
        Files that no pattern matches.
    excluded : list of tuple of (str, str)
        Path, and the rule of the spec that excludes it.
    hidden : int
        Number of files and folders whose name starts with a dot, which are never read.
    unreadable : dict of str to str
        Broken links, special files, folders that cannot be listed, and files whose name cannot be
        used -> the reason.
    left_out : dict of int to Counter
        Index of a pattern under ``recordings`` -> number of its files that each field and value
        excludes.
    left_out_examples : dict of int to str
        Index of a pattern under ``recordings`` -> the first of its files that is left out.
    """

    recordings: list[RecordingFile] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    unused_ignores: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)
    hidden: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    left_out: dict[int, Counter[tuple[str, str]]] = field(default_factory=dict)
    left_out_examples: dict[int, str] = field(default_factory=dict)


def find_files(spec: Spec, root: Path) -> FileRoles:
    """Walk a corpus folder once and assign a role to every file.

    Parameters
    ----------
    spec : Spec
        The spec; the first pattern of ``recordings`` that matches a file is used.
    root : Path
        The folder.

    Returns
    -------
    FileRoles
        Every visible file exactly once; only a table file may be read by several tables.

    Raises
    ------
    ManifestError
        If a folder cannot be listed.
    """
    roles = FileRoles()
    ignore = {text: compile_pattern(text) for text in spec.ignore}
    unused = set(ignore)
    patterns = [(compile_pattern(entry.pattern), entry) for entry in spec.recordings]
    tables = {table.file: compile_pattern(table.file) for table in spec.all_tables if table.file}
    roles.tables = {text: [] for text in tables}
    paths = sorted(_walk(root, roles))
    if not all(map(str.isascii, paths)):
        paths = _without_equal_names(paths, roles)
    for path in paths:
        name = normalize(path)
        ignoring = [text for text, pattern in ignore.items() if pattern.match(name) is not None]
        if name == TRUTH_FILE or ignoring:
            roles.ignored.append(path)
            unused -= set(ignoring)
            continue
        readers = [text for text, pattern in tables.items() if pattern.match(name) is not None]
        for text in readers:
            roles.tables[text].append(path)
        if not readers and not _match_recording(path, name, patterns, roles):
            roles.unmatched.append(path)
    roles.unused_ignores = [text for text in spec.ignore if text in unused]
    roles.unreadable = {
        path: reason
        for path, reason in sorted(roles.unreadable.items())
        if not any(pattern.match(normalize(path)) for pattern in ignore.values())
    }
    return roles


def list_files(root: Path) -> tuple[list[str], dict[str, str]]:
    """List the visible files of a folder without a spec.

    Parameters
    ----------
    root : Path
        The folder.

    Returns
    -------
    paths : list of str
        Sorted paths relative to ``root``.
    unreadable : dict of str to str
        Path -> the reason why it cannot be read or stored, as in `FileRoles`.

    Raises
    ------
    ManifestError
        If the folder cannot be listed.
    """
    roles = FileRoles()
    return sorted(_walk(root, roles)), dict(sorted(roles.unreadable.items()))


def _without_equal_names(paths: list[str], roles: FileRoles) -> list[str]:
    """Leave out files whose names look the same and differ only in the form of their letters."""
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(normalize(path), []).append(path)
    for name, equal in by_name.items():
        for path in equal if len(equal) > 1 else ():
            roles.unreadable[path] = (
                f"{len(equal)} files have the name {name!r}, written with composed and with "
                "decomposed letters. Keep one of them."
            )
    return [path for path in paths if path not in roles.unreadable]


def _walk(root: Path, roles: FileRoles) -> Iterator[str]:
    """Yield the relative path of every visible file; links to folders are followed once."""
    folders, seen = [("", str(root))], {os.path.realpath(root)}
    while folders:
        prefix, folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            problem = (
                f"cannot be listed ({error.strerror}). Grant read permission, or move the folder "
                "out of the corpus."
            )
            if not prefix:
                raise ManifestError(f"{folder}: {problem}", file=folder) from None
            roles.unreadable[_printable(prefix)] = problem
            continue
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                roles.hidden += 1
            elif _is_folder(entry):
                if entry.is_symlink():
                    real = os.path.realpath(entry.path)
                    if real in seen:
                        continue
                    seen.add(real)
                folders.append((path + "/", entry.path))
            elif problem := _find_problem(entry, path):
                roles.unreadable[_printable(path)] = problem
            else:
                yield path


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _find_problem(entry: "os.DirEntry[str]", path: str) -> str:
    """Describe why a file cannot be part of a manifest; empty if it can."""
    try:
        if not entry.is_file():
            return "a broken link or a special file. Repair or remove it."
    except OSError as error:
        return f"cannot be opened ({error.strerror}). Repair or remove it."
    if not _is_utf8(path):
        return "a name that is not UTF-8. Rename the file."
    if not is_safe_path(path):
        return "a name with a backslash, or with a drive letter such as 'C:'. Rename the file."
    return ""


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def _is_utf8(path: str) -> bool:
    """Check that a name can be stored in a manifest; other file systems may have other names."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _match_recording(
    path: str, name: str, patterns: list[tuple[Pattern, RecordingPattern]], roles: FileRoles
) -> bool:
    """Assign a file to the first pattern that matches its path in composed Unicode, ``name``."""
    for index, (pattern, entry) in enumerate(patterns):
        captured = pattern.match(name)
        if captured is None:
            continue
        fields: Fields = {"path": name, "stem": PurePosixPath(name).stem, **captured}
        for field_name, text in entry.fields.items():
            fields[field_name] = fill_template(text, fields)
        excluded = excluded_value(fields, compile_rules(entry.keep, entry.drop))
        if excluded is None:
            roles.recordings.append(RecordingFile(path, index, dict(captured), fields))
        else:
            roles.excluded.append((path, f"keep/drop of {entry.pattern}"))
            roles.left_out.setdefault(index, Counter())[excluded] += 1
            roles.left_out_examples.setdefault(index, path)
        return True
    return False
