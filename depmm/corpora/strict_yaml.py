"""Strict YAML for data specs: ids such as 01 stay text, keys are unique, lines are recorded."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from depmm.files.limited_yaml import LimitedLoader, YamlError, as_yaml_error

Location = tuple[str | int, ...]  # keys and indices from the top, e.g. ("tables", 0, "join")
Problem = tuple[Location, str]  # location and message


class _Loader(LimitedLoader):
    """Safe YAML in which 01, on, no and dates stay text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute


for _tag, _regex, _first in (
    ("bool", r"^(?:true|false)$", list("tf")),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?[0-9]+\.[0-9]+$", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_regex), _first)


def parse_yaml(text: str) -> tuple[Any, dict[Location, int], list[Problem]]:
    """Parse a YAML document.

    Parameters
    ----------
    text : str
        The document.

    Returns
    -------
    values : object
        Content of the document; None if it is empty.
    lines : dict of tuple to int
        Line of every key and item, counted from 1.
    problems : list of tuple
        Keys that appear twice.

    Raises
    ------
    YamlError
        If the text is not YAML, exceeds a limit, or has an anchor or alias.
    """
    try:
        loader: Any = _Loader(text)  # PyYAML has no types
        node = loader.get_single_node()
        lines: dict[Location, int] = {}
        problems = list(_index_lines(node, (), lines))
        values = loader.construct_document(node) if node is not None else None
    except YamlError:
        raise
    except (yaml.YAMLError, RecursionError) as error:
        raise as_yaml_error(error, text) from None
    return values, lines, problems


def _index_lines(node: Any, location: Location, lines: dict[Location, int]) -> Iterator[Problem]:
    """Record the line of every key and item, and yield keys that appear twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*location, str(key.value))
            if inner in lines:
                yield inner, f"the key appears twice (first in line {lines[inner]}). Keep one."
            lines[inner] = key.start_mark.line + 1
            yield from _index_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*location, index)] = value.start_mark.line + 1
            yield from _index_lines(value, (*location, index), lines)
