"""Find the fields in paths: subject, visit, date, part of a split, group, task and others."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from depmm.new_spec.files import FileKind, column_span
from depmm.new_spec.shapes import is_number, is_word
from depmm.new_spec.spans import Layout, Match, Span, match_values
from depmm.new_spec.words import (
    GENDERS,
    SPLITS,
    SUBJECT,
    TASK,
    VALENCES,
    VISIT,
    classes,
)

_MIN_SHARE = 0.5  # of the texts in paths that a column must have
_FEW = 12
DATES = {
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d": "%Y%m%d",
    r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-[0-3]\d": "%Y-%m-%d",
    r"(?:19|20)\d\d_(?:0[1-9]|1[0-2])_[0-3]\d": "%Y_%m_%d",
    r"[0-3]?\d\.(?:0?[1-9]|1[0-2])\.(?:19|20)\d\d": "%d.%m.%Y",
    r"[0-3]\d-(?:0[1-9]|1[0-2])-(?:19|20)\d\d": "%d-%m-%Y",
}
_SUBJECT_WORDS = {
    "sub", "subject", "subj", "p", "s", "vp", "participant", "patient", "pat", "speaker", "actor",
    "id", "pid", "proband", "client", "case",
}  # fmt: skip


@dataclass
class Fields:
    """The fields of a corpus and why they were chosen.

    Attributes
    ----------
    subject : str
        Template of the subject.
    session : str
        Template of the session.
    order : list of str
        Fields that order the steps.
    evidence : dict of str to str
        Field -> comment for the spec.
    roles : dict of str to str
        Field -> ``split``, ``group``, ``valence``, ``task``, ``gender``, ``visit`` or ``date``.
    date_format : str or None
        Format of the field ``date``.
    values : dict of str to set of str
        Field with a role -> its values.
    expansions : dict of str to str
        Field -> several fields of which it consists, as a pattern writes them.
    """

    subject: str = "{subject}"
    session: str = "{subject}"
    order: list[str] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    date_format: str | None = None
    values: dict[str, set[str]] = field(default_factory=dict)
    expansions: dict[str, str] = field(default_factory=dict)


def identify(primary: Layout, tables: list[FileKind]) -> Fields:
    """Name the varying parts of the paths of the main recordings.

    Parameters
    ----------
    primary : Layout
        The layout; its fields are set.
    tables : list of FileKind
        Tables, whose columns tell which part is the subject.

    Returns
    -------
    Fields
        The fields.
    """
    fields = Fields()
    find_known_words(primary, fields)
    span, match, source = _find_subject(primary, tables)
    if span is None:
        fields.subject = "all"
        fields.evidence["subject"] = "GUESS: no part of the names varies; one subject is assumed"
    else:
        _add(primary, span, "subject", integer=match.integer)
        fields.evidence["subject"] = source
        _find_visit(primary, tables, fields)
    for span in primary.uncovered():
        if is_group_code(primary.values(span)):
            _add(primary, span, "code")
    for start, stop in _join_adjacent(primary.uncovered()):
        if start not in {i for span in primary.uncovered() for i in range(*span)}:
            continue  # the same text as a part that has a name by now
        name = _free_name(primary, (start, stop))
        _add(primary, (start, stop), name)
        fields.order.append(name)
    _find_nested_session(primary, fields)
    return fields


def _add(layout: Layout, span: Span, name: str, *, integer: bool = False) -> None:
    """Add a field for a part of the path, and for every other part with the same text."""
    values = layout.values(span)
    covered = {i for start, stop in layout.fields for i in range(start, stop)}
    layout.fields[span] = name
    covered |= set(range(*span))
    if integer:
        layout.integers.add(name)
    equal = [other for other, texts in layout.spans.items() if texts == values]
    for other in sorted(equal, key=lambda item: item[0] - item[1]):
        if not covered & set(range(*other)):
            layout.fields[other] = name
            covered |= set(range(*other))


def find_known_words(layout: Layout, fields: Fields) -> None:
    """Name parts of paths whose words are those of splits, classes or valences.

    Parameters
    ----------
    layout : Layout
        The paths; fields are added.
    fields : Fields
        Where the roles of the fields are noted.
    """
    for span, values in list(layout.spans.items()):
        words = sorted(set(values))
        if span[1] != span[0] + 1 or not is_word(words[0]) or len(words) > _FEW:
            continue
        if span in layout.fields:
            continue
        lower = [word.lower() for word in words]
        is_token = _is_token(layout, span)
        if set(lower) <= SPLITS.keys() and len(words) > 1:
            role = "split"
        elif set(lower) <= VALENCES.keys():
            role = "valence"
        elif is_token and layout.is_folder(span) and classes(words):
            role = "group"
        else:
            continue
        name = {"split": "part", "valence": "valence_word"}.get(role, role)
        _add(layout, span, name)
        if role == "valence" and name not in fields.order:
            fields.order.append(name)
        fields.roles[name] = role
        fields.values.setdefault(name, set()).update(words)
        fields.evidence[name] = f"values: {', '.join(words)}"


def _is_token(layout: Layout, span: Span) -> bool:
    path = layout.paths[0]
    neighbours = [path[i] for i in (span[0] - 1, span[1]) if 0 <= i < len(path)]
    return not any(is_number(atom) or is_word(atom) for atom in neighbours)


def _find_subject(layout: Layout, tables: list[FileKind]) -> tuple[Span | None, Match, str]:
    """Choose the part that agrees with an id column, or else the most likely one."""
    best: tuple[tuple[float, ...], Span, Match, str] | None = None
    for table in tables:
        for column, cells in table.columns.items():
            captured = column_span(column)
            named = bool(SUBJECT.search(column)) or captured is not None
            unique = len(set(cells)) == len(cells) > 1
            if captured and table.content.kind not in ("score", "table"):
                continue  # such as one transcript per recording
            if captured and table.layout.n_tokens(captured) > 1:
                continue
            if not named and not unique:
                continue
            for span, values in layout.spans.items():
                if (captured and layout.n_tokens(span) > 1) or span in layout.fields:
                    continue
                match = match_values(values, cells)
                if match.share < _MIN_SHARE or match.n_common < 2:
                    continue
                simple = not match.prefix and not match.integer
                in_word = bool(re.match(r"part|visit|ses", layout.word_before(span)))
                rank = (named and not in_word, match.n_common, simple, captured is None, -span[0])
                if best is None or rank > best[0]:
                    what = "the name" if captured else f"column {column}"
                    source = (
                        f"{match.n_common} of {len(set(values))} values are in {what} of "
                        f"{table.layout.shape.sample[0]}"
                    )
                    best = rank, span, match, source
    if best is not None:
        return best[1], best[2], best[3]
    scored = sorted(
        (_subject_score(layout, span, values), span)
        for span, values in layout.spans.items()
        if span not in layout.fields and layout.n_tokens(span) == 1
    )
    if not scored:
        return None, Match(0, 0), ""
    span = scored[-1][1]
    others = [layout.values(other)[0] for _, other in scored[-2:-5:-1]]
    source = (
        f"GUESS: no table has these ids; {len(set(layout.values(span)))} values, such as "
        f"{layout.values(span)[0]}"
    )
    source += f"; other parts that vary: {', '.join(others)}" if others else ""
    return span, Match(0, 0), source


def _subject_score(layout: Layout, span: Span, values: list[str]) -> tuple[float, ...]:
    n_values = len(set(values))
    score = 2.0 * (layout.word_before(span) in _SUBJECT_WORDS)
    first = layout.paths[0][span[0] : span[1]]
    score += 2.0 * (first[0].lower() in _SUBJECT_WORDS and len(first) > 1)
    score += 1.0 * layout.is_folder(span)
    score += sum(texts == values for other, texts in layout.spans.items() if other != span)
    score -= 1.5 * (n_values == len(values) and len(layout.spans) > 1)
    score -= (1.0 + 2.0 * (len(values) > 12)) * (n_values <= 3)
    score += 0.4 * math.log2(min(n_values, 64))
    score -= 3.0 * bool(VISIT.search(layout.word_before(span)))
    score -= 5.0 * any(re.fullmatch(p, values[0]) for p in DATES)
    score += 0.5 * any(map(str.isdigit, values[0]))
    return score, n_values <= 0.5 * len(values), span[1] - span[0], -span[0]


def _find_visit(layout: Layout, tables: list[FileKind], fields: Fields) -> None:
    """Find the number or date of a visit, and a second column of a table that has it."""
    covered = {i for start, stop in layout.fields for i in range(start, stop)}
    free = {s: v for s, v in layout.spans.items() if not covered & set(range(*s))}
    for span, values in sorted(free.items(), key=lambda item: item[0][0] - item[0][1]):
        for pattern, form in DATES.items():
            if all(re.fullmatch(pattern, value) for value in values):
                _add(layout, span, "date")
                fields.roles["date"], fields.date_format = "date", form
                fields.session = "{subject}_{visit}"
                fields.evidence["date"] = f"dates such as {values[0]}"
                return
    single = {s: v for s, v in free.items() if layout.n_tokens(s) == 1}
    for table in tables:
        for column, cells in table.columns.items():
            captured = column_span(column)
            is_score = captured is not None and table.content.kind == "score"
            if not is_score and not VISIT.search(column):
                continue
            if captured and table.layout.n_tokens(captured) > 1:
                continue
            for span, values in single.items():
                match = match_values(values, cells)
                few = len(set(values)) <= _FEW
                if match.share >= 0.8 and few and _varies_in_subject(layout, values):
                    _set_visit(layout, span, fields, f"column {column} of a table has its values")
                    return
    for span, values in single.items():
        before = layout.word_before(span)
        first = layout.paths[0][span[0]].lower()
        named = VISIT.search(before) or VISIT.search(first) or before in ("t", "v")
        if named and _varies_in_subject(layout, values):
            word = before or first
            _set_visit(layout, span, fields, f"GUESS: the number after {word!r} is the visit")
            return


def _set_visit(layout: Layout, span: Span, fields: Fields, why: str) -> None:
    numbers = all(map(str.isdecimal, layout.values(span)))
    _add(layout, span, "visit", integer=numbers)
    fields.roles["visit"] = "visit"
    fields.session = "{subject}_{visit}"
    fields.evidence["visit"] = why


def _varies_in_subject(layout: Layout, values: list[str]) -> bool:
    subject = next((span for span, name in layout.fields.items() if name == "subject"), None)
    if subject is None:
        return True
    pairs = set(zip(layout.values(subject), values, strict=True))
    return len(pairs) > len(set(layout.values(subject)))


def is_group_code(values: list[str]) -> tuple[int, int] | None:
    """Check that texts are two letters for class and gender, such as PF and CM.

    Parameters
    ----------
    values : list of str
        The texts.

    Returns
    -------
    tuple of (int, int) or None
        Positions of the letters of the class and of the gender.
    """
    codes = set(values)
    if {len(code) for code in codes} != {2} or len(codes) > 4:
        return None
    for group, gender in ((0, 1), (1, 0)):
        sexes = {code[gender].lower() for code in codes}
        if classes(sorted({code[group] for code in codes})) and sexes <= GENDERS.keys():
            return group, gender
    return None


def _stem(layout: Layout) -> str:
    return layout.shape.key.removesuffix(layout.shape.extension)


def _join_adjacent(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    return joined


def _free_name(layout: Layout, span: Span) -> str:
    values = set(layout.values(span))
    before = re.sub(r"[^a-z0-9]", "", layout.word_before(span))
    folders = any(TASK.search(value) for value in values)
    if folders and len(values) <= _FEW:
        name = "task"
    elif all(map(str.isdecimal, values)):
        name = before if 1 < len(before) < 16 and before[0].isalpha() else "number"
    elif before and 2 < len(before) < 16 and before[0].isalpha():
        name = before
    elif all(len(value) == 1 for value in values):
        name = "letter"
    else:
        name = "word" if len(values) <= _FEW else "item"
    taken = {*layout.fields.values(), "path", "stem", "text", "start", "end", "split", "valence"}
    taken |= {"age", "gender", "subject", "session", "visit", "date", "group", "part", "sex"}
    if name not in taken:
        return name
    return next(f"{name}_{i}" for i in range(2, 1000) if f"{name}_{i}" not in taken)


def _find_nested_session(layout: Layout, fields: Fields) -> None:
    """Take a folder inside the folder of the subject as session, if it has several files."""
    if fields.session != "{subject}":
        return
    subject = [span for span, name in layout.fields.items() if name == "subject"]
    for span, name in sorted(layout.fields.items()):
        inner = subject and layout.is_folder(subject[0]) and span > subject[0]
        if not inner or name not in fields.order or not layout.is_folder(span):
            continue
        values = layout.values(span)
        if is_number(values[0]) and _varies_in_subject(layout, values):
            fields.session = "{subject}_{" + name + "}"
            fields.order.remove(name)
            fields.evidence[name] = "GUESS: a folder inside that of the subject is a session"
            return


def assign(layout: Layout, primary: Layout) -> None:
    """Name the parts of further files whose texts are those of fields of the main recordings.

    Parameters
    ----------
    layout : Layout
        The layout; its fields are set.
    primary : Layout
        The main recordings.
    """
    if len(layout.paths[0]) == len(primary.paths[0]) and _stem(layout) == _stem(primary):
        layout.fields.update(primary.fields)  # another extension, such as .MP4 beside .mp4
        layout.integers |= primary.integers
        return
    names = sorted(set(primary.fields.values()), key=lambda name: (name != "subject", name))
    for name in names:
        span = next(span for span, known in primary.fields.items() if known == name)
        cells = primary.values(span)
        covered = {i for start, stop in layout.fields for i in range(start, stop)}
        best = None
        for other, values in layout.spans.items():
            if covered & set(range(*other)):
                continue
            match = match_values(values, cells)
            as_text = match.n_common and not match.prefix and not match.integer
            as_number = name in primary.integers and match.integer
            if match.share >= _MIN_SHARE and (as_text or as_number):
                rank = match.n_common, match.share, -layout.n_tokens(other), -other[0]
                if best is None or rank > best[0]:
                    best = rank, other
        if best is not None:
            _add(layout, best[1], name, integer=name in primary.integers)
