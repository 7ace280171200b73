"""Convert and check the text of table cells and file-name fields: numbers, names and codes."""

import math
from collections.abc import Collection

from depmm.corpora.errors import ManifestError
from depmm.corpora.spec_schema import Spec

Fields = dict[str, str | None]  # name -> text; None where unknown


def parse_number(
    text: str | None, what: str, source: str, session: str | None = None
) -> float | None:
    """Read a finite number.

    Parameters
    ----------
    text : str or None
        The cell.
    what : str
        What the cell is, for the message, for example ``"session 1: age"``.
    source : str
        Table or pattern that provides the cell.
    session : str, optional
        Session that the cell belongs to.

    Returns
    -------
    float or None
        The number; None for an empty cell.

    Raises
    ------
    ManifestError
        If the text is not a finite number.
    """
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ManifestError(
            f"{what} is {text!r}, which is not a number. Correct {source}, or translate it under "
            "codes: in the spec (null: unknown).",
            session=session,
            value=text,
        )
    return value


def check_allowed(
    text: str | None,
    allowed: Collection[str],
    what: str,
    field: str,
    source: str = "the table",
    session: str | None = None,
) -> None:
    """Check that a cell is empty or has one of the allowed values.

    Parameters
    ----------
    text : str or None
        The cell.
    allowed : collection of str
        The allowed values.
    what : str
        What the cell is, for the message.
    field : str
        The field that ``codes`` of a spec can translate.
    source : str, default "the table"
        Table or pattern that provides the cell.
    session : str, optional
        Session that the cell belongs to.

    Raises
    ------
    ManifestError
        If the cell has another value.
    """
    if text is not None and text not in allowed:
        raise ManifestError(
            f"{what} is {text!r}, not one of {', '.join(allowed)}. Translate it under codes: "
            f"{field}: in the spec (null: unknown), or correct {source}.",
            column=field,
            session=session,
            value=text,
        )


def translate_codes(spec: Spec, source: Fields, target: Fields, location: str) -> None:
    """Apply ``codes`` of a spec to fields, in the listed order.

    Parameters
    ----------
    spec : Spec
        The spec.
    source : dict of str to str or None
        Fields with the codes.
    target : dict of str to str or None
        Fields to which the names are written; may be ``source``.
    location : str
        File or row of the fields, for the message.

    Raises
    ------
    ManifestError
        If ``codes`` does not list a code.
    """
    for name, rule in spec.codes.items():
        origin = rule.of or name
        code = source.get(origin)
        if code is None:
            continue
        if code not in rule.names:
            raise ManifestError(
                f"{location}: {origin} is {code!r}, which codes.{name} does not translate (known: "
                f"{', '.join(rule.names)}). Add it there, or leave the file or row out with drop:.",
                setting=f"codes.{name}",
                value=code,
            )
        target[name] = rule.names[code]
