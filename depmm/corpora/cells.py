"""Convert and check the text of table cells and file-name fields: numbers, names and codes."""

import math
import re
from collections.abc import Collection

from depmm.corpora.patterns import NUMBER
from depmm.corpora.spec_schema import Spec, StepTable
from depmm.corpora.tables.table_files import Origin
from depmm.errors import abbreviate, closest

Fields = dict[str, str | None]  # name -> text; None where unknown

# h:mm:ss or m:ss, with a fraction of the seconds after a point or a comma
_CLOCK = re.compile(r"(?:(?:([0-9]+):([0-5]?[0-9]))|([0-9]+)):([0-5]?[0-9](?:[.,][0-9]+)?)")
_UNITS_PER_SECOND = {"seconds": 1.0, "milliseconds": 1000.0}


def parse_number(
    text: str | None, what: str, origin: Origin, session: str | None = None
) -> float | None:
    """Read a finite number.

    Parameters
    ----------
    text : str or None
        The cell.
    what : str
        What the cell is, for the message, for example ``"age"``.
    origin : Origin
        File and line of the cell, with the decimal separator of the file.
    session : str, optional
        Session that the cell belongs to.

    Returns
    -------
    float or None
        The number; None for an empty cell.

    Raises
    ------
    ManifestError
        If the text is not a finite number in the digits 0 to 9.
    """
    if text is None:
        return None
    number = text.strip()
    if origin.decimal == ",":
        number = "" if "." in number else number.replace(",", ".")
    value = float(number) if NUMBER.fullmatch(number) else math.nan
    if math.isfinite(value):
        return value + 0.0  # -0 is 0
    raise origin.error(
        f"{what} is {text[:120]!r}, which is not a number.",
        what,
        text,
        session,
        f"{_number_hint(text.strip(), origin.decimal)}Correct it, or leave the cell empty if the "
        "value is unknown and is not required.",
    )


def _number_hint(text: str, decimal: str) -> str:
    """Suggest the setting with which a text would be a number."""
    other = "," if decimal == "." else "."
    if text.count(other) == 1 and NUMBER.fullmatch(text.replace(other, ".")):
        return (
            f"If the table has decimal {'commas' if other == ',' else 'points'}, write "
            f'decimal: "{other}" in the spec\'s table. '
        )
    unit = re.fullmatch(rf"({NUMBER.pattern})\s*([a-zA-Z%]+)", text)
    if unit:
        return f"Write the number without {unit[2]!r}. "
    return ""


def parse_time(
    text: str | None, what: str, table: StepTable, origin: Origin, session: str | None = None
) -> float | None:
    """Read a time of a step table in the form that ``times`` of the table states.

    Parameters
    ----------
    text : str or None
        The cell.
    what : str
        What the cell is, for the message: ``"start"`` or ``"end"``.
    table : StepTable
        The table.
    origin : Origin
        File and line of the cell.
    session : str, optional
        Session that the cell belongs to.

    Returns
    -------
    float or None
        Seconds; None for an empty cell.

    Raises
    ------
    ManifestError
        If the text is not such a time.
    """
    if text is None:
        return None
    clock = _CLOCK.fullmatch(text.strip()) if ":" in text else None
    if table.times != "clock":
        if clock is not None:
            raise origin.error(
                f"{what} is {text!r}, which is a clock time.",
                what,
                text,
                session,
                "Write times: clock in the step table of the spec.",
            )
        value = parse_number(text, what, origin, session)
        return None if value is None else value / units_per_second(table)
    if clock is None or len(text) > 32:
        raise origin.error(
            f"{what} is {text[:120]!r}, which is not a clock time.",
            what,
            text,
            session,
            "Write h:mm:ss or m:ss, such as 0:01:02.5, or state another unit under times: in the "
            "step table of the spec.",
        )
    hours, minutes, only_minutes, seconds = clock.groups()
    whole = 3600 * int(hours or 0) + 60 * int(minutes or only_minutes)
    return whole + float(seconds.replace(",", "."))


def format_time(seconds: float, table: StepTable) -> str:
    """Write a time as a cell of a step table: the inverse of ``parse_time``.

    Parameters
    ----------
    seconds : float
        The time.
    table : StepTable
        The table.

    Returns
    -------
    str
        The cell.
    """
    if table.times == "clock":
        milliseconds = round(seconds * 1000)
        minutes, rest = divmod(milliseconds, 60_000)
        text = f"{minutes // 60:02}:{minutes % 60:02}:{rest / 1000:06.3f}"
    else:
        scale = units_per_second(table)
        text = f"{seconds * scale:.3f}" if scale < 100 else f"{seconds * scale:.0f}"
    return text.replace(".", table.decimal)


def units_per_second(table: StepTable) -> float:
    """Return how many units of the start and end columns a second has.

    Parameters
    ----------
    table : StepTable
        A table whose times are numbers.

    Returns
    -------
    float
        Units per second.
    """
    return table.times if isinstance(table.times, float) else _UNITS_PER_SECOND[table.times]


def check_allowed(
    text: str | None,
    allowed: Collection[str],
    what: str,
    field: str,
    origin: Origin,
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
    origin : Origin
        File and line of the cell.
    session : str, optional
        Session that the cell belongs to.

    Raises
    ------
    ManifestError
        If the cell has another value.
    """
    if text is None or text in allowed:
        return
    raise origin.error(
        f"{what} is {text[:120]!r}, not one of {_quote(allowed)}.",
        field,
        text,
        session,
        f"{suggest(text, allowed)}Translate it under codes: {field}: in the spec (null: unknown), "
        "or correct it.",
    )


def suggest(text: str, known: Collection[str]) -> str:
    """Suggest the known value that a text may mean.

    Parameters
    ----------
    text : str
        The unknown value.
    known : collection of str
        The known values.

    Returns
    -------
    str
        A question that ends with a blank, or an empty string.
    """
    similar = closest(text, known)
    return "" if similar is None else f"Did you mean {similar!r}? "


def _quote(values: Collection[str]) -> str:
    return abbreviate([repr(value) for value in values], at_most=20)


def translate_codes(spec: Spec, source: Fields, target: Fields, origins: dict[str, Origin]) -> None:
    """Apply ``codes`` of a spec to fields, in the listed order.

    Parameters
    ----------
    spec : Spec
        The spec.
    source : dict of str to str or None
        Fields with the codes.
    target : dict of str to str or None
        Fields to which the names are written; may be ``source``.
    origins : dict of str to Origin
        File and line of each field; the entry of the empty name is that of all other fields.

    Raises
    ------
    ManifestError
        If ``codes`` does not list a code.
    """
    for name, rule in spec.codes.items():
        code_field = rule.of or name
        code = source.get(code_field)
        if code is None:
            continue
        origin = origins.get(code_field, origins[""])
        if code not in rule.names:
            error = origin.error(
                f"{code_field} is {code[:120]!r}, which codes.{name} does not translate (known: "
                f"{_quote(rule.names)}).",
                code_field,
                code,
                remedy=f"{suggest(code, rule.names)}Add it there, or leave the file or row out "
                "with drop:.",
            )
            error.setting = f"codes.{name}"
            raise error
        target[name] = rule.names[code]
        if name != code_field and code_field in origins:
            origins[name] = origin
