"""Build the rows of ``sessions.parquet``: common fields of the files, score and label."""

from typing import Any

from depmm.corpora.cells import check_allowed, parse_number
from depmm.corpora.instruments import check_score
from depmm.corpora.manifest_rules import MAX_AGE
from depmm.corpora.recording_files import FileGroup
from depmm.corpora.spec_schema import Spec
from depmm.corpora.tables.table_files import Origin
from depmm.schemas.manifest import GENDERS, SPLITS


def build_session_row(spec: Spec, session: str, groups: list[FileGroup]) -> dict[str, Any]:
    """Build the row of a session, without its ids.

    Parameters
    ----------
    spec : Spec
        The spec.
    session : str
        Session id.
    groups : list of FileGroup
        The files of the session.

    Returns
    -------
    dict of str to object
        Column -> value.

    Raises
    ------
    ManifestError
        If files of the session contradict each other, or a number, split, gender, class or score is
        invalid.
    """
    names = {"split", "gender", "age", *spec.columns}
    if spec.label:
        label = spec.label
        names |= {name for name in (label.score, label.field, label.original) if name}
    cells = {name: _agreed_value(session, groups, name) for name in sorted(names)}
    for name, allowed in (("split", SPLITS), ("gender", GENDERS)):
        value, origin = cells[name]
        check_allowed(value, allowed, f"{name} of session {session}", name, origin, session)
    return {
        **_label_columns(spec, session, cells),
        "split": cells["split"][0],
        "gender": cells["gender"][0],
        "age": _parse_age(session, *cells["age"]),
        **{name: cells[name][0] for name in spec.columns},
    }


def _parse_age(session: str, text: str | None, origin: Origin) -> float | None:
    age = parse_number(text, "age", origin, session)
    if age is not None and not 0 <= age <= MAX_AGE:
        raise origin.error(
            f"age {text!r} of session {session} is not between 0 and {MAX_AGE} years.",
            "age",
            text,
            session,
            "Correct it, or name the right column in the spec.",
        )
    return age


def _agreed_value(session: str, groups: list[FileGroup], name: str) -> tuple[str | None, Origin]:
    """Return the common value of a field in all files, and where it is from.

    The value is None if no file has one.
    """
    sources = {
        str(source.fields[name]): source
        for group in groups
        for source in group.sources
        if source.fields.get(name) is not None
    }
    if len(sources) > 1:
        (one, first), (other, second) = list(sources.items())[:2]
        raise second.origin(name).error(
            f"{name} of session {session} is {one!r} for {first.path} ({first.origin(name)}) and "
            f"{other!r} for {second.path}.",
            name,
            other,
            session,
            f"Add {{{name}}} to session: in the spec, or correct one of them.",
        )
    for value, source in sources.items():
        return value, source.origin(name)
    return None, groups[0].sources[0].origin(name)


def _label_columns(
    spec: Spec, session: str, cells: dict[str, tuple[str | None, Origin]]
) -> dict[str, Any]:
    """Build score and label; the label is computed from the class field or else the cut-off.

    The cut-off is always stored with a score, so that the audit can compare label and score.
    """
    rule = spec.label
    if rule is None:
        return {}
    score = label = original_label = None
    if rule.score:
        value, origin = cells[rule.score]
        score = parse_number(value, f"{rule.score} of session {session}", origin, session)
        if score is not None:
            location = f"{origin}: {rule.score} of session {session}"
            check_score(score, rule.instrument_text, location, session, origin.file, origin.line)
    if rule.field:
        value, origin = cells[rule.field]
        allowed = (*rule.positive, *rule.negative)
        what = f"{rule.field} of session {session}"
        check_allowed(value, allowed, what, rule.field, origin, session)
        label = None if value is None else int(value in rule.positive)
    elif score is not None and rule.effective_cut_off is not None:
        label = int(score >= rule.effective_cut_off)
    if rule.original is not None:
        value, origin = cells[rule.original]
        what = f"{rule.original} of session {session}"
        check_allowed(value, ("0", "1"), what, rule.original, origin, session)
        original_label = None if value is None else int(value)
    known = score is not None or label is not None
    return {
        "instrument": rule.instrument_text if known else None,
        "original_label": original_label,
        "cut_off": None if score is None else rule.effective_cut_off,
        "score": score,
        "label": label,
    }
