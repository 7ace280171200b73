"""Recordings that are copies of others, although their files differ.

A copy may have another encoding, gain, brightness or size of the picture, a different start, or
added noise. Sound is compared by pairs of spectral peaks, video by its motion.
"""

from collections.abc import Iterator, Mapping, Sequence

from depmm.audit.findings import (
    AuditInput,
    Copy,
    File,
    Finding,
    Key,
    Severity,
    sessions_by_file,
)
from depmm.audit.motion_copies import find_motion_copies
from depmm.audit.sound_copies import find_sound_copies
from depmm.errors import abbreviate
from depmm.media.measurement import RecordingMeasurement


def find_copies(
    measurements: Mapping[File, RecordingMeasurement], duplicates: Sequence[Sequence[File]]
) -> tuple[Copy, ...]:
    """Compare all recordings with one another.

    Parameters
    ----------
    measurements : mapping of tuple to RecordingMeasurement
        Measurements by file.
    duplicates : sequence of sequence of tuple
        Groups of equal files, which are compared once.

    Returns
    -------
    tuple of Copy
        Pairs of recordings with the same sound or the same picture.
    """
    repeated = {file for group in duplicates for file in sorted(group)[1:]}
    compared = {file: found for file, found in measurements.items() if file not in repeated}
    sounds = {file: each.fingerprint for file, each in compared.items() if each.fingerprint}
    motions = {file: each.motion for file, each in compared.items() if each.motion}
    return (*find_sound_copies(sounds), *find_motion_copies(motions))


def copied_recordings(inputs: AuditInput) -> Iterator[Finding]:
    """Find recordings of several sessions with the same sound or the same picture.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error, for copies of several subjects, and one warning, for copies of several
        sessions of one subject.
    """
    if inputs.recordings is None:
        return
    by_file = sessions_by_file(inputs.manifest)
    across: list[tuple[Copy, set[Key]]] = []
    within: list[tuple[Copy, set[Key]]] = []
    for copy in inputs.recordings.copies:
        first, second = by_file.get(copy.first, set()), by_file.get(copy.second, set())
        if first & second:
            continue  # parts of one session
        one_subject = len({key[:2] for key in first | second}) == 1
        (within if one_subject else across).append((copy, first | second))
    yield from _report(across, "error", "of several subjects")
    yield from _report(within, "warning", "of several sessions of one subject")


def _report(
    found: list[tuple[Copy, set[Key]]], severity: Severity, whose: str
) -> Iterator[Finding]:
    if not found:
        return
    names = [_describe(copy) for copy, _ in found]
    sessions = sorted({key for _, keys in found for key in keys})
    files = {file for copy, _ in found for file in (copy.first, copy.second)}
    yield Finding(
        "copied_recordings",
        severity,
        f"{len(found)} {'pair' if len(found) == 1 else 'pairs'} of recordings {whose} have the "
        f"same content in different files: {abbreviate(names)}.",
        "Listen to the pairs. Determine the session of each recording, remove the copies, and "
        "index the corpus again. If a long common part is intended, such as a played recording, "
        "allow the finding.",
        subjects=tuple(sorted({key[:2] for key in sessions})),
        sessions=tuple(sessions),
        files=tuple(sorted(files)),
    )


def _describe(copy: Copy) -> str:
    shift = f", {copy.shift_s:+.2f} s" if abs(copy.shift_s) >= 0.02 else ""
    measure = "of the fingerprint" if copy.kind == "sound" else "correlation"
    return (
        f"{'/'.join(copy.first)} = {'/'.join(copy.second)} ({copy.kind}: {copy.agreement:.2f} "
        f"{measure}{shift})"
    )
