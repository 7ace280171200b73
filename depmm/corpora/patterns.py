"""Patterns with named fields for file paths, and templates that are filled with fields.

``**/{subject}_{visit:int}.mp4`` matches ``raw/S007_02.mp4`` with ``subject`` S007 and
``visit`` 2. The template ``{subject}-{visit}`` is then filled to ``S007-2``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from depmm.errors import DepmmError

_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")
_PIECE = re.compile(r"\*\*/|\*\*|\*|\{[^{}]*\}|[{}]|[^*{}]+")
# a decimal number: Python also parses 1_0, infinity and digits of other scripts
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_DIGITS = 4000  # Python refuses to convert longer texts to int
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)(?::(int|[1-9][0-9]?))?\}")


Rule = tuple[str, re.Pattern[str], bool]  # field, its values, and whether they are kept


class PatternError(DepmmError):
    """A pattern or template that cannot be understood; ``value`` is its text."""


@dataclass(frozen=True)
class Pattern:
    """A compiled file pattern.

    Attributes
    ----------
    text : str
        The pattern as written.
    regex : re.Pattern
        Regular expression that matches the whole path.
    fields : tuple of str
        Names of the fields, in order of appearance.
    integers : frozenset of str
        The fields whose leading zeros are dropped.
    """

    text: str
    regex: re.Pattern[str]
    fields: tuple[str, ...]
    integers: frozenset[str]

    def match(self, path: str) -> dict[str, str] | None:
        """Read the fields from a path.

        Parameters
        ----------
        path : str
            Path relative to the corpus root, with ``/``.

        Returns
        -------
        dict of str to str or None
            Field -> text; None if the path does not match.
        """
        match = self.regex.fullmatch(path)
        if match is None:
            return None
        fields = match.groupdict()
        for name in self.integers:
            fields[name] = drop_zeros(fields[name])
        return fields


def drop_zeros(digits: str) -> str:
    """Remove the leading zeros of a whole number.

    Parameters
    ----------
    digits : str
        Digits.

    Returns
    -------
    str
        The digits from the first that is not zero, or ``0``.
    """
    return digits.lstrip("0") or "0"


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Pattern:
    """Compile a file pattern.

    ``{name}`` is the shortest run of characters (no slash) that lets the whole path match,
    ``{name:2}`` exactly two, ``{name:int}`` digits without their leading zeros; a name used twice
    must match the same text twice. ``*`` is any run without slash, ``**/`` any number of folders.
    Everything else matches itself, upper and lower case included, except that the extension
    (``.wav``) matches in any case, because cameras and recorders write it in both.

    Parameters
    ----------
    text : str
        The pattern.

    Returns
    -------
    Pattern
        The compiled pattern.

    Raises
    ------
    PatternError
        If braces are unbalanced, the form of a field is unknown, ``**`` is inside a name, or the
        path is absolute, leaves the corpus folder or is written with backslashes.
    """
    if not text or text.startswith("/") or "\\" in text or ".." in text.split("/"):
        raise PatternError(
            f"pattern {text!r}: write a path relative to the corpus root, with / and without '..'",
            value=text,
        )
    regex, fields, integers = "", [], set()
    extension = _EXTENSION.search(text)
    for piece in _PIECE.findall(text[: extension.start()] if extension else text):
        if piece == "**/" and (not regex or regex.endswith("/")):
            regex += "(?:[^/]+/)*"
        elif piece.startswith("**"):
            raise PatternError(
                f"pattern {text!r}: '**' must be a separate folder. Write '**/name'", value=text
            )
        elif piece == "*":
            regex += "[^/]*"
        elif piece[0] not in "{}":
            regex += re.escape(piece)
        else:
            name, form = _parse_field(piece, text)
            if name in fields:
                regex += f"(?P={name})"
                continue
            fields.append(name)
            if form == "int":
                integers.add(name)
            shape = {"": "[^/]+?", "int": "[0-9]+"}.get(form, f"[^/]{{{form}}}")
            regex += f"(?P<{name}>{shape})"
    if extension:
        regex += f"(?i:{re.escape(extension[0])})"
    return Pattern(text, re.compile(regex, re.DOTALL), tuple(fields), frozenset(integers))


def fill_pattern(text: str, values: Mapping[str, str], folder: str = "") -> str:
    """Build a path that a pattern matches: the inverse of ``Pattern.match``.

    Parameters
    ----------
    text : str
        The pattern.
    values : mapping of str to str
        The text of every field, as the path shows it.
    folder : str, default ""
        Replaces ``**/`` at the start. Every other ``**/`` is removed, and so is ``*``, except where
        it is a whole file or folder name.

    Returns
    -------
    str
        The path.

    Raises
    ------
    KeyError
        If a field has no value.
    """
    compile_pattern(text)
    pieces = [piece for piece in _PIECE.findall(text) if piece != "**/"]
    path = f"{folder}/" if folder and text.startswith("**/") else ""
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece[0] == "{":
            path += values[_parse_field(piece, text)[0]]
        elif piece != "*":
            path += piece
        elif path[-1:] in ("", "/") and following[:1] in ("", "/", "."):
            path += "x"  # a name must not be empty, nor begin with the dot of a hidden file
    return path


def expand_ranges(names: Iterable[str]) -> list[str]:
    """Expand ranges in names: ``x{0-2}`` becomes x0, x1 and x2.

    Parameters
    ----------
    names : iterable of str
        Names, some of them with a range in braces.

    Returns
    -------
    list of str
        All names.
    """
    expanded = []
    for name in names:
        match = re.fullmatch(r"(.*)\{([0-9]+)-([0-9]+)\}(.*)", name)
        if match is None:
            expanded.append(name)
        else:
            numbers = range(int(match[2]), int(match[3]) + 1)
            expanded += [f"{match[1]}{number}{match[4]}" for number in numbers]
    return expanded


def field_forms(text: str) -> dict[str, str]:
    """Return the form of each field of a pattern.

    Parameters
    ----------
    text : str
        The pattern.

    Returns
    -------
    dict of str to str
        Field -> ``int``, a number of characters, or an empty string.
    """
    pieces = [_parse_field(piece, text) for piece in _PIECE.findall(text) if piece[0] == "{"]
    return dict(reversed(pieces))


@lru_cache(maxsize=1024)
def _parse_template(text: str) -> tuple[tuple[bool, str], ...]:
    """Split a template into pairs: whether the part is a field, and its name or text."""
    parts = []
    for piece in re.findall(r"\{[^{}]*\}|[{}]|[^{}]+", text):
        if piece[0] not in "{}":
            parts.append((False, piece))
            continue
        name, form = _parse_field(piece, text)
        if form:
            raise PatternError(f"template {text!r}: write {{{name}}} without ':{form}'", value=text)
        parts.append((True, name))
    return tuple(parts)


def template_fields(text: str) -> tuple[str, ...]:
    """Return the names of the fields in a template.

    Parameters
    ----------
    text : str
        The template.

    Returns
    -------
    tuple of str
        Names, in order of appearance.

    Raises
    ------
    PatternError
        If braces are unbalanced or a name is not valid.
    """
    return tuple(part for is_field, part in _parse_template(text) if is_field)


def fill_template(text: str, fields: Mapping[str, str | None]) -> str | None:
    """Fill a template.

    Parameters
    ----------
    text : str
        The template.
    fields : mapping of str to str or None
        Values of the fields.

    Returns
    -------
    str or None
        The text; None if one of the fields is absent or unknown.

    Raises
    ------
    PatternError
        If braces are unbalanced or a name is not valid.
    """
    parts = []
    for is_field, part in _parse_template(text):
        value = fields.get(part) if is_field else part
        if value is None:
            return None
        parts.append(value)
    return "".join(parts)


@lru_cache(maxsize=1024)
def _compile_wildcards(allowed: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        "|".join(".*".join(re.escape(part) for part in value.split("*")) for value in allowed),
        re.DOTALL,
    )


def is_kept(
    fields: Mapping[str, str | None],
    keep: Mapping[str, list[str]],
    drop: Mapping[str, list[str]],
) -> bool:
    """Apply the rules ``keep`` and ``drop`` of a spec.

    Parameters
    ----------
    fields : mapping of str to str or None
        Values of the fields; an absent value is treated as an empty string.
    keep, drop : mapping of str to list of str
        Field -> values; ``*`` in a value stands for any text.

    Returns
    -------
    bool
        Whether every field in ``keep`` has a listed value and no field in ``drop`` has one.
    """
    return excluded_value(fields, compile_rules(keep, drop)) is None


def compile_rules(keep: Mapping[str, list[str]], drop: Mapping[str, list[str]]) -> list[Rule]:
    """Compile the rules ``keep`` and ``drop`` of a spec.

    Parameters
    ----------
    keep, drop : mapping of str to list of str
        Field -> values; ``*`` in a value stands for any text.

    Returns
    -------
    list of Rule
        Field, its values, and whether they are those of ``keep``.
    """
    return [
        (name, _compile_wildcards(tuple(values)), is_keep)
        for rules, is_keep in ((keep, True), (drop, False))
        for name, values in rules.items()
    ]


def excluded_value(
    fields: Mapping[str, str | None], rules: Iterable[Rule]
) -> tuple[str, str] | None:
    """Find the field that excludes a file or row by ``keep`` or ``drop`` of a spec.

    Parameters
    ----------
    fields : mapping of str to str or None
        Values of the fields; an absent value is treated as an empty string.
    rules : iterable of Rule
        The rules, see ``compile_rules``.

    Returns
    -------
    tuple of (str, str) or None
        The first field that excludes, and its value; None if the file or row is kept.
    """
    for name, values, is_keep in rules:
        value = fields.get(name) or ""
        if (values.fullmatch(value) is not None) is not is_keep:
            return name, value
    return None


def natural_sort_key(value: str) -> tuple[tuple[int, float, str], ...]:
    """Return a sort key that puts 2 before 10, also inside names.

    A text that is a number is compared by value: -3 before .5 before 1e0 before +1.5. The order is
    total: different texts of the same number, such as 2 and 02, have different keys.

    Parameters
    ----------
    value : str
        The text.

    Returns
    -------
    tuple
        The key.
    """
    if NUMBER.fullmatch(value):
        return ((0, float(value), value),)
    return tuple(
        (0, float(part) if len(part) > _MAX_DIGITS else int(part), part)
        if part.isdecimal()
        else (1, 0, part)
        for part in re.split(r"([0-9]+)", value)
        if part
    )


def _parse_field(piece: str, text: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(piece)
    if match is None:
        raise PatternError(
            f"{text!r}: {piece!r} is not a field. Write {{name}}, {{name:2}} or {{name:int}} with "
            "a name of lower-case letters, digits and _",
            value=text,
        )
    return match[1], match[2] or ""
