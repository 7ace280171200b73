"""All checks of the audit, and the checks of subjects and rows.

A check is a function from the input of the audit to findings with the name of the function; only
`depmm.audit.shortcuts.shortcuts` and `depmm.audit.file_checks.recording_warnings` yield findings of
several names.
"""

from collections.abc import Callable, Iterator

from depmm.audit.copies import copied_recordings
from depmm.audit.corpus_differences import corpus_shortcut
from depmm.audit.file_checks import (
    duplicate_files,
    incomplete_corpus,
    missing_files,
    recording_warnings,
    shared_files,
    unmatched_files,
    unreadable_files,
)
from depmm.audit.findings import AuditInput, Finding, unique_keys
from depmm.audit.identity.identity_checks import (
    dissimilar_sessions,
    missing_identity,
    similar_subjects,
)
from depmm.audit.label_checks import (
    cut_off_mismatch,
    label_score_mismatch,
    missing_class,
    original_label_mismatch,
)
from depmm.audit.related_corpora import missing_subject_ids, related_corpora
from depmm.audit.same_subjects import same_subjects
from depmm.audit.shortcut_remedies import SHORTCUT_NAMES
from depmm.audit.shortcuts import shortcuts
from depmm.corpora.splits import official_overlap
from depmm.errors import abbreviate
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY


def split_overlap(inputs: AuditInput) -> Iterator[Finding]:
    """Find subjects with sessions in several official splits.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error.
    """
    if overlap := official_overlap(inputs.manifest.sessions):
        names = [f"{'/'.join(key)} ({' and '.join(splits)})" for key, splits in overlap.items()]
        rows = inputs.manifest.sessions.dropna(subset=["split"])
        subjects = unique_keys(rows, SUBJECT_KEY)
        n_test = len(unique_keys(rows[rows["split"] == "test"], SUBJECT_KEY))
        n_leaked = sum("test" in splits for splits in overlap.values())
        yield Finding(
            "split_overlap",
            "error",
            f"{len(names)} of {len(subjects)} subjects are in several official splits ({n_leaked} "
            f"of {n_test} test subjects are also in train or validation): {abbreviate(names)}.",
            "Do not report results on the official split; use split.kind k_fold, which keeps the "
            "sessions of a subject together.",
            subjects=tuple(overlap),
        )


def duplicate_rows(inputs: AuditInput) -> Iterator[Finding]:
    """Find rows with the same key, or with the same time interval of the same file.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error per table and kind of duplicate.
    """
    interval = [*SESSION_KEY, "start_s", "end_s", "audio", "face"]
    for table, name, columns in (
        (inputs.manifest.sessions, "sessions", SESSION_KEY),
        (inputs.manifest.steps, "steps", [*SESSION_KEY, "step"]),
        (inputs.manifest.steps, "steps", interval),
    ):
        repeated = table[table.duplicated(columns)]
        if len(repeated):
            what = "time interval of a file" if columns is interval else ", ".join(columns)
            sessions = ["/".join(key) for key in unique_keys(repeated, SESSION_KEY)]
            yield Finding(
                "duplicate_rows",
                "error",
                f"{name}: {len(repeated)} of {len(table)} rows repeat the {what} of another row, "
                f"in {abbreviate(sessions)}.",
                "Remove the repeated rows from the tables of the corpus and index it again.",
                subjects=unique_keys(repeated, SUBJECT_KEY),
                sessions=unique_keys(repeated, SESSION_KEY),
            )


CHECKS: tuple[Callable[[AuditInput], Iterator[Finding]], ...] = (
    split_overlap,
    related_corpora,
    same_subjects,
    missing_subject_ids,
    shared_files,
    duplicate_files,
    copied_recordings,
    similar_subjects,
    dissimilar_sessions,
    missing_identity,
    label_score_mismatch,
    original_label_mismatch,
    cut_off_mismatch,
    missing_class,
    duplicate_rows,
    shortcuts,
    corpus_shortcut,
    missing_files,
    unreadable_files,
    recording_warnings,
    incomplete_corpus,
    unmatched_files,
)
FINDING_NAMES = tuple(  # without the warnings of readers, which need no permission
    name
    for check in CHECKS
    if check is not recording_warnings
    for name in (SHORTCUT_NAMES if check is shortcuts else [check.__name__])
)
