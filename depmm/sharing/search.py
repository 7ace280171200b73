"""Search of every file of a folder for ids of subjects and for paths of a computer.

Text is searched line by line, JSON and YAML with their keys, HTML without its tags, and the names,
metadata and text of binary formats: safetensors, skops, ONNX and Parquet. Numbers of tensors are no
text. A file of another format cannot be searched and is a finding.
"""

import html
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depmm.files.limited_yaml import YamlError, load_yaml
from depmm.sharing.ids import SubjectIds

TEXT = {".csv", ".txt", ".tex", ".html", ""}
_TAGS = re.compile(r"<[^>]*>")
_DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
_MAX_HEADER = 1 << 27
# of a pre-trained network: its vocabulary contains most names and numbers
_PUBLIC = re.compile(r"(^|\.)encoders\.[^.]+\.architecture\.tokenizer(\.|\[|$)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")  # of Markdown, such as P017\_1


@dataclass(frozen=True)
class Finding:
    """Something in a file that must not be shared.

    Attributes
    ----------
    file : str
        Name of the file in the folder.
    place : str
        Line, key, tensor or part of the file.
    kind : {"id", "path", "format"}
        An id, a path, or a file that cannot be searched.
    value : str
        The id or path, or the format.
    """

    file: str
    place: str
    kind: str
    value: str

    def __str__(self) -> str:
        """Describe place and value in one line."""
        what = {"id": "the id", "path": "the path", "format": "an unknown format,"}[self.kind]
        return f"{self.file}, {self.place}: {what} {self.value}"


def search_folder(folder: Path, ids: SubjectIds) -> list[Finding]:
    """Search every file of a folder, and the names of files.

    Parameters
    ----------
    folder : Path
        The folder.
    ids : SubjectIds
        What is searched, beside paths.

    Returns
    -------
    list of Finding
        What was found, sorted by file.
    """
    findings = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        findings += [
            Finding(name, "name of the file", item.kind, item.value) for item in ids.search(name)
        ]
        if path.is_file() and not path.is_symlink():
            findings += _search_file(path, name, ids)
        elif not path.is_dir():
            findings.append(Finding(name, "the whole file", "format", "a link"))
    return findings


def _search_file(path: Path, name: str, ids: SubjectIds) -> list[Finding]:
    """Search the text of a file."""
    try:
        places = list(_read_places(path))
    except (ValueError, KeyError, OSError, YamlError, zipfile.BadZipFile) as error:
        return [Finding(name, "the whole file", "format", f"{type(error).__name__}: {error}")]
    return [
        Finding(name, place, item.kind, item.value)
        for place, key, text in places
        for item in ids.search(text, key)
    ]


def _read_places(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, key and text of everything in a file that is text."""
    suffix = path.suffix.lower()
    if suffix in (".json", ".yaml", ".yml"):
        text = path.read_text(encoding="utf-8")
        yield from _walk(json.loads(text) if suffix == ".json" else load_yaml(text))
    elif suffix == ".html":
        text = _DATA_URI.sub("", path.read_text(encoding="utf-8"))
        # attributes contain text too, for example that of a tooltip
        tags = " ".join(_TAGS.findall(text))
        yield from _lines(html.unescape(_TAGS.sub(" ", text)))
        yield from ((f"tag, {place}", key, part) for place, key, part in _lines(tags))
    elif suffix == ".md":
        yield from _lines(html.unescape(_ESCAPED.sub(r"\1", path.read_text(encoding="utf-8"))))
    elif suffix in TEXT:
        yield from _lines(path.read_text(encoding="utf-8"))
    elif suffix == ".safetensors":
        yield from _walk(_read_header(path))
    elif suffix == ".skops":
        with zipfile.ZipFile(path) as file:
            yield from (("member", "", name) for name in file.namelist())
            yield from _walk(json.loads(file.read("schema.json")))
    elif suffix == ".onnx":
        yield from _read_graph(path)
    elif suffix == ".parquet":
        yield from _read_columns(path)
    else:
        raise ValueError(suffix)


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(io.StringIO(text), 1):
        yield f"line {number}", "", line


def _walk(value: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the keys and the text of nested values; numbers are no text."""
    if _PUBLIC.search(key):
        return
    last = key.rpartition(".")[2].partition("[")[0]
    if isinstance(value, dict):
        for name, entry in value.items():
            yield f"key of {key or 'the file'}", last, str(name)
            yield from _walk(entry, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _walk(entry, f"{key}[{index}]")
    elif isinstance(value, str):
        # JSON in a string, as in the metadata of safetensors
        with suppress(ValueError):
            if isinstance(inner := json.loads(value), dict | list):
                yield from _walk(inner, key)
                return
        yield key or "the file", last, value


def _read_header(path: Path) -> Any:
    """Read the header of a safetensors file: metadata, and names of tensors."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(_MAX_HEADER, path.stat().st_size):
            raise ValueError("damaged safetensors")
        return json.loads(file.read(size))


def _read_graph(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the text of an ONNX file: names, descriptions and metadata."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    yield "model", "", f"{model.producer_name} {model.doc_string} {graph.name} {graph.doc_string}"
    for owner in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        yield from _metadata(owner)
    for node in graph.node:
        yield "node", "", " ".join([node.name, node.doc_string, *node.input, *node.output])
    for tensor in graph.initializer:
        if tensor.external_data:
            raise ValueError("weights in other files")
        yield "tensor", "", tensor.name


def _metadata(owner: Any) -> Iterator[tuple[str, str, str]]:
    for entry in getattr(owner, "metadata_props", ()):
        yield f"metadata {entry.key}", entry.key, entry.value


def _read_columns(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the text of a Parquet file: names of columns, metadata and values."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    for key, value in (table.schema.metadata or {}).items():
        yield "metadata", "", f"{key.decode(errors='replace')} {value.decode(errors='replace')}"
    for name in table.column_names:
        yield "column", "", name
        values: Iterable[Any] = table[name].unique().to_pylist()
        yield from ((f"column {name}", name, value) for value in values if isinstance(value, str))
