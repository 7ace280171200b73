"""Checks of files: shared, duplicate, missing, unreadable, and unknown to the spec."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from depmm.audit.findings import (
    AuditInput,
    File,
    Finding,
    list_file_uses,
    sessions_by_file,
    unique_keys,
)
from depmm.corpora.index_report import list_failures
from depmm.errors import abbreviate, count_of
from depmm.media.warnings import group_problems
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

_MAX_PROBLEMS = 5  # different problems in a message; audit.json lists all files


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
        f"{count_of(len(names), 'file')} used by several sessions, {across} of them by several "
        f"subjects: {abbreviate(names)}.",
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
        f"{count_of(len(shared), 'recording')} with several names, {across} of them for several "
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
            f"{count_of(len(files), 'file')} of the manifest "
            f"{'is' if len(files) == 1 else 'are'} empty or missing: "
            f"{abbreviate(_names(inputs, files))}.",
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
            _list_problems(zip(_names(inputs, reasons), reasons.values(), strict=True)),
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
        of_name = {
            file: [warning for warning in found if warning.name == name]
            for file, found in warnings.items()
        }
        files = tuple(file for file, found in of_name.items() if found)
        problems = [
            "; ".join(warning.problem.rstrip(".") for warning in of_name[file]) for file in files
        ]
        remedies = dict.fromkeys(warning.remedy for file in files for warning in of_name[file])
        yield Finding(
            name,
            "warning",
            _list_problems(zip(_names(inputs, files), problems, strict=True)),
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
            problems = list_failures(report.failures, at_most=1)
            problems += group_problems((item.where, f"{item.message}.") for item in report.missing)
            n_problems = len(report.failures) + len(report.missing)
            yield Finding(
                "incomplete_corpus",
                "warning",
                f"{report.corpus}: depmm index found {count_of(n_problems, 'problem')} ({counts}). "
                f"{_join(problems)}",
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
                f"{report.corpus}: {count_of(len(report.unused), 'file')} without a pattern in the "
                f"spec: {abbreviate(report.unused)}.",
                "Add a pattern to the spec, or list the files under ignore.",
                files=tuple((report.corpus, path) for path in report.unused),
            )


def _names(inputs: AuditInput, files: Iterable[File]) -> list[str]:
    """Name files by their path, and if there are several corpora, by corpus and path."""
    several = inputs.manifest.sessions["corpus"].nunique() > 1
    return ["/".join(file) if several else file[1] for file in files]


def _list_problems(problems: Iterable[tuple[str, str]]) -> str:
    """Write the problems of files as sentences; of several, with the number of files."""
    problems = list(problems)
    lines = [f"{line.rstrip('.')}." for line in group_problems(problems)]
    total = count_of(len({file for file, _ in problems}), "file")
    return _join(lines if len(lines) == 1 else [f"{total}.", *lines])


def _join(sentences: Sequence[str]) -> str:
    n_more = len(sentences) - _MAX_PROBLEMS
    return " ".join(
        [*sentences[:_MAX_PROBLEMS], *([f"... and {n_more} more."] if n_more > 0 else [])]
    )
