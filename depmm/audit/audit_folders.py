"""Audit of manifest folders: read the tables and the recordings, and write the report."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from depmm.audit.audit import Audit, audit_manifest
from depmm.audit.audit_output import read_index_report, write_audit, write_properties
from depmm.audit.findings import AuditError, AuditInput
from depmm.audit.recording_statistics import Track, compute_recording_statistics
from depmm.audit.session_properties import session_properties
from depmm.corpora.manifest import concat_manifests, read_manifest
from depmm.media.measurement import measure_recording


def audit_folders(
    manifests: Sequence[Path],
    roots: Sequence[Path] | None = None,
    allow: Iterable[str] = (),
    out: Path | None = None,
    track: Track = iter,
) -> Audit:
    """Audit one or several manifests and write the files of the audit.

    These are ``audit.json``, ``audit.html`` and ``session_properties.parquet``.

    Parameters
    ----------
    manifests : sequence of Path
        Manifest folders. Several are also checked for shared subjects.
    roots : sequence of Path, optional
        Folder of the recordings of each manifest, in the same order. If given, the recordings are
        read: missing and unreadable files, identical files, black borders, durations, and the
        sound of the whole recordings.
    allow : iterable of str, optional
        Names of findings to accept; the audit records them.
    out : Path, optional
        Folder of the report. Default: the folder of the only manifest.
    track : callable, optional
        Wraps the list of files that are read, for example in a progress bar.

    Returns
    -------
    Audit
        Result of all checks.

    Raises
    ------
    AuditError
        If several manifests are given without ``out``, or ``roots`` has another length.
    """
    if len(manifests) > 1 and out is None:
        raise AuditError(
            f"{len(manifests)} manifests have one common report.",
            setting="out",
            remedy="Give the folder of the report.",
        )
    if roots and len(roots) != len(manifests):
        raise AuditError(
            f"there are {len(roots)} folders of recordings for {len(manifests)} manifests.",
            setting="roots",
            value=len(roots),
            remedy="Give one folder per manifest, in the same order.",
        )
    tables = [read_manifest(folder) for folder in manifests]
    statistics = None
    if roots:
        statistics = compute_recording_statistics(
            list(zip(tables, roots, strict=True)), measure_recording, track
        )
    manifest = concat_manifests(tables) if len(tables) > 1 else tables[0]
    reports = (read_index_report(folder) for folder in manifests)
    inputs = AuditInput(manifest, statistics, tuple(report for report in reports if report))
    properties = session_properties(inputs)
    audit = audit_manifest(replace(inputs, properties=properties), allow)
    write_audit(audit, out or manifests[0], manifests)
    write_properties(properties, out or manifests[0])
    return audit
