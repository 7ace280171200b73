"""Strict YAML for data specs: ids such as 01 stay text, keys are unique, lines are recorded."""

import re
from typing import Any

from depmm.files.limited_yaml import LimitedLoader, Location, parse_document

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
    values, lines, repeated = parse_document(text, _Loader)
    return (
        values,
        lines,
        [
            (location, f"the key appears twice (first in line {first}). Keep one.")
            for location, _, first in repeated
        ],
    )
