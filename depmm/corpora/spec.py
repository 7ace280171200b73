"""Data specs: one YAML file says how a corpus's files become people, sessions, steps, labels.

``data_specs/README.md`` documents every field. Reading is strict: an unknown key, a field that no
pattern or table gives, or a cut-off outside its instrument is refused with file, line and remedy.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from depmm.config import Settings, StreamConfig
from depmm.corpora.spec_rules import Place, Problem, check_spec
from depmm.corpora.spec_schema import (
    Codes,
    ExcludedInterval,
    Label,
    RecordingPattern,
    Simulation,
    Spec,
    Steps,
    StepTable,
    Table,
    Windows,
)
from depmm.errors import DepmmError, did_you_mean

__all__ = ["Spec", "SpecError", "load_spec", "parse_spec"]


class SpecError(DepmmError):
    """A data spec that cannot be used; names file, line, key, value and remedy."""


def load_spec(path: Path | str) -> Spec:
    """Read and check a data spec.

    Raises
    ------
    SpecError : no such file, not YAML, an unknown or missing key, a wrong value, a field that
        nothing gives, a cut-off outside the instrument's range
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        siblings = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise SpecError(
            f"{path}: cannot be read: {reason}. {did_you_mean(path.stem, siblings)}"
        ) from None
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str) -> Spec:
    """Check a spec given as text; ``source`` names it in errors. See ``load_spec``."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        problems = list(_index_lines(node, (), lines))
        values = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(f"{source}: not a YAML data spec: {error}. Correct the text.") from None
    if not isinstance(values, dict):
        raise SpecError(f"{source}: a spec is a mapping with name, recordings, session, ...")
    spec = None
    if not problems:
        try:
            spec = Spec.model_validate(values)
            problems = list(check_spec(spec))
        except ValidationError as error:
            problems = [_problem(dict(item)) for item in error.errors()]
    if spec is None or problems:
        raise SpecError(
            "\n".join(_say(place, message, lines, source) for place, message in problems)
        )
    if spec.word_list is not None:
        spec = spec.model_copy(update={"word_list": str(Path(source).parent / spec.word_list)})
    return spec


# ---- YAML with lines -------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 01, on, no and dates stay text, and without aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a spec needs none, and nested ones grow without bound."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not allowed: write it out", event.start_mark
            )
        return super().compose_node(parent, index)


for _tag, _regex, _first in (
    ("bool", r"^(?:true|false)$", list("tf")),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?[0-9]+\.[0-9]+$", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_regex), _first)


def _index_lines(node: Any, place: Place, lines: dict[Place, int]) -> Iterator[Problem]:
    """Note the line of every key and item; report keys that stand twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            if here in lines:
                yield here, f"stands twice (first in line {lines[here]}). Keep one."
            lines[here] = key.start_mark.line + 1
            yield from _index_lines(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            lines[(*place, position)] = value.start_mark.line + 1
            yield from _index_lines(value, (*place, position), lines)


def _say(place: Place, message: str, lines: dict[Place, int], source: str) -> str:
    known = place
    while known and known not in lines:
        known = known[:-1]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"{source}, line {lines.get(known, 1)}: {where.lstrip('.')}: {message}"


def _problem(item: dict[str, Any]) -> Problem:
    """Turn one of pydantic's errors into a place and a sentence with a remedy."""
    place = tuple(part for part in item["loc"] if part != "[key]")
    if item["type"] == "extra_forbidden":
        return place, f"unknown key. {did_you_mean(str(place[-1]), _known_keys(place[:-1]))}"
    if item["type"] == "missing":
        return place, "required, but not given. Add it."
    advice = "Put the value in quotes." if item["type"] == "string_type" else "Correct the value."
    return place, f"{item['msg']}, got {item['input']!r}. {advice}"


def _known_keys(place: Place) -> list[str]:
    """The keys of the section at ``place``."""
    sections: dict[str, type[Settings]] = {
        "recordings": RecordingPattern,
        "tables": Table,
        "steps": Steps,
        "codes": Codes,
        "label": Label,
        "simulate": Simulation,
    }
    deeper: dict[tuple[str, ...], type[Settings]] = {
        ("steps", "table"): StepTable,
        ("steps", "windows"): Windows,
        ("steps", "excluded_intervals"): ExcludedInterval,
        ("recordings", "features"): StreamConfig,
    }
    names = tuple(part for part in place if isinstance(part, str))
    model = sections.get(names[0], Spec) if names else Spec
    return list(deeper.get(names[:2], model).model_fields)
