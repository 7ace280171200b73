"""Files that a pattern of the spec would match but for case, extension, blanks or hyphens."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from depmm.corpora.patterns import compile_pattern
from depmm.corpora.spec_schema import Spec
from depmm.corpora.tables.table_files import normalize

_MAX_FILES = 20_000  # that are compared
_EXTENSIONS = (
    ("wav", "flac", "mp3", "m4a", "ogg", "opus", "aac", "wma", "aif", "aiff"),
    ("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "mts", "3gp"),
    ("csv", "tsv", "txt", "xlsx", "xls", "ods", "json"),
)
_GROUP = re.compile(r"(\(\?P[<=][^)]*\))")  # its name may contain _, and its digits [0-9]
_SEPARATORS = re.compile(r"(?:\\ |\\-|[ _-])+")


@dataclass(frozen=True)
class NearMiss:
    """Files that nearly match a pattern.

    Attributes
    ----------
    pattern : str
        The pattern.
    difference : str
        ``case``, ``the extension``, or ``blanks, hyphens and underscores``.
    files : int
        Number of files.
    example : str
        The first of them.
    """

    pattern: str
    difference: str
    files: int
    example: str

    def __str__(self) -> str:
        files = "1 file differs" if self.files == 1 else f"{self.files} files differ"
        return f"{self.pattern}: {files} only in {self.difference}, for example {self.example}"


def find_near_misses(spec: Spec, unmatched: Iterable[str]) -> tuple[NearMiss, ...]:
    """Compare files that no pattern matches with the patterns of recordings and tables.

    Parameters
    ----------
    spec : Spec
        The spec.
    unmatched : iterable of str
        Paths of the files; the first 20,000 are compared.

    Returns
    -------
    tuple of NearMiss
        Per pattern and difference; a file is counted once, for its smallest difference.
    """
    patterns = [entry.pattern for entry in spec.recordings]
    patterns += [table.file for table in spec.all_tables if table.file]
    loosened = [
        (text, difference, regex)
        for text in dict.fromkeys(patterns)
        for difference, regex in _loosen(text)
    ]
    order = {difference: index for index, (difference, _) in enumerate(_loosen("a.wav"))}
    loosened.sort(key=lambda item: order[item[1]])
    found: dict[tuple[str, str], list[str]] = {}
    for index, path in enumerate(unmatched):
        if index == _MAX_FILES:
            break
        name = normalize(path)
        for text, difference, regex in loosened:
            if regex.fullmatch(name) is not None:
                found.setdefault((text, difference), []).append(path)
                break
    return tuple(
        NearMiss(text, difference, len(paths), paths[0])
        for (text, difference), paths in found.items()
    )


def _loosen(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield a difference and an expression that allows it, from the smallest one on."""
    source = compile_pattern(text).regex.pattern
    flags = re.DOTALL | re.IGNORECASE
    yield "case", re.compile(source, flags)
    stem, dot, extension = text.rpartition(".")
    family = next((group for group in _EXTENSIONS if extension.lower() in group), ())
    others = source
    if dot and family:
        others = compile_pattern(stem + ".").regex.pattern
        others += f"(?:{'|'.join(family)})"
    yield "the extension", re.compile(others, flags)
    parts = _GROUP.split(source)
    parts[::2] = [_SEPARATORS.sub("[ _-]*", part) for part in parts[::2]]
    yield "blanks, hyphens and underscores", re.compile("".join(parts), flags)
