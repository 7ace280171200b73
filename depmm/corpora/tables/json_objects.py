"""Read JSON tables: a list of objects, or an object of named objects."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from depmm.corpora.errors import ManifestError
from depmm.corpora.tables.delimited import MAX_ROWS
from depmm.corpora.tables.table_files import Origin, normalize

_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can contain it, UTF-8 cannot
MAX_CHARACTERS = 2**24  # an empty object of three characters needs about 100 bytes


class _Object(dict[str, Any]):
    """An object of JSON, with the names that appear in it more than once."""

    repeated: frozenset[str] = frozenset()


def _build_object(pairs: list[tuple[str, Any]]) -> _Object:
    item = _Object((normalize(name), value) for name, value in pairs)
    if len(item) < len(pairs):
        counts = Counter(normalize(name) for name, _ in pairs)
        item.repeated = frozenset(name for name, count in counts.items() if count > 1)
    return item


def read_objects(
    text: str, file: str, key: str | None, needed: set[str]
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Read the objects of a JSON file as rows of text.

    Parameters
    ----------
    text : str
        The JSON.
    file : str
        Its name in messages.
    key : str or None
        Column for the names of an object of named objects; None for a list of objects.
    needed : set of str
        The columns that are used.

    Yields
    ------
    entry : str
        Index or name of the object.
    cells : dict of str to str or None
        Its members; None for ``null`` and for nested lists and objects that are not used.

    Raises
    ------
    ManifestError
        If the text is not JSON with flat objects, or a name that is used appears twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise ManifestError(
            f"{file}: {len(text)} characters, more than {MAX_CHARACTERS}, the limit for JSON.",
            file=file,
            value=len(text),
            remedy="Split the file, or write the table as .csv.",
        )
    try:
        content = json.loads(text, object_pairs_hook=_build_object)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"{file}: not JSON ({error}).",
            file=file,
            line=getattr(error, "lineno", None),
            remedy="Correct the file.",
        ) from None
    if isinstance(content, _Object) and key is not None:
        if content.repeated:
            name = min(content.repeated)
            raise ManifestError(
                f"{file}: the name {name!r} appears twice.",
                file=file,
                column=key,
                value=name,
                remedy="Keep one of the two objects.",
            )
        entries = [(repr(name), item, {key: name}) for name, item in content.items()]
    elif isinstance(content, list) and key is None:
        entries = [(str(index), item, {}) for index, item in enumerate(content)]
    else:
        kind = "an object" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ManifestError(
            f"{file}: contains {kind}. A list of objects is read without key: in the spec's table, "
            "an object of named objects with key:, the column for the names.",
            file=file,
            setting="key",
            remedy="Correct the file, or the key of its table.",
        )
    if len(entries) > MAX_ROWS:
        raise ManifestError(
            f"{file}: {len(entries)} objects, more than {MAX_ROWS}, the limit for a table.",
            file=file,
            value=len(entries),
            remedy="Split the file.",
        )
    complete: set[str] = set()  # names of members in objects that have all columns
    for _, item, named in entries:
        if isinstance(item, _Object) and needed <= {*item, *named}:
            complete |= set(item)
    for name, item, named in entries:
        origin = Origin(file, entry=name)
        cells = _read_object(origin, item, named, needed)
        _check_spelling(origin, needed - set(cells), set(cells) - needed - complete)
        yield name, cells


def _check_spelling(origin: Origin, missing: set[str], further: set[str]) -> None:
    """Refuse a member that no complete object has and that resembles a missing one."""
    for column in sorted(missing) if further else ():
        similar = difflib.get_close_matches(column, further, n=1, cutoff=0.8)
        if similar:
            raise origin.error(
                f"{column!r} is missing, but there is {similar[0]!r}, which no other object has.",
                column,
                similar[0],
                remedy=f"Rename it to {column!r}, or remove it.",
            )


def _read_object(
    origin: Origin, item: Any, named: dict[str, str], needed: set[str]
) -> dict[str, str | None]:
    if not isinstance(item, _Object):
        raise origin.error(
            f"{str(item)[:80]!r} is not an object with {', '.join(sorted(needed))}.",
            value=item,
            remedy="Correct the file, or name it under ignore: in the spec.",
        )
    repeated = [*(item.repeated & needed)]
    repeated += [name for name, value in named.items() if item.get(name, value) != value]
    if repeated:
        column = min(repeated)
        raise origin.error(
            f"{column!r} appears twice.", column, remedy="Keep one of the two values."
        )
    entry = {**item, **named}
    for column in needed & set(entry):
        if isinstance(entry[column], list | dict):
            raise origin.error(
                f"{column!r} is not a single value.",
                column,
                remedy="Name another column in the spec's table, or write a flat table.",
            )
    cells = {column: _cell(value) for column, value in entry.items()}
    for column in needed & set(cells):
        if _SURROGATE.search(cells[column] or ""):
            raise origin.error(
                f"{column} contains half of a character (\\ud800 to \\udfff).",
                column,
                ascii(cells[column])[:120],
                remedy="Correct the text, or write the file again.",
            )
    return cells


def _cell(value: Any) -> str | None:
    """Convert a JSON value to the text of a cell."""
    if value is None or isinstance(value, list | dict):
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return normalize(text.strip()) or None
