"""Checks of files: shared, duplicate, missing, unreadable, and unknown to the spec."""

from collections import Counter
from collections.abc import Iterator

from depmm.audit.findings import (
    AuditInput,
    Finding,
    abbreviate,
    list_file_uses,
    sessions_by_file,
    unique_keys,
)
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY


def shared_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files that several sessions use.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error.
    """
    uses = list_file_uses(inputs.manifest)[[*SESSION_KEY, "file"]].drop_duplicates()
    shared = uses[uses.duplicated(["corpus", "file"], keep=False)]
    if shared.empty:
        return
    files = shared.groupby(["corpus", "file"], sort=True)
    names = [
        f"{file} by {' and '.join('/'.join(key[1:]) for key in unique_keys(rows, SESSION_KEY))}"
        for (_, file), rows in files
    ]
    across = sum(len(unique_keys(rows, SUBJECT_KEY)) > 1 for _, rows in files)
    yield Finding(
        "shared_files",
        "error",
        f"{len(names)} files are used by several sessions, {across} of them by several subjects: "
        f"{abbreviate(names)}.",
        "Correct session: or the patterns of the spec so that each file belongs to one session, "
        "or remove the copy.",
        subjects=unique_keys(shared, SUBJECT_KEY),
        sessions=unique_keys(shared, SESSION_KEY),
    )


def duplicate_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files with the same content that belong to several sessions.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error.
    """
    groups = inputs.recordings.duplicates if inputs.recordings else ()
    by_file = sessions_by_file(inputs.manifest)
    shared = []
    for group in groups:
        sessions = {key for file in group for key in by_file.get(file, ())}
        if len(sessions) > 1:
            shared.append((group, sessions))
    if not shared:
        return
    keys = sorted({key for _, sessions in shared for key in sessions})
    across = sum(len({key[:2] for key in sessions}) > 1 for _, sessions in shared)
    names = [" = ".join(map("/".join, group)) for group, _ in shared]
    yield Finding(
        "duplicate_files",
        "error",
        f"{len(shared)} recordings exist under several names, {across} of them for several "
        f"subjects: {abbreviate(names)}.",
        "Determine the session of each recording, remove the copies, and index the corpus again.",
        subjects=tuple(sorted({key[:2] for key in keys})),
        sessions=tuple(keys),
        files=tuple(file for group, _ in shared for file in group),
    )


def missing_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files of the manifest that do not exist or are empty.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error.
    """
    if inputs.recordings and inputs.recordings.missing:
        files = inputs.recordings.missing
        by_file = sessions_by_file(inputs.manifest)
        yield Finding(
            "missing_files",
            "error",
            f"{len(files)} files of the manifest do not exist or are empty: "
            f"{abbreviate(list(map('/'.join, files)))}.",
            "Complete the corpus, or index it again if the manifest belongs to another folder.",
            sessions=tuple(sorted({key for file in files for key in by_file[file]})),
            files=files,
        )


def unreadable_files(inputs: AuditInput) -> Iterator[Finding]:
    """Find files that cannot be decoded.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning.
    """
    if inputs.recordings and inputs.recordings.unreadable:
        reasons = inputs.recordings.unreadable
        by_file = sessions_by_file(inputs.manifest)
        yield Finding(
            "unreadable_files",
            "warning",
            f"{len(reasons)} files cannot be decoded: {abbreviate(reasons.values())}.",
            "Compare the files with the originals and copy them again; otherwise extraction omits "
            "them and lists them as failures.",
            sessions=tuple(sorted({key for file in reasons for key in by_file[file]})),
            files=tuple(reasons),
        )


def recording_warnings(inputs: AuditInput) -> Iterator[Finding]:
    """Report what may make the data of recordings unsuitable although they can be decoded.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One warning per kind, with the name of the warning of the reader, for example
        ``inverted_channels``.
    """
    warnings = inputs.recordings.warnings if inputs.recordings else {}
    by_file = sessions_by_file(inputs.manifest) if warnings else {}
    for name in sorted({warning.name for found in warnings.values() for warning in found}):
        problems = {
            file: [warning.problem.rstrip(".") for warning in found if warning.name == name]
            for file, found in warnings.items()
        }
        files = tuple(file for file, found in problems.items() if found)
        named = [f"{file[1]}: {'; '.join(problems[file])}" for file in files]
        remedies = {
            warning.remedy: None
            for file in files
            for warning in warnings[file]
            if warning.name == name
        }
        yield Finding(
            name,
            "warning",
            f"{len(files)} {'recording' if len(files) == 1 else 'recordings'}: "
            f"{abbreviate(named)}.",
            " ".join(remedies),
            sessions=tuple(sorted({key for file in files for key in by_file[file]})),
            files=files,
        )


def incomplete_corpus(inputs: AuditInput) -> Iterator[Finding]:
    """Report what the data spec requires and indexing did not find.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning per corpus.
    """
    for report in inputs.index_reports:
        if not report.complete:
            kinds = Counter(item.kind for item in report.missing)
            kinds["unusable file"] += len(report.failures)
            counts = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()) if count)
            names = [f"{item.message} (left out: {item.left_out})" for item in report.failures]
            names += [f"{item.where}: {item.message}" for item in report.missing]
            yield Finding(
                "incomplete_corpus",
                "warning",
                f"{report.corpus}: {len(names)} items that the spec requires are missing or "
                f"unusable ({counts}): {abbreviate(names)}",
                "Complete the corpus and index it again, or state the omitted sessions with every "
                "result.",
            )


def unmatched_files(inputs: AuditInput) -> Iterator[Finding]:
    """Report files that match no pattern of the data spec.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning per corpus.
    """
    for report in inputs.index_reports:
        if report.unused:
            yield Finding(
                "unmatched_files",
                "warning",
                f"{report.corpus}: {len(report.unused)} files match no pattern of the spec: "
                f"{abbreviate(report.unused)}.",
                "Add a pattern to the spec, or list the files under ignore.",
                files=tuple((report.corpus, path) for path in report.unused),
            )
