"""YAML of specs, configs and overrides, with limits on what a document may contain.

A few kilobytes of YAML can hold a value of gigabytes (nested aliases), or take minutes to read.
Documents that are larger than any spec or config are refused with the line of the fault, and so are
aliases, keys that appear twice, and numbers that are not exact in 64 bits.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MAX_CHARACTERS = 2**20  # of a document; the largest spec of depmm has 7,000
MAX_NODES = 50_000  # mappings, lists and values of a document
MAX_DEPTH = 30  # of nested mappings and lists
MAX_SCALAR = 10_000  # characters of a value
MAX_INTEGER = 2**63 - 1

Location = tuple[str | int, ...]  # keys and indices from the top, e.g. ("tables", 0, "join")
Repeated = tuple[Location, int, int]  # a key, and the lines of its second and first appearance


class YamlError(yaml.YAMLError):
    """A document that is not YAML, or exceeds a limit.

    Parameters
    ----------
    message : str
        What is wrong.
    line : int or None
        Line of the fault, counted from 1.
    remedy : str
        What to do.
    """

    def __init__(self, message: str, line: int | None, remedy: str) -> None:
        super().__init__(message)
        self.line = line
        self.remedy = remedy


class LimitedLoader(yaml.SafeLoader):
    """A safe loader with limits, which raises `YamlError`.

    Parameters
    ----------
    text : str
        The document.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise YamlError(
                f"the document has {len(text)} characters, more than {MAX_CHARACTERS}",
                None,
                "Give a YAML file of depmm, or shorten it.",
            )
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node of the document, which must keep the limits.

        Parameters
        ----------
        parent : yaml.Node or None
            Mapping or list that contains the node.
        index : object
            Key or index in ``parent``.

        Returns
        -------
        yaml.Node
            The node.

        Raises
        ------
        YamlError
            If a limit is exceeded, or the node has an anchor or is an alias.
        """
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise YamlError(
                f"anchors and aliases ({sign}{event.anchor:.40}) are not allowed",
                line,
                "Repeat the value; quote a text that begins with & or *.",
            )
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES:
            raise YamlError(
                f"the document has more than {MAX_NODES} values", line, "Shorten the document."
            )
        if self._depth > MAX_DEPTH:
            raise YamlError(
                f"mappings and lists are nested more than {MAX_DEPTH} deep",
                line,
                "Check the brackets and the indentation.",
            )
        value = getattr(event, "value", "")
        if len(value) > MAX_SCALAR:
            raise YamlError(
                f"a value has {len(value)} characters, more than {MAX_SCALAR} ({value[:20]!r}...)",
                line,
                "Shorten the value; check the quotation marks.",
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct the value of a node.

        Parameters
        ----------
        node : yaml.Node
            The node.
        deep : bool, default False
            Whether to construct the values inside it at once.

        Returns
        -------
        object
            The value.

        Raises
        ------
        YamlError
            If the text is not a value of its type, or a number does not fit into 64 bits.
        """
        line = node.start_mark.line + 1
        text = f"{node.value:.40}" if isinstance(node, yaml.ScalarNode) else node.tag
        try:
            value = super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
            raise YamlError(
                f"{text!r} is not a value of the type {node.tag.rpartition(':')[2]} "
                f"({error!s:.100})",
                line,
                "Correct the value, or quote it if it is text.",
            ) from None
        is_infinite = isinstance(value, float) and math.isinf(value)
        if (isinstance(value, int) and abs(value) > MAX_INTEGER) or (
            is_infinite and ".inf" not in node.value.lower()
        ):
            raise YamlError(
                f"the number {text}{'' if len(node.value) < 40 else '...'} does not fit into 64 "
                "bits",
                line,
                "Give a smaller number, or quote it if it is text.",
            )
        return value


def load_yaml(text: str) -> Any:
    """Parse a YAML document of a config or an override.

    Parameters
    ----------
    text : str
        The document.

    Returns
    -------
    object
        Its content; None if it is empty.

    Raises
    ------
    YamlError
        If it is not YAML, exceeds a limit, or a key appears twice in a mapping.
    """
    values, _, repeated = parse_document(text)
    for location, line, first in repeated:
        raise YamlError(
            f"the key {location[-1]:.40} appears twice (first in line {first})", line, "Keep one."
        )
    return values


def parse_document(
    text: str, loader_class: type[LimitedLoader] = LimitedLoader
) -> tuple[Any, dict[Location, int], list[Repeated]]:
    """Parse a YAML document, and locate its keys.

    Parameters
    ----------
    text : str
        The document.
    loader_class : type, default LimitedLoader
        Which values text without quotation marks stands for.

    Returns
    -------
    values : object
        Its content; None if it is empty.
    lines : dict of tuple to int
        Line of every key and item, counted from 1.
    repeated : list of tuple of (tuple, int, int)
        Each key that appears twice in a mapping: its location, and the lines of its second and
        first appearance.

    Raises
    ------
    YamlError
        If it is not YAML, or exceeds a limit.
    """
    try:
        loader = loader_class(text)
        node = loader.get_single_node()
        lines: dict[Location, int] = {}
        repeated = list(_index_lines(node, (), lines))
        return None if node is None else loader.construct_document(node), lines, repeated
    except YamlError:
        raise
    except (yaml.YAMLError, RecursionError) as error:
        raise _as_yaml_error(error, text) from None


def _as_yaml_error(error: Exception, text: str) -> YamlError:
    """Convert an error of the YAML library to one with its message, on one line, and its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
    if isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    line = None if mark is None else mark.line + 1
    if isinstance(error, yaml.reader.ReaderError):  # a control character
        line = text.count("\n", 0, error.position) + 1
        reason = f"the character {text[error.position : error.position + 1]!r} is not allowed"
    return YamlError(
        f"not valid YAML: {reason:.200}",
        line,
        "Check brackets, quotation marks and indentation.",
    )


def _index_lines(node: Any, location: Location, lines: dict[Location, int]) -> Iterator[Repeated]:
    """Record the line of every key and item, and yield keys that appear twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner, line = (*location, str(key.value)), key.start_mark.line + 1
            if inner in lines:
                yield inner, line, lines[inner]
            lines[inner] = line
            yield from _index_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*location, index)] = value.start_mark.line + 1
            yield from _index_lines(value, (*location, index), lines)


def check_size(path: Path) -> None:
    """Refuse a file that cannot be a YAML file of depmm, before it is read.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    YamlError
        If it is not a regular file, or larger than a document may be.
    OSError
        If it does not exist.
    """
    if path.exists() and not path.is_file():
        raise YamlError("it is not a file", None, "Give the path of a YAML file.")
    if (size := path.stat().st_size) > 4 * MAX_CHARACTERS:  # a character has at most 4 bytes
        raise YamlError(
            f"the file has {size} bytes, more than any YAML file of depmm",
            None,
            "Give the path of a spec or config.",
        )
