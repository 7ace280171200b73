"""Statistics of the recordings of a manifest: missing and duplicate files, lengths, warnings."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.audit.copies import find_copies
from depmm.audit.findings import File, RecordingStatistics, list_file_uses, recordings_table
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import Manifest
from depmm.media.errors import as_media_error
from depmm.media.measurement import RecordingMeasurement, RecordingUse
from depmm.media.warnings import MediaWarning
from depmm.progress import track as track_progress
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.step_coverage import MAX_MISSING_S, masked_steps, shortened_steps

Measure = Callable[[Path, RecordingUse], RecordingMeasurement]


def compute_recording_statistics(
    manifests: Sequence[tuple[Manifest, Path]], measure: Measure
) -> RecordingStatistics:
    """Read every file of one or several manifests.

    The SHA-256 is compared only for files of equal size. Feature files are compared, but not
    decoded.

    Parameters
    ----------
    manifests : sequence of tuple of (Manifest, Path)
        Manifests with the folders of their recordings.
    measure : callable
        :func:`depmm.media.measurement.measure_recording`, or a function with its parameters and
        results. Any exception that it raises makes its file unreadable and does not end the audit.

    Returns
    -------
    RecordingStatistics
        The statistics.

    Raises
    ------
    ManifestError
        If a folder does not exist or contains no file of its manifest.
    """
    paths: dict[File, Path] = {}
    uses: dict[File, RecordingUse] = {}
    steps: dict[File, pd.DataFrame] = {}
    missing: set[File] = set()
    for manifest, root in manifests:
        table = list_file_uses(manifest)[["corpus", "file"]]
        uses |= _recording_uses(manifest)
        steps |= _by_file(manifest.steps, "audio")
        listed = set(table.itertuples(index=False, name=None))
        existing = {file for file in listed if (root / file[1]).is_file()}
        if listed and not existing:
            raise ManifestError(
                f"{root}: none of the {len(listed)} files of the manifest is in this folder, for "
                f"example {min(listed)[1]}.",
                file=root,
                remedy="Give the folder that was given to depmm index.",
            )
        nonempty = {file for file in existing if (root / file[1]).stat().st_size > 0}
        missing |= listed - nonempty
        paths |= {file: root / file[1] for file in nonempty}
    unreadable: dict[File, str] = {}
    measurements: dict[File, RecordingMeasurement] = {}
    warnings: dict[File, tuple[MediaWarning, ...]] = {}
    recorded = [file for file in sorted(paths) if file in uses]
    for file in track_progress(recorded, "read recordings", "files"):
        try:
            measured = measure(paths[file], uses[file])
        except Exception as error:
            # the finding has a remedy for all files
            unreadable[file] = as_media_error(file[1], error).problem
            continue
        measurements[file] = measured
        found = measured.warnings
        if measured.sound_s is not None:
            found += tuple(_steps_without_sound(file[1], steps[file], measured.sound_s))
        if found:
            warnings[file] = found
    duplicates = _duplicates(paths, unreadable)
    return RecordingStatistics(
        tuple(sorted(missing)),
        unreadable,
        duplicates,
        find_copies(measurements, duplicates),
        recordings_table({file: found.statistics for file, found in measurements.items()}),
        warnings,
    )


def _recording_uses(manifest: Manifest) -> dict[File, RecordingUse]:
    uses: dict[File, RecordingUse] = {}
    for file, rows in _by_file(manifest.steps, "audio").items():
        track, channel = (
            None if pd.isna(value) else int(value)
            for value in rows[["audio_track", "audio_channel"]].iloc[0]
        )
        uses[file] = RecordingUse(audio=True, track=track, channel=channel)
    for file in _by_file(manifest.steps, "face"):
        uses[file] = replace(uses.get(file, RecordingUse()), face=True)
    return uses


def _by_file(steps: pd.DataFrame, modality: str) -> dict[File, pd.DataFrame]:
    groups = steps.groupby(["corpus", modality])
    return {(str(corpus), str(path)): rows for (corpus, path), rows in groups}


def _steps_without_sound(path: str, steps: pd.DataFrame, sound_s: float) -> Iterable[MediaWarning]:
    """Yield warnings about the steps of a file, for each session, after the end of the sound."""
    if steps["start_s"].max() < sound_s and not steps["end_s"].max() > sound_s + MAX_MISSING_S:
        return
    for _, rows in steps.groupby(SESSION_KEY):
        indices = rows["step"].tolist()
        ends = rows["end_s"].fillna(np.inf)
        windows = list(zip(rows["start_s"].tolist(), ends.tolist(), strict=True))
        empty = rows.loc[rows["start_s"] >= sound_s, "step"].tolist()
        if error := masked_steps(path, indices, windows, empty, "sound", sound_s):
            yield MediaWarning("missing_sound", error.problem, error.remedy or "", len(empty))
        if cut := shortened_steps(indices, windows, sound_s):
            yield cut


def _duplicates(
    paths: dict[File, Path], unreadable: dict[File, str]
) -> tuple[tuple[File, ...], ...]:
    """Group files of the same content; add files that cannot be read to ``unreadable``."""
    by_size = defaultdict(list)
    for file in sorted(paths):
        by_size[paths[file].stat().st_size].append(file)
    by_content = defaultdict(list)
    for same_size in by_size.values():
        for file in same_size if len(same_size) > 1 else ():
            try:
                with paths[file].open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                unreadable.setdefault(file, as_media_error(file[1], error).problem)
                continue
            by_content[digest].append(file)
    return tuple(sorted(tuple(group) for group in by_content.values() if len(group) > 1))
