"""Compare the content of data specs: which corpus of depmm has the layout that a spec describes.

A copy of a spec under another name describes the same corpus. Specs are compared by their patterns,
the columns of their tables and their codes; names of corpora and fields, titles, citations and
comments are not used. A spec has the layout of a spec of depmm if they have a recording pattern and
at least ``_MIN_SHARED`` items in common, which are at least ``_MIN_SHARE`` of the smaller set. Of
all pairs of specs of depmm, only those of AVEC 2014 have (.92); the next are .60 (AVEC 2013 and
2014) and .43 (unrelated).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache

from depmm.corpora.corpus_facts import CorpusFacts
from depmm.corpora.spec import list_spec_names, load_spec, specs_folder
from depmm.corpora.spec_schema import Spec

_MIN_SHARE = 0.75
_MIN_SHARED = 6
_RECORDING = "recording"
_SIMULATED = "ewre_simulated"  # written by depmm simulate, and a model for specs of other corpora
_CONTENT = {"recordings", "subject", "session", "steps", "tables", "codes", "label"}


def collect_facts(spec: Spec) -> CorpusFacts:
    """Collect the facts of a manifest: those that the spec states, and those of its content.

    Parameters
    ----------
    spec : Spec
        The spec.

    Returns
    -------
    CorpusFacts
        The facts, with the corpora of depmm that have this layout, and the hash of the content.
    """
    return spec.facts.model_copy(
        update={"layouts": find_layouts(spec), "spec_sha256": hash_content(spec)}
    )


def hash_content(spec: Spec) -> str:
    """Compute the SHA-256 of the content of a spec, without names, texts and windows.

    Parameters
    ----------
    spec : Spec
        The spec.

    Returns
    -------
    str
        Hexadecimal digits; equal for specs that differ only in ``name``, ``title``, ``citation``,
        comments, and in what does not change the files and tables that are read.
    """
    content = spec.model_dump(mode="json", include=_CONTENT)
    content["steps"].pop("windows")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find_layouts(spec: Spec) -> list[str]:
    """Find the corpora of depmm whose layout a spec describes.

    Parameters
    ----------
    spec : Spec
        The spec.

    Returns
    -------
    list of str
        Names of specs of depmm.
    """
    items = _items(spec)
    return [name for name, shipped in _shipped_items().items() if _same_layout(items, shipped)]


def _same_layout(first: frozenset[str], second: frozenset[str]) -> bool:
    shared = first & second
    return (
        len(shared) >= _MIN_SHARED
        and len(shared) >= _MIN_SHARE * min(len(first), len(second))
        and any(item.startswith(_RECORDING) for item in shared)
    )


@lru_cache(maxsize=1)
def _shipped_items() -> dict[str, frozenset[str]]:
    return {
        name: _items(load_spec(specs_folder() / f"{name}.yaml"))
        for name in list_spec_names()
        if name != _SIMULATED
    }


def _items(spec: Spec) -> frozenset[str]:
    """Describe the content of a spec by a set of texts, without the names of fields."""
    return frozenset(f"{kind} {_anonymous(text)}" for kind, text in _list_content(spec))


def _list_content(spec: Spec) -> Iterator[tuple[str, str]]:
    for recording in spec.recordings:
        yield _RECORDING, _file_name(recording.pattern)
    for table in spec.all_tables:
        yield "table", _file_name(table.file) if table.file else table.rows or ""
        for column in {*table.join, *table.fields.values(), *table.keep, *table.drop}:
            yield "column", column
    for values in spec.steps.expected.values():
        yield from (("expected", value) for value in values)
    for codes in spec.codes.values():
        yield from (("code", f"{code} {name}") for code, name in codes.names.items())
    yield "subject", spec.subject
    yield "session", spec.session
    if spec.label is not None:
        yield "label", f"{spec.label.instrument_text} {spec.label.effective_cut_off}"


def _anonymous(text: str) -> str:
    """Replace the fields of a pattern or template by ``*``."""
    return re.sub(r"\*+", "*", re.sub(r"\{[^{}]*\}", "*", text))


def _file_name(pattern: str) -> str:
    """Shorten a pattern to the file name and its folder; a copy may have other folders above."""
    return "/".join(pattern.replace("**/", "").split("/")[-2:])
