"""Audit of manifest folders: read the tables and the recordings, and write the report."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from depmm.audit.audit import Audit, audit_manifest
from depmm.audit.audit_output import write_audit, write_properties, write_recordings
from depmm.audit.findings import AuditError, AuditInput, RecordingStatistics
from depmm.audit.identity.session_embeddings import VOICE, SessionEmbeddings
from depmm.audit.recording_statistics import compute_recording_statistics
from depmm.audit.session_properties import session_properties
from depmm.config.extraction import FaceExtraction
from depmm.corpora.index_report import read_index_report
from depmm.corpora.manifest import Manifest, concat_manifests, read_manifest
from depmm.media.errors import MediaError
from depmm.media.measurement import measure_recording
from depmm.media.video.face_landmarker import LANDMARKER_VARIABLE, find_local_landmarker
from depmm.media.video.faces import FaceTracker


def audit_folders(
    manifests: Sequence[Path],
    roots: Sequence[Path] | None = None,
    allow: Iterable[str] = (),
    out: Path | None = None,
    identity: bool = False,
) -> Audit:
    """Audit one or several manifests and write the files of the audit.

    These are ``audit.json``, ``audit.html``, ``session_properties.parquet`` and, with
    ``roots``, ``recordings.parquet``.

    Parameters
    ----------
    manifests : sequence of Path
        Manifest folders. Several are also checked for shared subjects.
    roots : sequence of Path, optional
        Folder of the recordings of each manifest, in the same order. If given, the recordings are
        read: missing, unreadable and identical files, the whole sound, and five frames of each
        video.
    allow : iterable of str, optional
        Names of findings to accept; the audit records them.
    out : Path, optional
        Folder of the report. Default: the folder of the only manifest.
    identity : bool, default False
        Whether the voices and faces of the sessions are compared, which needs ``roots`` and the
        models of ``depmm download identity`` and ``depmm download face-identity``. One of them is
        sufficient.

    Returns
    -------
    Audit
        Result of all checks.

    Raises
    ------
    AuditError
        If several manifests are given without ``out``, ``roots`` has another length, or
        ``identity`` is given without ``roots``.
    MediaError
        If ``identity`` is given and no model for it is on this computer.
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
    if identity and not roots:
        raise AuditError(
            "the voices and faces are in the recordings.",
            setting="roots",
            remedy="Give the folders of the recordings.",
        )
    tables = [read_manifest(folder) for folder in manifests]
    encoders = None
    if identity:
        from depmm.audit.identity.encoders import load_identity_encoders

        # before the recordings are read, which takes long
        encoders = load_identity_encoders(tables)
    statistics = None
    embeddings: tuple[SessionEmbeddings, ...] = ()
    if roots:
        pairs = list(zip(tables, roots, strict=True))
        statistics = _measure_recordings(pairs)
        embeddings = encoders.embed(pairs) if encoders else ()
    manifest = concat_manifests(tables) if len(tables) > 1 else tables[0]
    reports = (read_index_report(folder) for folder in manifests)
    inputs = AuditInput(manifest, statistics, tuple(report for report in reports if report))
    inputs = replace(
        inputs,
        identity=embeddings,
        identity_not_compared=encoders.not_compared if encoders else {},
    )
    properties = session_properties(inputs)
    audit = audit_manifest(replace(inputs, properties=properties), allow)
    write_audit(audit, out or manifests[0], manifests)
    for part in embeddings if len(manifests) == 1 else ():
        if part.modality is VOICE and len(part.long_sessions().sessions):
            from depmm.audit.identity.pseudo_subjects import write_pseudo_subjects

            write_pseudo_subjects(part, manifests[0])
    write_properties(properties, out or manifests[0])
    write_recordings(statistics.table if statistics else None, out or manifests[0])
    return audit


def _measure_recordings(manifests: Sequence[tuple[Manifest, Path]]) -> RecordingStatistics:
    """Compute the statistics of the recordings, of faces only if the face model is there."""
    tracker, reason = None, None
    if any(manifest.steps["face"].notna().any() for manifest, _ in manifests):
        tracker, reason = _open_tracker()
    with tracker or nullcontext():
        measure = partial(measure_recording, tracker=tracker)
        statistics = compute_recording_statistics(manifests, measure)
    return replace(statistics, faces_not_measured=reason)


def _open_tracker() -> tuple[FaceTracker | None, str | None]:
    landmarker = find_local_landmarker()
    if landmarker is None:
        return None, (
            "the face model is not on this computer; depmm extract downloads it, or set "
            f"{LANDMARKER_VARIABLE}"
        )
    try:
        return FaceTracker(landmarker, FaceExtraction().min_confidence), None
    except MediaError as error:
        return None, f"the face model cannot be used: {error}"
