"""Patterns with named fields for file paths, and templates that put fields together again.

``**/{subject}_{visit:int}.mp4`` matches ``raw/S007_02.mp4`` and reads ``subject`` S007 and
``visit`` 2; the template ``{subject}-{visit}`` then makes ``S007-2``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from depmm.errors import DepmmError

_PIECE = re.compile(r"\*\*/|\*\*|\*|\{[^{}]*\}|[{}]|[^*{}]+")
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)(?::(int|[1-9][0-9]?))?\}")


class PatternError(DepmmError):
    """A pattern or template that cannot be understood; names the text and the remedy."""


@dataclass(frozen=True)
class Pattern:
    """A compiled file pattern.

    Parameters
    ----------
    text : as written
    regex : the same as one regular expression over the whole path
    fields : names in order of appearance
    integers : the fields whose leading zeros are dropped
    """

    text: str
    regex: re.Pattern[str]
    fields: tuple[str, ...]
    integers: frozenset[str]

    def match(self, path: str) -> dict[str, str] | None:
        """Read the fields from a path (POSIX, relative to the corpus root), None without match."""
        found = self.regex.fullmatch(path)
        if found is None:
            return None
        fields = found.groupdict()
        for name in self.integers:
            fields[name] = str(int(fields[name]))
        return fields


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Pattern:
    """Compile a file pattern.

    ``{name}`` is the shortest run of characters (no slash) that lets the whole path match,
    ``{name:2}`` exactly two, ``{name:int}`` digits without their leading zeros; a name used twice
    must match the same text twice. ``*`` is any run without slash, ``**/`` any number of folders.
    All else, upper and lower case included, stands for itself.

    Raises
    ------
    PatternError : unbalanced braces, an unknown field form, ``**`` inside a name, a path that is
        absolute, leaves the corpus folder or is written with backslashes
    """
    if not text or text.startswith("/") or "\\" in text or ".." in text.split("/"):
        raise PatternError(
            f"pattern {text!r}: write a path relative to the corpus root, with / and without '..'"
        )
    regex, fields, integers = "", [], set()
    for piece in _PIECE.findall(text):
        if piece == "**/" and (not regex or regex.endswith("/")):
            regex += "(?:[^/]+/)*"
        elif piece.startswith("**"):
            raise PatternError(
                f"pattern {text!r}: '**' stands alone between slashes: write '**/name'"
            )
        elif piece == "*":
            regex += "[^/]*"
        elif piece[0] not in "{}":
            regex += re.escape(piece)
        else:
            name, form = _field(piece, text)
            if name in fields:
                regex += f"(?P={name})"
                continue
            fields.append(name)
            if form == "int":
                integers.add(name)
            shape = {"": "[^/]+?", "int": "[0-9]+"}.get(form, f"[^/]{{{form}}}")
            regex += f"(?P<{name}>{shape})"
    return Pattern(text, re.compile(regex, re.DOTALL), tuple(fields), frozenset(integers))


def fill_pattern(text: str, values: Mapping[str, str], folder: str = "") -> str:
    """Write a path that a pattern matches: the inverse of ``Pattern.match``.

    Parameters
    ----------
    text : the pattern
    values : its fields, as they are to stand in the path
    folder : stands for a ``**/`` at the start; all others become nothing, and so does ``*`` unless
        it is the whole of a name

    Raises
    ------
    KeyError : a field without value
    """
    compile_pattern(text)
    pieces = [piece for piece in _PIECE.findall(text) if piece != "**/"]
    path = f"{folder}/" if folder and text.startswith("**/") else ""
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece[0] == "{":
            path += values[_field(piece, text)[0]]
        elif piece != "*":
            path += piece
        elif path[-1:] in ("", "/") and following[:1] in ("", "/", "."):
            path += "x"  # a name needs a letter; with a dot alone it would be hidden
    return path


def expand_ranges(names: Iterable[str]) -> list[str]:
    """Write out numbered names: ``x{0-2}`` is x0, x1 and x2."""
    found = []
    for name in names:
        piece = re.fullmatch(r"(.*)\{([0-9]+)-([0-9]+)\}(.*)", name)
        numbers = range(int(piece[2]), int(piece[3]) + 1) if piece else ()
        found += [f"{piece[1]}{number}{piece[4]}" for number in numbers] if piece else [name]
    return found


def field_forms(text: str) -> dict[str, str]:
    """Name the form of each field of a pattern: ``int``, a number of characters, or nothing."""
    pieces = [_field(piece, text) for piece in _PIECE.findall(text) if piece[0] == "{"]
    return dict(reversed(pieces))


@lru_cache(maxsize=1024)
def _template(text: str) -> tuple[tuple[bool, str], ...]:
    parts = []
    for piece in re.findall(r"\{[^{}]*\}|[{}]|[^{}]+", text):
        if piece[0] not in "{}":
            parts.append((False, piece))
            continue
        name, form = _field(piece, text)
        if form:
            raise PatternError(f"template {text!r}: write {{{name}}} without ':{form}'")
        parts.append((True, name))
    return tuple(parts)


def template_fields(text: str) -> tuple[str, ...]:
    """Names of the fields in a template.

    Raises
    ------
    PatternError : unbalanced braces or a name that is none
    """
    return tuple(part for is_field, part in _template(text) if is_field)


def fill_template(text: str, fields: Mapping[str, str | None]) -> str | None:
    """Fill a template; None when one of its fields is absent or empty."""
    parts = []
    for is_field, part in _template(text):
        value = fields.get(part) if is_field else part
        if value is None:
            return None
        parts.append(value)
    return "".join(parts)


@lru_cache(maxsize=1024)
def _wildcards(allowed: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        "|".join(".*".join(re.escape(part) for part in value.split("*")) for value in allowed),
        re.DOTALL,
    )


def is_kept(
    fields: Mapping[str, str | None],
    keep: Mapping[str, list[str]],
    drop: Mapping[str, list[str]],
) -> bool:
    """Say whether every ``keep`` field has a listed value and no ``drop`` field has one.

    ``*`` in a listed value stands for any text. An absent value is the empty text.
    """
    return all(
        _wildcards(tuple(values)).fullmatch(fields.get(name) or "") for name, values in keep.items()
    ) and not any(
        _wildcards(tuple(values)).fullmatch(fields.get(name) or "") for name, values in drop.items()
    )


def natural_sort_key(value: str) -> tuple[tuple[int, float, str], ...]:
    """Sort key that puts 2 before 10, also inside names, and is total for equal numbers.

    What is a number as a whole is compared as one: -3 before 1.25 before 1.5.
    """
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return ((0, float(value), value),)
    return tuple(
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for part in re.split(r"([0-9]+)", value)
        if part
    )


def _field(piece: str, text: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(piece)
    if found is None:
        raise PatternError(
            f"{text!r}: {piece!r} is no field. Write {{name}}, {{name:2}} or {{name:int}} with a "
            "name of lower-case letters, digits and _"
        )
    return found[1], found[2] or ""
