"""Find columns with scores, classes, genders, ages and splits."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from depmm.corpora.instruments import INSTRUMENTS, define_instrument, find_scale
from depmm.new_spec.contents import is_numeric
from depmm.new_spec.words import GENDERS, SPLITS, classes

_NAMES = {  # names in columns and files -> instruments, the likeliest first
    r"phq[-_ ]?8": ("PHQ-8",),
    r"phq[-_ ]?9": ("PHQ-9",),
    r"phq": ("PHQ-9", "PHQ-8"),
    r"bdi": ("BDI-II",),
    r"ham[-_ ]?d|hdrs|hrsd|hamilton": ("HAMD-17",),
    r"madrs|montgomery": ("MADRS",),
    r"gds[-_ ]?15": ("GDS-15",),
    r"gds[-_ ]?30": ("GDS-30",),
    r"gds": ("GDS-15", "GDS-30"),
    r"sds|zung": ("SDS", "SDS-index"),
}
_CES_D = define_instrument("CES-D", 0, 60, 16)  # Radloff, Appl Psychol Meas 1, 1977
_SCORE = re.compile(r"score|total|sum$|severity|depression", re.IGNORECASE)
_CLASS = re.compile(r"label|class|group|diagnos|type|binary|status|condition|category", re.I)
_BY_RANGE = ("PHQ-9", "BDI-II", "SDS-index", "SDS")


@dataclass(frozen=True)
class LabelColumn:
    """A column with scores or classes.

    Attributes
    ----------
    column : str
        Name of the column.
    rank : int
        Lower is likelier to be the label.
    instrument : str
        Instrument, with its definition if depmm does not know it.
    is_class : bool
        Whether the column contains classes.
    positive, negative : tuple of str
        Values of the classes.
    comment : str
        What was seen, and alternatives.
    n_values : int
        Number of different values.
    """

    column: str
    rank: int
    instrument: str
    is_class: bool = False
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    comment: str = ""
    n_values: int = 0


def find_label(column: str, cells: list[str], context: Iterable[str] = ()) -> LabelColumn | None:
    """Decide whether a column is a score or class of depression.

    Parameters
    ----------
    column : str
        Name of the column.
    cells : list of str
        Its cells.
    context : iterable of str
        Words of the name of the file.

    Returns
    -------
    LabelColumn or None
        The column; None if it is neither.
    """
    known = [cell for cell in cells if cell]
    values = sorted(set(known))
    if not values:
        return None
    folded = column.lower()
    if found := classes(values):
        shown = f"classes {', '.join(found[0])} against {', '.join(found[1])}"
        rank = 20 if _CLASS.search(column) else 40
        return LabelColumn(
            column, rank, "group", True, tuple(found[0]), tuple(found[1]), f"GUESS: {shown}"
        )
    if not is_numeric(known):
        return None
    numbers = [float(value) for value in values if re.search(r"\d", value)]
    if set(values) <= {"0", "1"}:
        near = " ".join([folded, *(context if column == "score" else ())]).lower()
        if not (_CLASS.search(near) or "depress" in near or _instruments(near)):
            return None
        comment = "GUESS: 1 is depressed; check it"
        rank = 30 + 5 * bool(re.search("gender|sex", folded))
        return LabelColumn(column, rank, "group", True, ("1",), ("0",), comment)
    if re.search(r"ces[-_ ]?d", folded):
        return LabelColumn(column, 0, _CES_D, comment="CES-D")
    named = _instruments(folded) or _instruments(" ".join(context).lower())
    in_name = bool(_instruments(folded))
    is_score = bool(_SCORE.search(column)) or any(_SCORE.search(word) for word in context)
    if not named and not is_score:
        return None
    fitting = [name for name in (named or _BY_RANGE) if _fits(name, numbers)]
    if not fitting:
        return None
    chosen = fitting[0]
    if _is_index(numbers) and ("SDS" in named or (not named and max(numbers) > 63)):
        chosen = "SDS-index"
    others = [name for name in (named or _BY_RANGE) if name != chosen and _fits(name, numbers)]
    seen = f"{min(numbers):g} to {max(numbers):g} in column {column}"
    comment = seen if in_name and len(fitting) == 1 else f"GUESS by name and range: {seen}"
    if others:
        comment += f"; it could be {', '.join(others)}"
    elif chosen in INSTRUMENTS and not in_name:
        comment += "; other instruments: MADRS, HAMD-17, GDS-15, ... (see Data specs)"
    rank = 0 if in_name else 5 if named else 10
    return LabelColumn(column, rank, chosen, comment=comment, n_values=len(values))


def _instruments(text: str) -> tuple[str, ...]:
    for pattern, names in _NAMES.items():
        if re.search(rf"(?<![a-z])(?:{pattern})", text):
            return names
    return ()


def _fits(name: str, numbers: list[float]) -> bool:
    scale = find_scale(name)
    lowest, highest = scale.lowest, scale.highest
    if lowest is None or highest is None:
        return False
    return all(lowest <= number <= highest for number in numbers)


def _is_index(numbers: list[float]) -> bool:
    """Check that scores are whole numbers times 1.25, rounded down or not."""
    products = {value for raw in range(20, 81) for value in (raw * 1.25, float(int(raw * 1.25)))}
    whole = {float(raw) for raw in range(20, 81)}
    return set(numbers) <= products and not (
        set(numbers) <= whole and any(number < 25 for number in numbers)
    )


def find_traits(column: str, cells: list[str]) -> tuple[str, dict[str, str | None], str] | None:
    """Decide whether a column is the gender, age or split.

    Parameters
    ----------
    column : str
        Name of the column.
    cells : list of str
        Its cells.

    Returns
    -------
    tuple of (str, dict, str) or None
        ``gender``, ``age`` or ``split``; code -> name, empty for ages; and a comment.
    """
    values = sorted({cell for cell in cells if cell})
    folded = column.strip().lower()
    if not values:
        return None
    if re.search(r"gender|^sex|geschlecht", folded) and len(values) <= 6:
        codes = {value: GENDERS.get(value.lower()) for value in values}
        if all(codes.values()):
            return "gender", codes, ""
        if set(values) <= {"0", "1"}:
            return "gender", {"0": "female", "1": "male"}, "GUESS: 0 is female; check it"
        if set(values) <= {"1", "2"}:
            return "gender", {"1": "male", "2": "female"}, "GUESS: 1 is male; check it"
        comment = "GUESS: unknown codes are read as unknown; translate them"
        return "gender", codes, comment
    if re.search(r"^age\b|^age_|^alter$", folded) and is_numeric(values):
        return "age", {}, ""
    if {value.lower() for value in values} <= SPLITS.keys() and len(values) > 1:
        return "split", {value: SPLITS[value.lower()] for value in values}, ""
    return None
