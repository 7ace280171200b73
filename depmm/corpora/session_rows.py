"""Build the rows of ``sessions.parquet``: common fields of the files, score and label."""

from typing import Any

from depmm.corpora.cells import Fields, check_allowed, parse_number
from depmm.corpora.errors import ManifestError
from depmm.corpora.instruments import check_score
from depmm.corpora.recording_files import FileGroup
from depmm.corpora.spec_schema import Spec
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
    fields = {name: _agreed_value(spec, session, groups, name) for name in sorted(names)}
    for name, allowed in (("split", SPLITS), ("gender", GENDERS)):
        what, source = f"session {session}: {name}", spec.describe_sources([name])
        check_allowed(fields[name], allowed, what, name, source, session)
    age_source = spec.describe_sources(["age"])
    return {
        **_label_columns(spec, session, fields),
        "split": fields["split"],
        "gender": fields["gender"],
        "age": parse_number(fields["age"], f"session {session}: age", age_source, session),
        **{name: fields[name] for name in spec.columns},
    }


def _agreed_value(spec: Spec, session: str, groups: list[FileGroup], name: str) -> str | None:
    """Return the common value of a field in all files; None if no file has a value."""
    values = {
        source.fields[name]: source.path
        for group in groups
        for source in group.sources
        if source.fields.get(name) is not None
    }
    if len(values) > 1:
        (one, first), (other, second) = list(values.items())[:2]
        raise ManifestError(
            f"session {session}: {name} is {one!r} for {first} and {other!r} for {second}. "
            f"Add {{{name}}} to session: in the spec, or correct {spec.describe_sources([name])}.",
            column=name,
            session=session,
            value=other,
        )
    return next(iter(values), None)


def _label_columns(spec: Spec, session: str, fields: Fields) -> dict[str, Any]:
    """Build score and label; the label is computed from the class field or else the cut-off.

    The cut-off is always stored with a score, so that the audit can compare label and score.
    """
    rule = spec.label
    if rule is None:
        return {}
    score = label = original_label = None
    if rule.score:
        source = spec.describe_sources([rule.score])
        what = f"session {session}: {rule.score}"
        score = parse_number(fields[rule.score], what, source, session)
        if score is not None:
            location = f"session {session}, {rule.score} in {source}"
            check_score(score, rule.instrument, location, session)
    if rule.field:
        value, source = fields[rule.field], spec.describe_sources([rule.field])
        allowed = (*rule.positive, *rule.negative)
        what = f"session {session}: {rule.field}"
        check_allowed(value, allowed, what, "label", source, session)
        label = None if value is None else int(value in rule.positive)
    elif score is not None and rule.effective_cut_off is not None:
        label = int(score >= rule.effective_cut_off)
    if rule.original is not None:
        value, what = fields[rule.original], f"session {session}: {rule.original}"
        check_allowed(value, ("0", "1"), what, rule.original, session=session)
        original_label = None if value is None else int(value)
    known = score is not None or label is not None
    return {
        "instrument": rule.instrument if known else None,
        "original_label": original_label,
        "cut_off": None if score is None else rule.effective_cut_off,
        "score": score,
        "label": label,
    }
