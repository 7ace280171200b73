"""Find columns with scores, classes, genders, ages and splits."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from depmm.corpora.instruments import INSTRUMENTS, define_instrument, find_scale, short_name
from depmm.corpora.manifest_rules import MAX_AGE
from depmm.corpora.patterns import NUMBER
from depmm.errors import abbreviate, count_of
from depmm.new_spec.contents import NOT_NUMBERS, is_numeric
from depmm.new_spec.words import GENDERS, SPLITS, classes

_CES_D = define_instrument("CES-D", 0, 60, 16)  # Radloff, Appl Psychol Meas 1, 1977
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
    r"ces[-_ ]?d": (_CES_D,),
}
_SCORE = re.compile(r"score|total|sum(?:me)?$|severity|depression", re.IGNORECASE)
_TRAIT = re.compile(
    r"(?:subject|participant|patient)?[\W_]*(?:age|alter|gender|sex|geschlecht)"
    r"(?:[\W_]*(?:years?|yrs?|jahren?|codes?|in|[fmw]))*[\W_]*",
    re.IGNORECASE,
)
_CLASS = re.compile(r"label|class|group|gruppe|diagnos|type|binary|status|condition|category", re.I)
# codes of unknown values if they are outside of the range: -9, 99, 888, n/a; without the asterisk,
# which stands for any text in a spec
_MISSING = re.compile(
    r"-[0-9]+(?:\.0+)?|([789])\1+(?:\.0+)?|[^\w*]+|#[^*]*|n\.?/?an?\.?|k\.? ?a\.?|none|null|missing"
    r"|unknown",
    re.IGNORECASE,
)
_MAX_UNFIT = 0.2  # share of the other cells of a column that are outside of the range
_MAX_SHOWN = 20  # letters of a value in a comment
_MIN_ITEMS = 3  # columns of an instrument whose values are all those of an item
_HIGHEST_ITEM = 6  # of MADRS; items of the other instruments reach 1 to 4
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
    missing : tuple of str
        Values that seem to be codes of unknown scores.
    """

    column: str
    rank: int
    instrument: str
    is_class: bool = False
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    comment: str = ""
    n_values: int = 0
    missing: tuple[str, ...] = ()


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
    folded = column.lower()
    own = _instruments(folded)
    missing = _find_missing(cells, own)
    known = [cell for cell in cells if cell and cell not in missing]
    values = sorted(set(known))
    if not values or len(known) < sum(n for code, n in missing.items() if code not in NOT_NUMBERS):
        return None
    codes, unknown = tuple(sorted(missing)), _describe_missing(missing)
    if found := classes(values):
        shown = f"classes {', '.join(found[0])} against {', '.join(found[1])}"
        rank = 20 if _CLASS.search(column) else 40
        return LabelColumn(
            column, rank, "group", True, tuple(found[0]), tuple(found[1]),
            f"GUESS: {shown}{unknown}", missing=codes,
        )  # fmt: skip
    if not own and not is_numeric(known):
        return None
    if set(values) <= {"0", "1"}:
        near = " ".join([folded, *(context if column == "score" else ())]).lower()
        if not (_CLASS.search(near) or "depress" in near or _instruments(near)):
            return None
        comment = f"GUESS: 1 is depressed; check it{unknown}"
        rank = 30 + 5 * bool(re.search("gender|sex", folded))
        return LabelColumn(column, rank, "group", True, ("1",), ("0",), comment, missing=codes)
    named = own or _instruments(" ".join(context).lower())
    is_score = bool(_SCORE.search(column)) or any(_SCORE.search(word) for word in context)
    if not named and not is_score:
        return None
    unfit = {name: _unfit(known, name) for name in named or _BY_RANGE}
    fewest = min(cells.total() for cells in unfit.values())
    if fewest > (_MAX_UNFIT * len(known) if own else 0):
        return None
    fitting = [name for name, cells in unfit.items() if cells.total() == fewest]
    chosen = fitting[0]
    numbers = [float(value) for value in values if value not in unfit[chosen]]
    if _is_index(numbers) and ("SDS" in named or (not named and max(numbers) > 63)):
        chosen = "SDS-index"
    others = [short_name(name) for name in fitting if name != chosen]
    seen = f"{min(numbers):g} to {max(numbers):g} in column {column}"
    comment = seen if own and len(fitting) == 1 else f"GUESS by name and range: {seen}"
    if others:
        comment += f"; it could be {', '.join(others)}"
    elif chosen in INSTRUMENTS and not own:
        comment += "; other instruments: MADRS, HAMD-17, GDS-15, ... (see Data specs)"
    comment += unknown
    if outside := unfit[chosen]:
        shown = f"{_count(outside)}, not a score of {short_name(chosen)}"
        comment += f"; depmm index will stop: {shown}. Correct or empty it"
    rank = 0 if own else 5 if named else 10
    return LabelColumn(
        column, rank, chosen, comment=comment, n_values=len(values) + len(codes), missing=codes
    )


def find_items(columns: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Find columns with the single items of an instrument, such as PHQ8_1 to PHQ8_8.

    Parameters
    ----------
    columns : mapping of str to list of str
        Column -> its cells.

    Returns
    -------
    dict of str to tuple of str
        Instrument -> its columns, at least three.
    """
    found: dict[str, list[str]] = {}
    for column, cells in columns.items():
        names = _instruments(column.lower())
        is_whole = any(re.fullmatch(pattern, column.lower()) for pattern in _NAMES)
        if not names or is_whole or _SCORE.search(column) or _CLASS.search(column):
            continue
        missing = _find_missing(cells, names)
        known = {cell for cell in cells if cell and cell not in missing}
        if known and all(NUMBER.fullmatch(c) and 0 <= float(c) <= _HIGHEST_ITEM for c in known):
            found.setdefault(short_name(names[0]), []).append(column)
    return {name: tuple(items) for name, items in found.items() if len(items) >= _MIN_ITEMS}


def describe_unused(column: str, cells: list[str]) -> str | None:
    """Explain why a column that is named after an instrument is not a score of it.

    Parameters
    ----------
    column : str
        Name of the column.
    cells : list of str
        Its cells.

    Returns
    -------
    str or None
        The reason; None if the column is not named after an instrument, or is empty.
    """
    known = [cell for cell in cells if cell]
    own = _instruments(column.lower())
    if not own or not known:
        return None
    unfit = _unfit(known, own[0])
    shown = f"{unfit.total()} of {len(known)} values are not scores of {short_name(own[0])}"
    return f"{column} ({shown}: {_count(unfit)})"


def _find_missing(cells: Iterable[str], names: tuple[str, ...]) -> Counter[str]:
    """Count the codes of unknown scores; without an instrument, those of programs only."""
    return Counter(
        {
            cell: n
            for cell, n in Counter(cells).items()
            if cell in NOT_NUMBERS
            or (names and _MISSING.fullmatch(cell) and all(_unfit([cell], name) for name in names))
        }
    )


def _describe_missing(missing: Counter[str]) -> str:
    return f"; GUESS: {_count(missing)} is read as unknown" if missing else ""


def _count(cells: Counter[str]) -> str:
    """Name values with their numbers of rows."""
    shown = [
        f"{cell if len(cell) <= _MAX_SHOWN else cell[:_MAX_SHOWN] + '...'} in {count_of(n, 'row')}"
        for cell, n in cells.most_common()
    ]
    return abbreviate(shown, 5)


def _instruments(text: str) -> tuple[str, ...]:
    for pattern, names in _NAMES.items():
        if re.search(rf"(?<![a-z])(?:{pattern})", text):
            return names
    return ()


def _unfit(cells: Iterable[str], name: str) -> Counter[str]:
    """Count the cells that are not scores of an instrument."""
    scale = find_scale(name)
    lowest, highest = scale.lowest, scale.highest
    assert lowest is not None
    assert highest is not None
    return Counter(
        cell for cell in cells if not (NUMBER.fullmatch(cell) and lowest <= float(cell) <= highest)
    )


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
    guess = "" if is_trait_name(column) else f"GUESS: {column} is that of the subject"
    if re.search(r"gender|^sex|geschlecht", folded) and len(values) <= 6:
        codes, note = {value: GENDERS.get(value.lower()) for value in values}, ""
        if set(values) <= {"0", "1"}:
            codes, note = {"0": "female", "1": "male"}, "GUESS: 0 is female; check it"
        elif set(values) <= {"1", "2"}:
            codes, note = {"1": "male", "2": "female"}, "GUESS: 1 is male; check it"
        elif not all(codes.values()):
            note = "GUESS: unknown codes are read as unknown; translate them"
        return "gender", codes, "; ".join(filter(None, (note, guess)))
    if re.search(r"^age\b|^age_|^alter$", folded):
        missing = find_missing_ages(cells)
        if is_numeric([value for value in values if value not in missing]):
            return "age", {}, guess
    if {value.lower() for value in values} <= SPLITS.keys() and len(values) > 1:
        return "split", {value: SPLITS[value.lower()] for value in values}, ""
    return None


def is_trait_name(column: str) -> bool:
    """Check that a name is that of the age or gender of the subject, and of nothing else.

    Parameters
    ----------
    column : str
        Name of the column.

    Returns
    -------
    bool
        True for ``Age (years)``, False for ``Age_at_onset`` and ``Gender of the interviewer``.
    """
    return bool(_TRAIT.fullmatch(column.strip()))


def find_missing_ages(cells: list[str]) -> list[str]:
    """Find the codes of unknown ages, such as 999 and n/a.

    Parameters
    ----------
    cells : list of str
        Cells of a column of ages.

    Returns
    -------
    list of str
        The codes.
    """
    return sorted(
        cell
        for cell in set(cells)
        if _MISSING.fullmatch(cell) and not (NUMBER.fullmatch(cell) and 0 <= float(cell) <= MAX_AGE)
    )
