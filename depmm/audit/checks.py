"""Checks of a corpus: leaks between splits, wrong labels, doubled, missing and unused files.

Each is a function from inputs to findings that bear its name.
"""

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from depmm.audit.findings import AuditInput, File, Finding, abbreviate, list_file_uses, unique_keys
from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SESSION_KEY, SPLITS, SUBJECT_KEY, Manifest
from depmm.corpora.splits import official_overlap


def split_overlap(inputs: AuditInput) -> Iterator[Finding]:
    """Find people who stand in two official splits."""
    if several := official_overlap(inputs.manifest.sessions):
        named = [f"{'/'.join(person)} ({' and '.join(names)})" for person, names in several.items()]
        rows = inputs.manifest.sessions.dropna(subset=["split"])
        people = unique_keys(rows, SUBJECT_KEY)
        tested = len(unique_keys(rows[rows["split"] == "test"], SUBJECT_KEY))
        seen = sum("test" in names for names in several.values())
        yield Finding(
            "split_overlap",
            "error",
            f"{len(named)} of {len(people)} people stand in two official splits ({seen} of "
            f"{tested} test people are also in train or validation): {abbreviate(named)}",
            "Do not report results on the official split; use split.kind k_fold, which keeps a "
            "person together.",
            subjects=tuple(several),
        )


def shared_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files that two people or two sessions use."""
    uses = list_file_uses(inputs.manifest)[[*SESSION_KEY, "file"]].drop_duplicates()
    shared = uses[uses.duplicated(["corpus", "file"], keep=False)]
    if shared.empty:
        return
    files = shared.groupby(["corpus", "file"], sort=True)
    named = [
        f"{file} by {' and '.join('/'.join(key[1:]) for key in unique_keys(rows, SESSION_KEY))}"
        for (_, file), rows in files
    ]
    across = sum(len(unique_keys(rows, SUBJECT_KEY)) > 1 for _, rows in files)
    yield Finding(
        "shared_files",
        "error",
        f"{len(named)} files belong to several sessions ({across} of them to several people): "
        f"{abbreviate(named)}",
        "Correct session: or the patterns in the spec so that a file has one owner, or remove "
        "the copy.",
        subjects=unique_keys(shared, SUBJECT_KEY),
        sessions=unique_keys(shared, SESSION_KEY),
    )


def label_score_mismatch(inputs: AuditInput) -> Iterator[Finding]:
    """Find labels that contradict their score and cut-off."""
    sessions = inputs.manifest.sessions
    cut_off = _cut_offs(sessions)
    known = sessions["score"].notna() & sessions["label"].notna() & cut_off.notna()
    expected = (sessions["score"] >= cut_off).astype("Int8")
    bad = sessions[known & (sessions["label"] != expected).fillna(False)]
    if bad.empty:
        return
    named = [
        f"{'/'.join(row[key] for key in SESSION_KEY)} ({row['instrument']} {row['score']:g}, "
        f"cut-off {limit:g}, label {row['label']})"
        for limit, (_, row) in zip(cut_off[bad.index], bad.iterrows(), strict=True)
    ]
    yield Finding(
        "label_score_mismatch",
        "error",
        f"{len(bad)} labels contradict their score: {abbreviate(named)}",
        "Derive the label from the score (leave label.field out of the spec), state the right "
        "cut_off, or correct the table.",
        subjects=unique_keys(bad, SUBJECT_KEY),
        sessions=unique_keys(bad, SESSION_KEY),
    )


def original_label_mismatch(inputs: AuditInput) -> Iterator[Finding]:
    """Find classes as delivered that differ from the labels, which come from the score."""
    sessions = inputs.manifest.sessions
    if "original_label" not in sessions:
        return
    given = pd.to_numeric(sessions["original_label"]).astype("Int8")
    for corpus, rows in sessions.assign(given=given).groupby("corpus"):
        known = rows.dropna(subset=["given", "label"])
        bad = known[known["given"] != known["label"]]
        if bad.empty:
            continue
        named = [
            f"{'/'.join(row[key] for key in SESSION_KEY)} (score {row['score']:g}, delivered "
            f"{row['given']}, label {row['label']})"
            for _, row in bad.iterrows()
        ]
        yield Finding(
            "original_label_mismatch",
            "warning",
            f"{corpus}: {len(bad)} of {len(known)} classes as delivered contradict the score: "
            f"{abbreviate(named)}",
            "Labels here come from the score. Say so in print: results on the delivered classes "
            "are results on other labels.",
            subjects=unique_keys(bad, SUBJECT_KEY),
            sessions=unique_keys(bad, SESSION_KEY),
        )


def cut_off_mismatch(inputs: AuditInput) -> Iterator[Finding]:
    """Find labels made at another cut-off than the instrument's usual one, or at several."""
    sessions = inputs.manifest.sessions
    labelled = sessions.assign(limit=_cut_offs(sessions))[sessions["label"].notna()]
    labelled = labelled.dropna(subset=["instrument", "limit"])
    for name, rows in labelled.groupby("instrument"):
        used = rows.groupby("limit")["corpus"].unique()
        usual = INSTRUMENTS[str(name)].cut_off if name in INSTRUMENTS else None
        if len(used) > 1 or (usual is not None and usual not in used.index):
            named = [f"{limit:g} ({', '.join(sorted(corpora))})" for limit, corpora in used.items()]
            yield Finding(
                "cut_off_mismatch",
                "warning",
                f"{name}: labels are made at {' and at '.join(named)}"
                + (f"; the usual cut-off is {usual:g}" if usual is not None else ""),
                "State the cut-off beside every result; compare with work at the same one only.",
                sessions=unique_keys(rows, SESSION_KEY),
            )


def missing_class(inputs: AuditInput) -> Iterator[Finding]:
    """Find official splits in which a class of the corpus is missing."""
    labelled = inputs.manifest.sessions.dropna(subset=["label"])
    for corpus, rows in labelled.groupby("corpus"):
        classes = sorted(rows["label"].unique())
        for split in SPLITS:
            own = rows[(rows["split"] == split).fillna(False)]
            for label in classes:
                if len(own) and not (own["label"] == label).any():
                    yield Finding(
                        "missing_class",
                        "error",
                        f"{corpus}: {split} has {len(own)} labelled sessions, none of class "
                        f"{label}",
                        "Check the table that gives the split; otherwise use split.kind k_fold.",
                        subjects=unique_keys(own, SUBJECT_KEY),
                    )


def duplicate_rows(inputs: AuditInput) -> Iterator[Finding]:
    """Find rows that stand twice: the same key, or the same piece of the same file."""
    piece = [*SESSION_KEY, "start_s", "end_s", "audio", "face"]
    for table, name, columns in (
        (inputs.manifest.sessions, "sessions", SESSION_KEY),
        (inputs.manifest.steps, "steps", [*SESSION_KEY, "step"]),
        (inputs.manifest.steps, "steps", piece),
    ):
        bad = table[table.duplicated(columns)]
        if len(bad):
            what = "the same time in the same file" if columns is piece else ", ".join(columns)
            named = ["/".join(key) for key in unique_keys(bad, SESSION_KEY)]
            yield Finding(
                "duplicate_rows",
                "error",
                f"{name}: {len(bad)} rows repeat {what}, in {abbreviate(named)}",
                "Remove the repeated rows from the corpus's tables and index again.",
                subjects=unique_keys(bad, SUBJECT_KEY),
                sessions=unique_keys(bad, SESSION_KEY),
            )


def duplicate_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files of the same content under several names, in different sessions."""
    groups = inputs.recordings.duplicates if inputs.recordings else ()
    users = _users(inputs.manifest)
    found = []
    for group in groups:
        sessions = {key for file in group for key in users.get(file, ())}
        if len(sessions) > 1:
            found.append((group, sessions))
    if not found:
        return
    keys = sorted({key for _, sessions in found for key in sessions})
    people = sorted({key[:2] for key in keys})
    across = sum(len({key[:2] for key in sessions}) > 1 for _, sessions in found)
    yield Finding(
        "duplicate_files",
        "error",
        f"{len(found)} recordings are there under several names ({across} of them for several "
        f"people): {abbreviate([' = '.join(map('/'.join, group)) for group, _ in found])}",
        "Find out whose recording it is and remove the copies, then index again.",
        subjects=tuple(people),
        sessions=tuple(keys),
        files=tuple(file for group, _ in found for file in group),
    )


def missing_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files that the manifest names and the folder lacks, or holds empty."""
    if inputs.recordings and inputs.recordings.missing:
        named = inputs.recordings.missing
        users = _users(inputs.manifest)
        yield Finding(
            "missing_files",
            "error",
            f"{len(named)} files of the manifest are not there or empty: "
            f"{abbreviate(list(map('/'.join, named)))}",
            "Complete the corpus, or index it again: the manifest is not that of this folder.",
            sessions=tuple(sorted({key for file in named for key in users[file]})),
            files=named,
        )


def unreadable_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files that cannot be decoded."""
    if inputs.recordings and inputs.recordings.unreadable:
        reasons = inputs.recordings.unreadable
        users = _users(inputs.manifest)
        yield Finding(
            "unreadable_files",
            "warning",
            f"{len(reasons)} files cannot be decoded: {abbreviate(list(reasons.values()))}",
            "Copy them again; otherwise extraction leaves them out and names them.",
            sessions=tuple(sorted({key for file in reasons for key in users[file]})),
            files=tuple(reasons),
        )


def incomplete_corpus(inputs: AuditInput) -> Iterator[Finding]:
    """Take up what the data spec promises and indexing did not find."""
    for report in inputs.index_reports:
        if report.missing:
            kinds = Counter(item.kind for item in report.missing)
            counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            yield Finding(
                "incomplete_corpus",
                "warning",
                f"{report.corpus}: {len(report.missing)} things that the spec promises are missing "
                f"({counts}): "
                + abbreviate([f"{item.where}: {item.message}" for item in report.missing]),
                "Complete the corpus and index it again, or say beside results who is left out.",
            )


def unmatched_files(inputs: AuditInput) -> Iterator[Finding]:
    """Take up the files that no pattern of the data spec knows."""
    for report in inputs.index_reports:
        if report.unused:
            yield Finding(
                "unmatched_files",
                "warning",
                f"{report.corpus}: {len(report.unused)} files in its folders are unknown to its "
                f"spec: {abbreviate(list(report.unused))}",
                "Give the spec a pattern for them, or name them under ignore.",
                files=tuple((report.corpus, path) for path in report.unused),
            )


def _cut_offs(sessions: pd.DataFrame) -> pd.Series:
    """The cut-off of each session: its spec's, else the usual one of the instrument, else NaN."""
    usual = sessions["instrument"].map(
        lambda name: INSTRUMENTS[name].cut_off if name in INSTRUMENTS else None
    )
    limits = pd.to_numeric(usual)
    if "cut_off" in sessions:
        limits = pd.to_numeric(sessions["cut_off"]).fillna(limits)
    return limits


def _users(manifest: Manifest) -> dict[File, set[tuple[str, ...]]]:
    """The sessions that use each file."""
    users: dict[File, set[tuple[str, ...]]] = {}
    uses = list_file_uses(manifest)[[*SESSION_KEY, "file"]]
    for corpus, subject, session, file in uses.itertuples(index=False, name=None):
        users.setdefault((corpus, file), set()).add((corpus, subject, session))
    return users
