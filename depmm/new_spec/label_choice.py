"""Choose the label of a proposed spec among columns and parts of paths."""

import re

from depmm.new_spec.files import FileKind
from depmm.new_spec.identify import is_group_code
from depmm.new_spec.joins import Join
from depmm.new_spec.labels import LabelColumn
from depmm.new_spec.sections import Candidate, Draft
from depmm.new_spec.words import GENDERS, SPLITS, VALENCES, classes


def same_label(
    draft: Draft, join: Join, label: LabelColumn, candidates: list[Candidate]
) -> str | None:
    """Find the field of the same kind of label in a table with other subjects.

    Parameters
    ----------
    draft : Draft
        The draft.
    join : Join
        The table of the label.
    label : LabelColumn
        The column.
    candidates : list of tuple
        Columns of earlier tables.

    Returns
    -------
    str or None
        The field.
    """
    ids = join.ids
    for entry_ids, (_, other, name) in zip(draft.label_ids, candidates, strict=True):
        family = other.instrument.split("-")[0] == label.instrument.split("-")[0]
        if family and other.is_class == label.is_class and ids and not ids & entry_ids:
            return name
    return None


def add_path_codes(draft: Draft, candidates: list[Candidate], primary: FileKind) -> None:
    """Translate parts of the paths: split, valence and group.

    Parameters
    ----------
    draft : Draft
        The draft; codes are added.
    candidates : list of tuple
        Possible labels; classes in paths are added.
    primary : FileKind
        The main recordings.
    """
    values = draft.fields.values
    used = {name for entry in draft.recordings for name in re.findall(r"\{(\w+)", entry.pattern)}
    used |= {name for entry in draft.tables for name in entry.keys["fields"]}
    for name, role in draft.fields.roles.items():
        if name not in used:
            continue  # only in files that are not used
        known = sorted(values.get(name, ()))
        if role == "split" and "split" not in draft.codes:
            names = {value: SPLITS[value.lower()] for value in known}
            draft.codes["split"] = {"of": name, "names": names}
        elif role == "valence":
            names = {value: VALENCES[value.lower()] for value in known}
            draft.codes["valence"] = {"of": name, "names": names}
        elif role == "group" and (found := classes(known)):
            candidates.append((15, _path_class(name, *found), name))
    span = next((s for s, name in primary.layout.fields.items() if name == "subject"), None)
    if span is None or "subject" in primary.layout.integers or "group" in values:
        return
    subjects = sorted(set(primary.layout.values(span)))
    coded = [re.fullmatch(r"([^\W\d_]+)([0-9]+)", subject) for subject in subjects]
    found = classes(sorted({match[1] for match in coded if match}))
    widths = {len(match[2]) for match in coded if match}
    if found and all(coded) and len(widths) == 1:
        draft.fields.expansions["subject"] = f"{{group}}{{number_of_subject:{widths.pop()}}}"
        candidates.append((25, _path_class("group", *found), "group"))
    elif not any(rank < 30 for rank, _, _ in candidates):
        _read_group_codes(draft, candidates, primary)


def _read_group_codes(draft: Draft, candidates: list[Candidate], primary: FileKind) -> None:
    """Read two-letter codes of class and gender, such as PF and CM."""
    for span, name in primary.layout.fields.items():
        codes = primary.layout.values(span)
        places = is_group_code(codes)
        if places is None:
            continue
        group, gender = places
        letters = ["{sex:1}", "{sex:1}"]
        letters[group] = "{group:1}"
        draft.fields.expansions[name] = "".join(letters)
        names = {sex: GENDERS[sex.lower()] for sex in sorted({code[gender] for code in codes})}
        draft.codes.setdefault("gender", {"of": "sex", "names": names})
        found = classes(sorted({code[group] for code in codes}))
        assert found is not None
        candidates.append((25, _path_class("group", *found), "group"))
        if name in draft.fields.order:
            draft.fields.order.remove(name)
        return


def _path_class(name: str, positive: list[str], negative: list[str]) -> LabelColumn:
    """Describe a class that the paths state."""
    comment = f"GUESS: {', '.join(positive)} in the paths is depressed, {', '.join(negative)} not"
    return LabelColumn(name, 15, "group", True, tuple(positive), tuple(negative), comment)


def choose_label(draft: Draft, candidates: list[Candidate]) -> None:
    """Choose score and class of the label; list the others in comments.

    Parameters
    ----------
    draft : Draft
        The draft; the label is set.
    candidates : list of tuple
        Possible labels.
    """
    scores = sorted(
        (c for c in candidates if not c[1].is_class), key=lambda c: (c[0], -c[1].n_values)
    )
    groups = sorted((c for c in candidates if c[1].is_class), key=lambda c: c[0])
    if scores:
        _, label, name = scores[0]
        draft.label = {"instrument": label.instrument, "score": name}
        draft.note("label", label.comment)
        zero_one = [c for c in groups if set(c[1].positive) == {"1"}]
        by_words = [c for c in groups if c[0] < 30]
        if by_words:
            _, group, group_name = by_words[0]
            draft.label |= {
                "field": group_name,
                "positive": list(group.positive),
                "negative": list(group.negative),
            }
            draft.note("label", f"{group.comment}. Remove field: to use the cut-off")
        elif zero_one:
            draft.label["original"] = zero_one[0][2]
            draft.note("label", f"{zero_one[0][1].column} is only compared with the cut-off")
    elif groups:
        _, group, group_name = groups[0]
        draft.label = {
            "instrument": "group",
            "field": group_name,
            "positive": list(group.positive),
            "negative": list(group.negative),
        }
        draft.note("label", group.comment)
    if draft.label:
        draft.label["required"] = True  # sessions without label are reported
    used = {draft.label.get(key) for key in ("score", "field", "original")}
    for _, label, name in candidates:
        if name not in used:
            draft.note("label", f"not used: {label.column} ({label.comment})")
