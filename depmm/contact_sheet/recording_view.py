"""What a stored session looks and sounds like, small enough for a page.

A session may consist of several files, whose times all begin at 0; they are shown one after the
other. The sound is reduced to peaks and the faces to a strip of small crops, at most one per part
of the time axis. Sound and frames are read in blocks, so that memory does not grow with their
length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.sound_level import FULL_SCALE, MAX_CLIPPED
from depmm.media.sound.voice_activity import DIGITAL_SILENCE_DB
from depmm.media.sound.waveform_peaks import WaveformPeaks
from depmm.media.video.face_alignment import encode_jpeg
from depmm.pages.timeline import Picture, Span, Timeline
from depmm.store.session_durations import step_files, step_sound
from depmm.store.session_file import SessionReader
from depmm.store.step_coverage import union_s

N_PEAKS = 300  # parts of the waveform
N_PICTURES = 14  # parts of the strip of crops
PICTURE_SIZE = 64  # pixels
JPEG_QUALITY = 60
_BLOCK_S = 60  # sound that is read at once
_SILENCE_S = 0.5  # shorter silence is not marked, even in a recording with silence
_JUMP_CM = 12.0  # a head is about 15 cm wide
_JUMP_S = 0.5  # frames that are further apart are not compared


@dataclass(frozen=True)
class RecordingView:
    """A session, reduced to what a page shows.

    Attributes
    ----------
    duration_s : float
        End of the last step, segment of speech or frame, in seconds; of several files, the sum.
    peaks : ndarray of float32, shape (300,), or None
        Largest absolute samples over time; None without sound.
    speech : list of Span
        Segments of speech.
    steps : list of Span
        The steps.
    pictures : list of Picture
        Crops over time; empty without video.
    places : dict of str to list of Span
        Name of a problem -> where it occurs, for example ``"No face"``.
    brightness : float, optional
        Mean luma of the shown crops in [0, 1]; None without faces.
    yaw, pitch : float, optional
        Median angles of the head in degrees; None without tracked faces.
    n_jumps : int
        How often the position of the face changes by about the width of a head or more between two
        neighbouring frames: usually because two faces take turns as the largest one.
    n_files : int
        Number of recordings that follow each other on the time axis.
    """

    duration_s: float
    peaks: np.ndarray | None
    speech: list[Span]
    steps: list[Span]
    pictures: list[Picture]
    places: dict[str, list[Span]]
    brightness: float | None = None
    yaw: float | None = None
    pitch: float | None = None
    n_jumps: int = 0
    n_files: int = 1

    @property
    def speech_s(self) -> float:
        """Duration of the speech in seconds, in which overlapping segments count once."""
        return union_s((span.start_s, span.end_s) for span in self.speech)


@dataclass
class _Faces:
    pictures: list[Picture] = field(default_factory=list)
    missing: list[Span] = field(default_factory=list)
    brightness: float | None = None


def view_recording(
    reader: SessionReader,
    ends_s: Sequence[float | None] | None = None,
    texts: Sequence[str | None] | None = None,
    duration_s: float | None = None,
    frames: np.ndarray | None = None,
) -> RecordingView:
    """Read what a page shows of a session.

    Parameters
    ----------
    reader : SessionReader
        The open session.
    ends_s : sequence of float, optional
        Ends of the steps, in seconds; default, and None for one step: the end of its sound and
        frames.
    texts : sequence of str, optional
        Texts of the steps; default: those of the session.
    duration_s : float, optional
        Length of the recording, in seconds, which is then the only one of the session; default: the
        end of what is stored.
    frames : ndarray of int64, optional
        Indices of the frames whose crops may be shown; default: all frames with a face.

    Returns
    -------
    RecordingView
        The view.

    Raises
    ------
    StoreError
        If a part of the file is damaged.
    """
    steps = _list_steps(reader, ends_s, texts)
    files = np.zeros(len(steps), np.int64) if duration_s is not None else step_files(reader)
    offsets = file_offsets(steps, files)
    steps = [_shift(span, offset) for span, offset in zip(steps, offsets.tolist(), strict=True)]
    speech = _list_speech(reader, offsets)
    frame_offsets = _frame_offsets(reader, offsets)
    times = frame_offsets.copy()
    if len(times):
        times += reader.read_tensor("face.time_s")
    if duration_s is None:
        ends = [span.end_s for span in (*steps, *speech)]
        duration_s = float(max([*ends, *times[-1:]], default=0.0))
    has_sound = "audio.step_samples" in reader.names
    peaks = _read_peaks(reader, duration_s, offsets) if has_sound else None
    faces = _read_faces(reader, times, duration_s, frames)
    places = {"No face": faces.missing}
    if peaks is not None:
        places |= _find_sound_problems(reader, peaks, duration_s)
    yaw, pitch, n_jumps = _read_pose(reader, times, frame_offsets)
    return RecordingView(
        duration_s,
        peaks,
        speech,
        steps,
        faces.pictures,
        {name: spans for name, spans in places.items() if spans},
        faces.brightness,
        yaw,
        pitch,
        n_jumps,
        len(np.unique(files)) or 1,
    )


def draw_recording(view: RecordingView) -> Timeline:
    """Draw crops, sound, speech, steps and the places of problems on one time axis.

    Parameters
    ----------
    view : RecordingView
        The session.

    Returns
    -------
    Timeline
        The drawing, to which rows can be added.
    """
    timeline = Timeline(view.duration_s)
    if view.pictures:
        timeline.add_pictures("Face", view.pictures)
    if view.peaks is not None:
        timeline.add_waveform(view.peaks, view.speech)
        timeline.add_spans("Speech", view.speech, "speech")
    if view.steps:
        timeline.add_spans("Steps", view.steps, "step")
    for name, spans in view.places.items():
        timeline.add_spans(name, spans, "problem")
    return timeline


def _list_steps(
    reader: SessionReader,
    ends_s: Sequence[float | None] | None,
    texts: Sequence[str | None] | None,
) -> list[Span]:
    starts = np.asarray(reader.summary["step_start_s"], float)
    ends = starts.copy()
    if "audio.step_samples" in reader.names:
        _, ends = step_sound(reader)
    if "face.step_frames" in reader.names:
        times = np.append(reader.read_tensor("face.time_s"), 0.0)
        first, last = reader.step_frames.T
        ends = np.where(last > first, np.maximum(ends, times[last - 1]), ends)
    steps = []
    for index, start_s in enumerate(starts.tolist()):
        given = None if ends_s is None else ends_s[index]
        end_s = ends[index] if given is None or not np.isfinite(given) else given
        text = reader.read_text(index) if texts is None else texts[index]
        steps.append(Span(start_s, float(end_s), f"step {index}: {text or ''}".strip(": ")))
    return steps


def file_offsets(steps: Sequence[Span], files: np.ndarray) -> np.ndarray:
    """Compute where the file of each step begins on an axis with all files of a session.

    Parameters
    ----------
    steps : sequence of Span
        The steps, with times in their file.
    files : ndarray of int64, shape (L,)
        Index of the file of each step.

    Returns
    -------
    ndarray of float64, shape (L,)
        Sum of the lengths of the previous files, in seconds.
    """
    names, order = np.unique(files, return_inverse=True)
    lengths = np.zeros(len(names))
    np.maximum.at(lengths, order, [step.end_s for step in steps])
    offsets: np.ndarray = (np.cumsum(lengths) - lengths)[order]
    return offsets


def _shift(span: Span, offset_s: float) -> Span:
    return Span(span.start_s + offset_s, span.end_s + offset_s, span.text)


def _frame_offsets(reader: SessionReader, offsets: np.ndarray) -> np.ndarray:
    """Return the offset of the file of each frame, (T,)."""
    if "face.step_frames" not in reader.names:
        return np.zeros(0)
    of_frames = np.zeros(reader.summary["n_frames"])
    for (first, end), offset_s in zip(reader.step_frames, offsets, strict=True):
        of_frames[first:end] = offset_s
    return of_frames


def _list_speech(reader: SessionReader, offsets: np.ndarray) -> list[Span]:
    if "audio.speech" not in reader.names:
        return []
    segments = reader.read_tensor("audio.speech").astype(float)
    segments += offsets[reader.read_tensor("audio.speech_step")][:, None]
    return [Span(start_s, end_s) for start_s, end_s in segments.tolist()]


def _read_peaks(reader: SessionReader, duration_s: float, offsets: np.ndarray) -> np.ndarray:
    peaks = WaveformPeaks(duration_s, N_PEAKS)
    block = _BLOCK_S * SAMPLE_RATE
    starts = (offsets + np.asarray(reader.summary["step_start_s"], float)).tolist()
    for step, (start_s, (start, end)) in enumerate(zip(starts, reader.step_samples, strict=True)):
        for first in range(0, int(end - start), block):
            peaks.update(reader.read_waveform(step, first, block), start_s + first / SAMPLE_RATE)
    return peaks.values


def _find_sound_problems(
    reader: SessionReader, peaks: np.ndarray, duration_s: float
) -> dict[str, list[Span]]:
    """Find where sound is clipped, if extraction warns of it, and where it is digital silence."""
    sound = reader.summary.get("sound") or {}
    part_s = duration_s / len(peaks)
    problems = {}
    if sound.get("clipped", 0.0) > MAX_CLIPPED:
        problems["Clipped"] = list(_runs(peaks >= FULL_SCALE, part_s))
    if sound.get("silent_s", 0.0) > 0:
        silent = _runs(peaks < 10 ** (DIGITAL_SILENCE_DB / 20), part_s)
        problems["Silent"] = [span for span in silent if span.end_s - span.start_s >= _SILENCE_S]
    return problems


def _runs(mask: np.ndarray, part_s: float) -> Iterator[Span]:
    """Yield the runs of a mask over equal parts of a recording."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    for first, end in edges.reshape(-1, 2):
        yield Span(float(first * part_s), float(end * part_s))


def _read_faces(
    reader: SessionReader, times: np.ndarray, duration_s: float, frames: np.ndarray | None
) -> _Faces:
    """Choose one crop per part of the axis, the nearest to its middle that shows a face."""
    if not len(times):
        return _Faces()
    import cv2

    detected = reader.read_tensor("face.detected")
    shown = detected.copy()
    if frames is not None:
        shown &= np.isin(np.arange(len(times)), frames)
    edges = np.linspace(0.0, max(duration_s, 1e-3), N_PICTURES + 1)
    pictures, light = [], []
    for start_s, end_s in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = np.flatnonzero((times >= start_s) & (times < end_s))
        faces = inside[shown[inside]]
        if not len(inside) or (not len(faces) and detected[inside].any()):
            continue
        if not len(faces):
            text = f"no face in {len(inside)} frames from {start_s:.1f} to {end_s:.1f} s"
            pictures.append(Picture(start_s, end_s, None, text))
            continue
        frame = int(faces[np.argmin(np.abs(times[faces] - (start_s + end_s) / 2))])
        crop = reader.read_crop(frame, PICTURE_SIZE)
        light.append(float(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).mean()) / 255)
        jpeg = encode_jpeg(crop, JPEG_QUALITY)
        pictures.append(Picture(start_s, end_s, jpeg, f"face at {times[frame]:.1f} s"))
    return _Faces(
        pictures, _missing_faces(times, detected), float(np.mean(light)) if light else None
    )


def _missing_faces(times: np.ndarray, detected: np.ndarray) -> list[Span]:
    """List the stretches without a face; a frame stands for the time until the next one."""
    edges = np.flatnonzero(np.diff((~detected).astype(np.int8), prepend=0, append=0))
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return [
        Span(float(times[first]), float(times[end - 1]) + step_s, f"{end - first} frames")
        for first, end in edges.reshape(-1, 2)
    ]


def _read_pose(
    reader: SessionReader, times: np.ndarray, offsets: np.ndarray
) -> tuple[float | None, float | None, int]:
    """Measure the median yaw and pitch of the head, and count jumps of its position."""
    if "face.pose" not in reader.names or not len(times):
        return None, None, 0
    pose = reader.read_features("head_pose", 0, len(times))
    known = np.isfinite(pose).all(axis=1)
    pose, times, offsets = pose[known].astype(float), times[known], offsets[known]
    if not len(pose):
        return None, None, 0
    moved = np.linalg.norm(np.diff(pose[:, 3:5], axis=0), axis=1)
    jumps = (moved > _JUMP_CM) & (np.diff(times) <= _JUMP_S) & (np.diff(offsets) == 0)
    return float(np.median(pose[:, 1])), float(np.median(pose[:, 0])), int(jumps.sum())
