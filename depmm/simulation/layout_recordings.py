"""Recordings and feature files of a simulated layout, written participant by participant."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depmm.config import SAMPLE_RATE, TRACKS, StreamConfig
from depmm.corpora.spec_schema import Spec
from depmm.simulation.face import FRAMES_PER_SECOND, animate, sample_face
from depmm.simulation.face_renderer import FaceRenderer
from depmm.simulation.features import write_features
from depmm.simulation.layout_units import PlannedUnit
from depmm.simulation.participants import BLUNTNESS_LIMITS, SUBJECT_SD, WORD_SD, run_jobs
from depmm.simulation.voice import Utterance, Voice, sample_voice, synthesise_speech
from depmm.simulation.writers import write_audio, write_video

RENDER_EVERY = 3  # every third frame is rendered and repeated


@dataclass(frozen=True)
class Job:
    """All recordings of one participant.

    Attributes
    ----------
    index : int
        Index of the participant, from 1.
    gender : {"female", "male"}
        Gender.
    depressed : bool
        Whether ``effect`` is added to the bluntness.
    effect : float
        Additional bluntness of depressed participants.
    seed : int
        Seed of the corpus.
    out : Path
        Folder of the corpus.
    spec : Spec
        Data spec of the layout.
    units : list of PlannedUnit
        Planned units of the participant.
    black_sessions : frozenset of str
        Sessions whose video is black.
    silent_files : frozenset of str
        Paths of recordings without audio.
    """

    index: int
    gender: str
    depressed: bool
    effect: float
    seed: int
    out: Path
    spec: Spec
    units: list[PlannedUnit]
    black_sessions: frozenset[str]
    silent_files: frozenset[str]


@dataclass(frozen=True)
class UnitTimes:
    """Times of the words of a unit.

    Attributes
    ----------
    words : list of tuple of float
        Start and end of each word in seconds.
    question_end_s : float
        End of the question of an interviewer in seconds; 0 without a question.
    """

    words: list[tuple[float, float]]
    question_end_s: float


def record_all(jobs: list[Job], workers: int) -> list[list[UnitTimes]]:
    """Write the recordings and feature files of all participants.

    Parameters
    ----------
    jobs : list of Job
        One job per participant.
    workers : int
        Number of processes.

    Returns
    -------
    list of list of UnitTimes
        Times of the words, for each job and unit.
    """
    return run_jobs(_record, jobs, workers)


def _record(job: Job) -> list[UnitTimes]:
    """Write the files of one participant."""
    streams = [np.random.default_rng((job.seed, job.index, k)) for k in range(4)]
    bluntness_rng, voice_rng, face_rng, feature_rng = streams
    voice, interviewer = sample_voice(voice_rng, job.gender), sample_voice(voice_rng, "female")
    others = {name for entry in job.spec.recordings for name in entry.modalities} - set(TRACKS)
    # further modalities come last, so that they change no draw of sound and face
    modalities = (*TRACKS, *sorted(others))
    offsets = {modality: bluntness_rng.normal(0, SUBJECT_SD) for modality in modalities}
    camera = _Camera(job, face_rng)
    times = []
    for unit in job.units:
        bluntness = {
            modality: np.clip(
                job.effect * job.depressed
                + offset
                + bluntness_rng.normal(0, WORD_SD, len(unit.words)),
                *BLUNTNESS_LIMITS,
            )
            for modality, offset in offsets.items()
        }
        words = [word for word, _ in unit.words]
        utterance = synthesise_speech(
            voice, words, bluntness["audio"], 1 / FRAMES_PER_SECOND, voice_rng
        )
        question_end_s = 0.0
        if job.spec.simulate.excluded_rows:
            utterance, question_end_s = _prepend_question(utterance, interviewer, voice_rng)
        _write_unit(job, unit, utterance, bluntness, camera, feature_rng)
        spans = zip(utterance.start_s.tolist(), utterance.end_s.tolist(), strict=True)
        times.append(UnitTimes(list(spans), question_end_s))
    return times


def _write_unit(
    job: Job,
    unit: PlannedUnit,
    utterance: Utterance,
    bluntness: dict[str, NDArray[np.float64]],
    camera: "_Camera",
    feature_rng: np.random.Generator,
) -> None:
    """Write the files of one unit."""
    black = unit.session in job.black_sessions
    frames: list[NDArray[np.uint8]] | None = None  # all files of a unit show the same motion
    for file in unit.files:
        path, entry, silent = job.out / file.path, file.entry, file.path in job.silent_files
        path.parent.mkdir(parents=True, exist_ok=True)
        if silent and "face" not in entry.modalities:
            continue
        if entry.features:
            modality = entry.modalities[0]
            write_features(
                path,
                entry.features,
                job.spec.simulate,
                _bluntness_of_rows(job.spec, entry.features, utterance, bluntness[modality]),
                feature_rng,
                tracking_failed=black and modality == "face",
            )
        elif "face" not in entry.modalities:
            write_audio(path, utterance)
        else:
            if frames is None:
                frames = camera.render(utterance, bluntness["face"])
            shown = [np.zeros_like(frames[0])] * len(frames) if black else frames
            write_video(path, shown, utterance, "audio" in entry.modalities and not silent)


class _Camera:
    """Renderer of the face of one participant, created when the first video is written."""

    def __init__(self, job: Job, rng: np.random.Generator) -> None:
        self.rng = rng
        self.face = sample_face(rng, job.gender)
        self.renderer: FaceRenderer | None = None

    def render(
        self, utterance: Utterance, bluntness: NDArray[np.float64]
    ) -> list[NDArray[np.uint8]]:
        if self.renderer is None:
            self.renderer = FaceRenderer(self.face, self.rng)
        motion = animate(self.face, utterance, bluntness, self.rng)
        n_frames = len(motion.mouth)
        drawn = [self.renderer.render(motion, k) for k in range(0, n_frames, RENDER_EVERY)]
        return [drawn[k // RENDER_EVERY] for k in range(n_frames)]


def _prepend_question(
    answer: Utterance, interviewer: Voice, rng: np.random.Generator
) -> tuple[Utterance, float]:
    """Put a question of an unseen interviewer before the answer; return the end of the question."""
    question = synthesise_speech(interviewer, ["welcome"], np.zeros(1), 1 / FRAMES_PER_SECOND, rng)
    shift = _duration_s(question)
    combined = Utterance(
        np.concatenate([question.waveform, answer.waveform]),
        answer.start_s + shift,
        answer.end_s + shift,
        np.concatenate([np.zeros_like(question.opening), answer.opening]),
    )
    return combined, float(question.end_s[0])


def _duration_s(utterance: Utterance) -> float:
    return len(utterance.waveform) / SAMPLE_RATE


def _bluntness_of_rows(
    spec: Spec, stream: StreamConfig, utterance: Utterance, bluntness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the bluntness of each row of a stream: that of its word, or of the nearest word."""
    if stream.name in spec.simulate.rows_are_words:
        return bluntness
    n_rows = max(1, round(_duration_s(utterance) * stream.rate_hz))
    time = np.arange(n_rows) / stream.rate_hz
    middle = (utterance.start_s + utterance.end_s) / 2
    rows: NDArray[np.float64] = bluntness[np.abs(time[:, None] - middle).argmin(axis=1)]
    return rows
