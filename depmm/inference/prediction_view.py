"""What a model reads of a recording, for the page of its prediction.

The parts are those of evaluation: the sound of each step up to ``data.max_audio_s``, and the frames
that ``data.frames_per_step`` chooses. Nothing of it is in the JSON file of a prediction.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from depmm.contact_sheet.recording_view import (
    JPEG_QUALITY,
    PICTURE_SIZE,
    RecordingView,
    view_recording,
)
from depmm.data.signals.crops import CropsSignal
from depmm.data.signals.signal import ReadSession
from depmm.data.signals.waveform import WaveformSignal
from depmm.data.used_signal import list_limited_modalities
from depmm.inference.model_outputs import Reading
from depmm.inference.quality import QualityWarning
from depmm.inference.region_map import measure_regions
from depmm.inference.trained_run import TrainedRun
from depmm.media.video.face_alignment import encode_jpeg
from depmm.pages.timeline import Picture, Span
from depmm.store.session_file import SessionReader

logger = logging.getLogger(__name__)

MAX_SHOWN_STEPS = 24  # steps of the table, those with the largest attribution
MAX_CROPS = 3  # of a step in the table


@dataclass(frozen=True)
class PredictionView:
    """What a model reads of a recording.

    Attributes
    ----------
    recording : RecordingView
        Sound, faces and steps; ``places`` also contains what the model does not read. Of the faces,
        only crops that the model reads are shown.
    sound_read : list of Span
        Parts of the sound that the model reads; overlapping parts are joined. Empty for a model
        that does not read sound.
    crops : dict of int to list of Picture
        Crops that the model reads of the steps with the largest attribution, by index of the step.
    regions : DataFrame or None
        One row per region of the face with ``region``, ``share`` (of the Grad-CAM maps) and
        ``area`` (share of a uniform map); None without such maps.
    """

    recording: RecordingView
    sound_read: list[Span]
    crops: dict[int, list[Picture]]
    regions: pd.DataFrame | None


def view_prediction(
    readings: Sequence[Reading],
    steps: pd.DataFrame,
    duration_s: float,
    attribution: np.ndarray,
) -> tuple[PredictionView | None, list[QualityWarning]]:
    """Read what a page shows of a recording.

    The page is an illustration: an error here does not end the prediction.

    Parameters
    ----------
    readings : sequence of Reading
        The recording as each model reads it; what any of them reads is shown.
    steps : DataFrame
        The steps, with ``start_s``, ``end_s`` and ``text``.
    duration_s : float
        Length of the recording, in seconds.
    attribution : ndarray of float64, shape (L,)
        Attribution of the steps.

    Returns
    -------
    view : PredictionView or None
        The view; None if the recording cannot be shown.
    warnings : list of QualityWarning
        What the page does not show because of an error.
    """
    warnings: list[QualityWarning] = []
    regions, view = None, None
    try:
        regions = measure_regions(
            (model, reading.dataset)
            for reading in readings
            for model in reading.run.models.values()
        )
    except Exception as error:  # of any encoder, or of the memory of the device
        warnings.append(_not_shown("no_region_map", "the regions of the face", error))
    try:
        view = _view_recording(readings, steps, duration_s, attribution, regions)
    except Exception as error:  # of any decoder of the crops and sounds
        warnings.append(_not_shown("no_view", "pictures and sound of the recording", error))
    return view, warnings


def _not_shown(name: str, part: str, error: Exception) -> QualityWarning:
    logger.warning("the page does not show %s: %r", part, error)
    kind = type(error).__name__
    return QualityWarning(
        name,
        f"The page does not show {part}, because of an error ({kind}). The prediction is not "
        "affected.",
    )


def _view_recording(
    readings: Sequence[Reading],
    steps: pd.DataFrame,
    duration_s: float,
    attribution: np.ndarray,
    regions: pd.DataFrame | None,
) -> PredictionView:
    masks = [_steps_read(reading, len(steps)) for reading in readings]
    texts = [None if pd.isna(text) else str(text) for text in steps["text"]]
    ends = [duration_s if pd.isna(end) else float(end) for end in steps["end_s"]]
    with readings[0].dataset.store.read(*readings[0].dataset.session_keys[0]) as reader:
        frames = _frames_read(readings, reader, masks)
        recording = view_recording(
            reader, ends, texts, duration_s, None if frames is None else np.concatenate(frames)
        )
        read = _sound_read(readings, reader, masks, duration_s)
        crops = _step_crops(reader, frames, attribution)
        run, mask = readings[0].run, np.any(masks, axis=0)
        masked = _masked_steps(run, reader, recording.steps, mask)
    not_read = {"Sound not read": _complement(read, duration_s)} if read else {}
    places = {**recording.places, **not_read, **masked}
    recording = replace(recording, places={name: part for name, part in places.items() if part})
    return PredictionView(recording, read, crops, regions)


def _steps_read(reading: Reading, n_steps: int) -> np.ndarray:
    """Return which of all steps are read, (L,) bool."""
    masks = reading.dataset.step_masks
    return np.ones(n_steps, bool) if masks is None else np.asarray(masks[0])


def _frames_read(
    readings: Sequence[Reading], reader: SessionReader, masks: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """Return the frames of each step that are read; None if no model reads crops."""
    frames: list[np.ndarray] | None = None
    for reading, mask in zip(readings, masks, strict=True):
        limited, key = list_limited_modalities(reading.run.config), reading.dataset.session_keys[0]
        for name, signal in reading.run.signals.items():
            if not isinstance(signal, CropsSignal) or name not in limited:
                continue
            if "face.jpeg" not in reader.names:
                continue
            frames = frames or [np.zeros(0, np.int64)] * len(mask)
            for step in np.flatnonzero(mask).tolist():
                chosen = signal.choose_frames(reader, key, step, None)
                frames[step] = np.union1d(frames[step], chosen)
    return frames


def _sound_read(
    readings: Sequence[Reading],
    reader: SessionReader,
    masks: Sequence[np.ndarray],
    duration_s: float,
) -> list[Span]:
    """Return the parts of the sound that are read, joined where they overlap."""
    if "audio.waveform" not in reader.names:
        return []
    parts: list[tuple[float, float]] = []
    for reading, mask in zip(readings, masks, strict=True):
        limited = list_limited_modalities(reading.run.config)
        session = ReadSession(reader, [None] * len(mask), mask, duration_s)
        for name, signal in reading.run.signals.items():
            if isinstance(signal, WaveformSignal):
                parts += signal.read_parts(session, whole=name not in limited)
    return _union(parts)


def _union(parts: Sequence[tuple[float, float]]) -> list[Span]:
    joined: list[Span] = []
    for start_s, end_s in sorted(parts):
        if joined and start_s <= joined[-1].end_s + 1e-3:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, end_s))
        else:
            joined.append(Span(start_s, end_s))
    return joined


def _complement(parts: Sequence[Span], duration_s: float) -> list[Span]:
    """Return what is between joined parts, without rests below 50 ms."""
    edges = [0.0, *(time for span in parts for time in (span.start_s, span.end_s)), duration_s]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Span(start, end) for start, end in pairs if end - start > 0.05]


def _step_crops(
    reader: SessionReader, frames: Sequence[np.ndarray] | None, attribution: np.ndarray
) -> dict[int, list[Picture]]:
    """Read a few crops of the steps with the largest attribution, evenly spaced in each."""
    if frames is None:
        return {}
    times = reader.read_tensor("face.time_s")
    crops: dict[int, list[Picture]] = {}
    for step in largest_steps(attribution):
        chosen = frames[step]
        if len(chosen) > MAX_CROPS:
            chosen = chosen[np.linspace(0, len(chosen) - 1, MAX_CROPS).round().astype(int)]
        crops[step] = [
            Picture(
                float(times[frame]),
                float(times[frame]),
                encode_jpeg(reader.read_crop(int(frame), PICTURE_SIZE), JPEG_QUALITY),
                f"face at {times[frame]:.1f} s",
            )
            for frame in chosen
        ]
    return crops


def largest_steps(attribution: np.ndarray) -> list[int]:
    """Return the steps of the table, by their absolute attribution.

    Parameters
    ----------
    attribution : ndarray of float64, shape (L,)
        Attribution of the steps; NaN for a step without any modality.

    Returns
    -------
    list of int
        Indices of at most 24 steps, the largest attribution first.
    """
    known = np.flatnonzero(np.isfinite(attribution))
    order = np.argsort(-np.abs(attribution[known]), kind="stable")[:MAX_SHOWN_STEPS]
    steps: list[int] = known[order].tolist()
    return steps


def _masked_steps(
    run: TrainedRun, reader: SessionReader, steps: Sequence[Span], mask: np.ndarray
) -> dict[str, list[Span]]:
    """List the steps in which a modality that the recording has is masked."""
    places: dict[str, list[Span]] = {}
    for name, signal in run.signals.items():
        present = signal.present(reader)[: len(mask)]
        if present.any():
            absent = np.flatnonzero(~present & mask).tolist()
            places[f"Steps without {name}"] = [steps[step] for step in absent]
    left_out = np.flatnonzero(~mask).tolist()
    return {**places, "Steps left out": [steps[step] for step in left_out]}
