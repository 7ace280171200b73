"""Build the sections of a proposed spec from what was found in a folder."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from depmm.corpora.patterns import NUMBER, drop_zeros
from depmm.errors import abbreviate
from depmm.new_spec.files import FileKind
from depmm.new_spec.identify import DATES, Fields, assign, find_known_words, identify
from depmm.new_spec.joins import Join, join_table
from depmm.new_spec.label_choice import add_path_codes, choose_label, same_label
from depmm.new_spec.labels import (
    describe_unused,
    find_items,
    find_label,
    find_missing_ages,
    find_traits,
    is_trait_name,
)
from depmm.new_spec.sections import Candidate, Draft, Entry
from depmm.new_spec.spans import Layout
from depmm.new_spec.streams import step_times, stream_settings
from depmm.new_spec.words import PARTICIPANT, SPEAKER, TASK, TEXT, VALENCES

_WITHIN_DAYS = 14  # between a visit and its questionnaire


def build_draft(kinds: list[FileKind], root: Path) -> Draft | None:
    """Propose the sections of a spec.

    Parameters
    ----------
    kinds : list of FileKind
        The kinds of files.
    root : Path
        The folder.

    Returns
    -------
    Draft or None
        The sections; None if there are neither recordings nor features.
    """
    recordings = [kind for kind in kinds if kind.content.kind == "recording"]
    features = [kind for kind in kinds if kind.content.kind == "features"]
    tables = [
        kind for kind in kinds if kind.content.kind in ("table", "steps", "score", "transcript")
    ]
    main = recordings or features
    if not main:
        return None
    primary = max(main, key=lambda kind: kind.n_files)
    labelled = [kind for kind in tables if kind.content.kind in ("table", "score")]
    fields = identify(primary.layout, labelled + [k for k in tables if k.content.kind == "steps"])
    draft = Draft(fields)
    others = [kind for kind in (*recordings, *features) if kind is not primary]
    for kind in others:
        find_known_words(kind.layout, fields)
        assign(kind.layout, primary.layout)
    joins = [(kind, join_table(kind, primary.layout, fields)) for kind in tables]
    usable = _name_other_fields([primary, *others], draft)
    _add_recordings(draft, usable, primary, root)
    candidates: list[Candidate] = []
    for kind, join in joins:
        if join is None:
            draft.unjoined.append(kind.layout.shape.sample[0])
        elif kind.content.kind == "steps" and draft.steps is None:
            draft.steps = _step_table(kind, join, primary, root, draft)
        else:
            _add_table(draft, kind, join, candidates)
    add_path_codes(draft, candidates, primary)
    choose_label(draft, candidates)
    return draft


def _name_other_fields(kinds: list[FileKind], draft: Draft) -> list[FileKind]:
    """Give all recordings the fields of the ids and of the order; leave out those without."""
    fields = draft.fields
    needed = set(re.findall(r"\{(\w+)\}", fields.subject + fields.session))
    if fields.date_format is not None:
        needed = needed - {"visit"} | {"date"}  # visits are numbered by date
    usable = []
    for kind in kinds:
        layout = kind.layout
        known = set(layout.fields.values())
        if missing := needed - known:
            example = layout.shape.sample[0]
            draft.note("recordings", f"not used: {example} has no {', '.join(sorted(missing))}")
            continue
        usable.append(kind)
        spans = layout.uncovered()
        for number, (start, stop) in enumerate(sorted(spans)):
            covered = {i for span in layout.fields for i in range(*span)}
            if start in covered:
                continue
            name = "part_of_name" if number == 0 else f"part_of_name_{number + 1}"
            layout.fields[(start, stop)] = name
            if name not in fields.order:
                fields.order.append(name)
    _separate_sources(usable, fields, needed)
    fields.order = [name for name in fields.order if _varies_in_session(name, usable, needed)]
    for kind in usable:
        known = set(kind.layout.fields.values()) | set(kind.layout.constants)
        for name in fields.order:
            if name not in known:
                kind.layout.constants[name] = "0"
    return usable


def _field_values(layout: Layout, name: str) -> list[str]:
    """Return the value of a field of each path as the spec will read it."""
    span = next((span for span, known in layout.fields.items() if known == name), None)
    if span is None:
        return [layout.constants.get(name, "0")] * len(layout.paths)
    values = layout.values(span)
    return [drop_zeros(value) for value in values] if name in layout.integers else values


def _varies_in_session(name: str, kinds: list[FileKind], ids: set[str]) -> bool:
    """Check that a session has files with different values of a field."""
    found: dict[tuple[str, ...], str] = {}
    for kind in kinds:
        columns = [_field_values(kind.layout, field) for field in (name, *sorted(ids))]
        for text, *key in zip(*columns, strict=True):
            if found.setdefault(tuple(key), text) != text:
                return True
    return False


def _share_sessions(kinds: list[FileKind], ids: set[str]) -> bool:
    """Check that a session has files of several kinds."""
    seen: set[tuple[str, ...]] = set()
    for kind in kinds:
        columns = [_field_values(kind.layout, field) for field in sorted(ids)]
        keys = set(zip(*columns, strict=True))
        if keys & seen:
            return True
        seen |= keys
    return False


def _separate_sources(kinds: list[FileKind], fields: Fields, ids: set[str]) -> None:
    """Name what tells apart files of one modality that have the same fields."""
    groups: dict[tuple[Any, ...], list[FileKind]] = {}
    for kind in kinds:
        if kind.content.kind == "recording":
            groups.setdefault(kind.content.tracks, []).append(kind)
    for group in groups.values():
        words = [set(kind.words) for kind in group]
        common = set.intersection(*words)
        if len(group) < 2 or not any(other - common for other in words):
            continue
        if not _share_sessions(group, ids):
            continue
        own = [sorted(other - common) for other in words]
        name = "task" if any(TASK.search(" ".join(other)) for other in own) else "source"
        if name in {n for kind in kinds for n in kind.layout.fields.values()}:
            continue
        if name not in fields.order:
            fields.order.insert(0, name)
        for kind, other in zip(group, own, strict=True):
            kind.layout.constants[name] = "_".join(other) or "other"


def _add_recordings(draft: Draft, kinds: list[FileKind], primary: FileKind, root: Path) -> None:
    taken: set[str] = set()
    sound_alone = any(kind.content.tracks == ("audio",) for kind in kinds)
    order = sorted(kinds, key=lambda kind: (kind.content.kind != "recording", kind.content.tracks))
    for kind in order:
        layout, comments = kind.layout, []
        keys: dict[str, Any] = {}
        if kind.content.kind == "recording":
            keys["modalities"] = list(kind.content.tracks)
            if sound_alone and kind.content.tracks == ("audio", "face"):
                comments.append("the sound of a file that is listed first is used")
        else:
            modality, settings, how = stream_settings(kind, primary, root, taken)
            keys["modalities"], keys["features"] = [modality], settings
            comments.append(how)
        if kept := _kept_words(kind):
            keys["keep"] = kept
        if layout.constants:
            keys["fields"] = dict(layout.constants)
        entry = Entry(layout.pattern(), keys, comments, layout.shape.sample[0])
        draft.recordings.append(entry)


def _date_column(kind: FileKind, join: Join) -> tuple[str, str] | None:
    """Find a column with dates, and their format."""
    for column, cells in kind.columns.items():
        known = [cell for cell in cells if cell]
        if column[0] == "@" or column in join.join or not known:
            continue
        for pattern, form in DATES.items():
            if all(re.fullmatch(pattern, cell) for cell in known):
                return column, form
    return None


def _kept_words(kind: FileKind) -> dict[str, list[str]]:
    """Name the words that tell these files from others of the same shape."""
    kept = {}
    for index, words in kind.layout.shape.restricted.items():
        span = index, index + 1
        name = kind.layout.fields.setdefault(span, f"word_in_name_{index}")
        kept[name] = list(words)
    return kept


def _table_keys(kind: FileKind, join: Join) -> dict[str, Any]:
    settings = dict(kind.content.settings)
    keys: dict[str, Any] = {"join": dict(join.join)} | settings
    if kept := _kept_words(kind):
        keys["keep"] = kept
    if join.integers:
        keys["integers"] = list(join.integers)
    return keys


def _add_table(draft: Draft, kind: FileKind, join: Join, candidates: list[Candidate]) -> None:
    """Add a table with its gender, age, split, scores and classes."""
    words, fields = kind.words, dict(join.fields)
    comments: list[str] = []
    codes: dict[str, dict[str, Any]] = {}
    found: list[Candidate] = []
    missing: dict[str, list[str]] = {}  # column -> codes of unknown values
    if join.n_ids:
        comments.append(
            f"has {join.n_matched} of {join.n_ids} subjects or files that were compared"
        )
    taken = {name for entry in draft.tables for name in entry.keys["fields"]} | set(
        join.join.values()
    )
    taken |= {name for n in draft.recordings for name in re.findall(r"\{(\w+)", n.pattern)}
    if kind.content.kind == "transcript" and "text" not in taken:
        fields["text"] = "transcript"
        comments.append("GUESS: the words of the participant; see steps.text_speaker")
    items = find_items(kind.columns)
    for instrument, found_items in items.items():
        draft.note(
            "label",
            f"not used: {abbreviate(found_items, 8)} (GUESS: items of {instrument}; a column with "
            "their sum is the score)",
        )
    unused = {column for found_items in items.values() for column in found_items}
    for column, cells in sorted(kind.columns.items(), key=_may_be_of_another):
        if column[0] == "@" or column in join.join or column in unused:
            continue
        trait = find_traits(column, cells)
        if trait is not None:
            name, names, note = trait
            target = name if name == "age" else f"{name}_code"
            if target in fields:
                comments.append(f"not used: {column}; the {name} is that in {fields[target]}")
                continue
            fields[target] = column
            missing[column] = find_missing_ages(cells) if name == "age" else []
            if names:
                codes[name] = {"of": target, "names": names}
            comments += [note] if note else []
            continue
        label = find_label(column, cells, words)
        if label is not None:
            base = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_") or "score"
            base = base if base[0].isalpha() else f"c_{base}"
            if kind.content.kind == "score":
                base = "_".join(w for w in words[-2:] if w.isascii()) or "score"
            field_name = same_label(draft, join, label, candidates)
            if field_name is None:
                field_name = base if base not in taken else f"{base}_{len(draft.tables) + 1}"
                while field_name in fields:  # of another column, such as BDI-II and BDI_II
                    field_name += "_other"
            fields[field_name] = column
            missing[column] = list(label.missing)
            found.append((label.rank, label, field_name))
        elif reason := describe_unused(column, cells):
            draft.note("label", f"not used: {reason}")
    for name in [name for name in fields if name in taken and name not in {*draft.codes, *codes}]:
        if name not in {n for _, _, n in (*candidates, *found)} and not name.endswith("_code"):
            fields.pop(name)
    if not fields:
        path = kind.layout.shape.sample[0]
        draft.note("tables", f"not used, no column with a score, class or property: {path}")
        return
    keys = _table_keys(kind, join) | {"fields": fields, "required": False}
    dates = _date_column(kind, join) if draft.fields.date_format is not None else None
    if dates is not None:
        column, form = dates
        keys["nearest"] = {"column": column, "format": form, "within_days": _WITHIN_DAYS}
        comments.append(f"GUESS: each row belongs to a visit at most {_WITHIN_DAYS} days away")
    elif kind.content.kind == "table" and (conflict := join.find_conflict(list(fields.values()))):
        if not conflict.is_rare:
            draft.note("tables", f"not used: {conflict}")
            return
        comments.append(f"depmm index will stop: {conflict}")
    fields_of_session = set(re.findall(r"\{(\w+)\}", draft.fields.session)) - {"subject"}
    by_subject = dates is None and all("subject" in text for text in join.join.values())
    if found and by_subject and fields_of_session:
        comments.append("GUESS: the label of a subject is that of all its sessions")
    candidates += found
    draft.label_ids += [join.ids] * len(found)
    for name, known in codes.items():
        draft.codes.setdefault(name, {"of": known["of"], "names": {}})["names"] |= known["names"]
    entry = Entry(kind.layout.pattern(), keys, comments, kind.layout.shape.sample[0])
    draft.tables += _separate_unknown(entry, missing)


def _may_be_of_another(item: tuple[str, list[str]]) -> bool:
    """Check that a column with an age or gender may not be that of the subject."""
    return not is_trait_name(item[0]) and find_traits(*item) is not None


def _separate_unknown(entry: Entry, missing: dict[str, list[str]]) -> list[Entry]:
    """Read each column with codes of unknown values by an entry that drops these rows."""
    fields: dict[str, str] = entry.keys["fields"]
    own = {field: column for field, column in fields.items() if missing.get(column)}
    others = {field: column for field, column in fields.items() if field not in own}
    entries = [replace(entry, keys=entry.keys | {"fields": others})] if others else []
    for field, column in own.items():
        codes = missing[column]
        if entry.keys.get("decimal") == ",":
            codes = [code.replace(".", ",") if NUMBER.fullmatch(code) else code for code in codes]
        keys = entry.keys | {"fields": {field: column}, "drop": {column: codes}}
        unknown = f"GUESS: {column} is unknown in rows with {', '.join(codes)}"
        entries.append(replace(entry, keys=keys, comments=[unknown]))
    if not others:
        entries[0].comments[:0] = entry.comments
    return entries


def _step_table(kind: FileKind, join: Join, primary: FileKind, root: Path, draft: Draft) -> Entry:
    times, unit, comment = step_times(kind, primary, root)
    columns = {name: cells for name, cells in kind.columns.items() if name[0] != "@"}
    fields = dict(times)
    comments = [comment]
    headed = kind.content.settings.get("header", True)
    text = next((name for name in columns if TEXT.match(name)), None)
    if not headed:
        text = list(columns)[2]
    if text is not None and text not in join.join:
        fields["text"] = text
    valences = {cell.lower() for cell in columns.get("valence", ()) if cell}
    if valences and valences <= set(VALENCES.values()):
        fields["valence"] = "valence"
    keys = _table_keys(kind, join)
    speaker = next((name for name in columns if SPEAKER.search(name)), None)
    if speaker is not None:
        values = sorted({cell for cell in columns[speaker] if cell})
        own = [value for value in values if PARTICIPANT.search(value)]
        if own and len(own) < len(values) <= 10:
            others = [value for value in values if value not in own]
            keys["keep"] = keys.get("keep", {}) | {speaker: own}
            keys["other_turns"] = {speaker: others}
            comments.append(f"GUESS: {', '.join(own)} is the participant, not {', '.join(others)}")
    keys |= {"fields": fields, "order": [times["start"]], "times": unit, "required": False}
    if text is not None and (silent := {"sil", "sp", "<sil>"} & set(columns[text])):
        keys["drop"] = {text: sorted(silent)}
    return Entry(kind.layout.pattern(), keys, comments, kind.layout.shape.sample[0])
