"""Sort the shapes of a folder into recordings, features and tables."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depmm.new_spec.contents import ARRAYS, SOUND, TEXTS, VIDEO, Content, probe_content
from depmm.new_spec.shapes import Shape, is_word
from depmm.new_spec.spans import Layout, Span
from depmm.new_spec.words import CLASS_WORDS, SPLITS, TRACKS, VALENCES

_MAX_PROBED = 60  # files of a table that are read
_MAX_SPLIT = 24  # values of a part of the path that may tell kinds of files apart
_MAX_SCORES = 300


@dataclass
class FileKind:
    """Files of one shape and content.

    Attributes
    ----------
    layout : Layout
        Their paths.
    content : Content
        What the first readable file contains.
    n_files : int
        Number of files, estimated if the shape was split.
    columns : dict of str to list of str
        Tables: column, or part of the path as ``"@start:stop"`` -> cells, one per row.
    n_rows : list of int
        Tables: number of rows of each file that was read.
    """

    layout: Layout
    content: Content
    n_files: int
    columns: dict[str, list[str]] = field(default_factory=dict)
    n_rows: list[int] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The constant words of the path, in lower case."""
        path = self.layout.paths[0]
        return [
            atom.lower()
            for index, atom in enumerate(path)
            if is_word(atom) and (index, index + 1) not in self.layout.spans
        ]


def find_kinds(shapes: list[Shape], root: Path) -> tuple[list[FileKind], list[Shape]]:
    """Probe the files of each shape, and split shapes whose files differ in content.

    Parameters
    ----------
    shapes : list of Shape
        The shapes.
    root : Path
        The folder.

    Returns
    -------
    kinds : list of FileKind
        Files that can be read, largest number first.
    others : list of Shape
        Shapes whose files are nothing that a spec can read.
    """
    kinds, others = [], []
    for shape in shapes:
        if shape.extension.lower() not in SOUND | VIDEO | TEXTS | ARRAYS:
            others.append(shape)
            continue
        for part in _split(shape, root):
            content = _first_content(part, root)
            if content.kind == "unknown":
                others.append(part)
                continue
            kinds.append(FileKind(Layout(part), content, part.n_files))
    n_media = sum(kind.n_files for kind in kinds if kind.content.kind in ("recording", "features"))
    for kind in kinds:
        is_table = kind.content.kind == "features" and kind.content.columns
        if is_table and kind.n_files < 3 and n_media > kind.n_files:  # one table of numbers
            kind.content = Content("table", (), kind.content.settings, kind.content.columns)
        if kind.content.kind not in ("recording", "features"):
            _read_columns(kind, root)
    return sorted(kinds, key=lambda kind: -kind.n_files), others


def _first_content(shape: Shape, root: Path) -> Content:
    """Return the content of the first of up to ten files that can be read."""
    step = max(1, len(shape.sample) // 10)
    for path in shape.sample[::step]:
        content = probe_content(root / path)
        if content.kind != "unknown":
            return content
    return Content("unknown")


def _split(shape: Shape, root: Path) -> list[Shape]:
    """Split a shape at words that tell contents apart, such as COVAREP and FORMANT."""
    if shape.extension.lower() in SOUND | VIDEO or len(shape.sample) < 2:
        return [shape]
    layout = Layout(shape)
    for span, values in layout.spans.items():
        if span[1] != span[0] + 1 or not is_word(layout.paths[0][span[0]]):
            continue
        counts = Counter(values)
        groups = _group_words(shape, values, counts, root) if 1 < len(counts) <= _MAX_SPLIT else []
        if len(groups) < 2:
            continue
        parts = []
        for words in groups:
            paths = [path for path, v in zip(shape.sample, values, strict=True) if v in words]
            n_files = round(shape.n_files * len(paths) / len(values))
            restricted = shape.restricted | ({span[0]: tuple(words)} if len(words) > 1 else {})
            part = Shape(f"{shape.key} {words[0]}", max(n_files, 1), paths, restricted)
            parts += _split(part, root)
        return parts
    return [shape]


def _group_words(
    shape: Shape, values: list[str], counts: Counter[str], root: Path
) -> list[list[str]]:
    """Group the words of a part of the path by the content of their files."""
    lower = {value.lower() for value in counts}
    if lower <= SPLITS.keys() | VALENCES.keys() | CLASS_WORDS:
        return []
    if lower & TRACKS.keys():
        return [[value] for value in sorted(counts)]
    groups: dict[Any, list[str]] = {}
    for value in sorted(counts):
        files = [path for path, v in zip(shape.sample, values, strict=True) if v == value]
        content = _first_content(Shape("", len(files), files[:3]), root)
        groups.setdefault(content.signature, []).append(value)
    return list(groups.values())


def _read_columns(kind: FileKind, root: Path) -> None:
    """Read the columns of some files of a table, and the parts of their paths."""
    sample = kind.layout.shape.sample
    is_score = kind.content.kind == "score"
    if kind.content.kind == "transcript":
        kind.columns = {span_column(span): values for span, values in kind.layout.spans.items()}
        return
    at_most = _MAX_SCORES if is_score else _MAX_PROBED
    chosen = range(0, len(sample), max(1, len(sample) // at_most))
    columns: dict[str, list[str]] = {name: [] for name in kind.content.columns}
    captured: dict[str, list[str]] = {span_column(span): [] for span in kind.layout.spans}
    for index in chosen:
        found = probe_content(root / sample[index])
        n_rows = found.n_rows
        if not n_rows:
            continue
        kind.n_rows.append(n_rows)
        for name, cells in columns.items():
            cells += found.columns.get(name, [""] * n_rows)
        for span, values in kind.layout.spans.items():
            captured[span_column(span)] += [values[index]] * n_rows
    kind.columns = columns | captured


def span_column(span: Span) -> str:
    """Name the column of a part of the path of a table.

    Parameters
    ----------
    span : tuple of int
        The part.

    Returns
    -------
    str
        For example ``"@0:2"``.
    """
    return f"@{span[0]}:{span[1]}"


def column_span(name: str) -> Span | None:
    """Return the part of the path that a column stands for.

    Parameters
    ----------
    name : str
        Name of a column.

    Returns
    -------
    tuple of int or None
        The part; None for a column of the table itself.
    """
    if not name.startswith("@"):
        return None
    start, _, stop = name[1:].partition(":")
    return int(start), int(stop)
