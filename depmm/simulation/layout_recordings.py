"""Voices, faces and features of the people of a simulated layout, written file by file."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depmm.config import MODALITIES, SAMPLE_RATE
from depmm.corpora.spec_schema import Spec
from depmm.simulation.face import FRAMES_PER_SECOND, FaceRenderer, animate, sample_face
from depmm.simulation.features import write_features
from depmm.simulation.layout_plan import PlannedUnit
from depmm.simulation.voice import Utterance, Voice, sample_voice, synthesise_speech
from depmm.simulation.word_reading import BLUNTNESS_LIMITS, SUBJECT_SD, WORD_SD
from depmm.simulation.writers import write_sound, write_video

FRAMES_PAINTED = 3  # every third picture is painted, and shown three times

Times = tuple[list[tuple[float, float]], float]  # of each word; the end of the question before


@dataclass(frozen=True)
class Job:
    """Everything that is recorded of one person."""

    number: int
    gender: str
    depressed: bool
    effect: float
    seed: int
    out: Path
    spec: Spec
    units: list[PlannedUnit]
    dark: frozenset[str]  # sessions
    silent: frozenset[str]  # paths


def record_all(jobs: list[Job], workers: int) -> list[list[Times]]:
    """Record everybody, in processes of their own where there are several workers."""
    if workers == 1:
        return [_record(job) for job in jobs]
    # spawn: a forked child of a process with threads (torch, a notebook) can hang
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        return list(pool.map(_record, jobs))
    finally:
        pool.shutdown(cancel_futures=True)


def _record(job: Job) -> list[Times]:
    """Write one person's files and return when each word starts and ends, unit by unit."""
    streams = [np.random.default_rng((job.seed, job.number, k)) for k in range(4)]
    feelings, voice_rng, face_rng, feature_rng = streams
    voice, asker = sample_voice(voice_rng, job.gender), sample_voice(voice_rng, "female")
    offsets = {modality: feelings.normal(0, SUBJECT_SD) for modality in MODALITIES}
    face = sample_face(face_rng, job.gender)
    renderer: FaceRenderer | None = None
    times = []
    for unit in job.units:
        bluntness = {
            modality: np.clip(
                job.effect * job.depressed + offset + feelings.normal(0, WORD_SD, len(unit.words)),
                *BLUNTNESS_LIMITS,
            )
            for modality, offset in offsets.items()
        }
        spoken = [word for word, _ in unit.words]
        sound = synthesise_speech(
            voice, spoken, bluntness["audio"], 1 / FRAMES_PER_SECOND, voice_rng
        )
        asked_s = 0.0
        if job.spec.simulate.excluded_rows:
            sound, asked_s = _after_a_question(sound, asker, voice_rng)
        motion = None
        for file in unit.files:
            path, entry, quiet = job.out / file.path, file.entry, file.path in job.silent
            path.parent.mkdir(parents=True, exist_ok=True)
            dark = unit.session in job.dark
            if quiet and "face" not in entry.modalities:
                continue
            if entry.features:
                modality = entry.modalities[0]
                shown = _by_word(sound, bluntness[modality])
                write_features(
                    path, entry.features, job.spec.simulate, shown, feature_rng,
                    broken=dark and modality == "face",
                )  # fmt: skip
            elif "face" not in entry.modalities:
                write_sound(path, sound)
            else:
                if motion is None:
                    renderer = renderer or FaceRenderer(face, face_rng)
                    motion = animate(face, sound, bluntness["face"], face_rng)
                    drawn = [
                        renderer.render(motion, k)
                        for k in range(0, len(motion.mouth), FRAMES_PAINTED)
                    ]
                black = np.zeros_like(drawn[0])
                pictures = (
                    black if dark else drawn[k // FRAMES_PAINTED] for k in range(len(motion.mouth))
                )
                write_video(path, pictures, sound, "audio" in entry.modalities and not quiet)
        times.append(
            (list(zip(sound.start_s.tolist(), sound.end_s.tolist(), strict=True)), asked_s)
        )
    return times


def _after_a_question(
    answer: Utterance, asker: Voice, rng: np.random.Generator
) -> tuple[Utterance, float]:
    """Let somebody else speak first, whose mouth is not seen."""
    asked = synthesise_speech(asker, ["welcome"], np.zeros(1), 1 / FRAMES_PER_SECOND, rng)
    shift = _length_s(asked)
    return (
        Utterance(
            np.concatenate([asked.waveform, answer.waveform]),
            answer.start_s + shift,
            answer.end_s + shift,
            np.concatenate([np.zeros_like(asked.opening), answer.opening]),
        ),
        float(asked.end_s[0]),
    )


def _length_s(recording: Utterance) -> float:
    return len(recording.waveform) / SAMPLE_RATE


def _by_word(sound: Utterance, bluntness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bluntness at every hundredth of a second: that of the nearest word."""
    time = np.arange(0, _length_s(sound), 0.01)
    middle = (sound.start_s + sound.end_s) / 2
    return bluntness[np.abs(time[:, None] - middle).argmin(axis=1)]
