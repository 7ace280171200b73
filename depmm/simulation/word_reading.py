"""A corpus of people who do not exist, reading emotion words, with a planted and known effect.

The layout is that of word reading under EWRE (one talking-face video a person, one step a word),
the files are real H.264 and AAC, and `truth.json` states what was planted: which words are spoken
with more bluntness by which group, and what a unit of bluntness does to voice and face. So a
pipeline can be run, and an explanation checked, without anybody's recordings.
"""

import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depmm.config import MODALITIES
from depmm.corpora.manifest import VALENCES
from depmm.corpora.word_lists import ENGLISH_WORDS, Word, normalize_word, read_words
from depmm.simulation.face import (
    FRAMES_PER_SECOND,
    MOTION_PER_UNIT,
    FaceRenderer,
    animate,
    sample_face,
)
from depmm.simulation.voice import (
    DURATION_PER_UNIT,
    GAIN_DB_PER_UNIT,
    PITCH_RANGE_PER_UNIT,
    sample_voice,
    spell_phones,
    synthesise_speech,
)
from depmm.simulation.writers import write_table, write_text, write_video

GENERATOR = "depmm simulate"  # in truth.json: this folder may be overwritten
SESSION = "1"
BDI_CUTOFF, BDI_MAX = 14, 63  # BDI-II: from 14 on at least mild depression
WORD_SD, SUBJECT_SD = 1.0, 0.25  # of the bluntness that is not planted; effects are in word SDs
BLUNTNESS_LIMITS = (-1.5, 4.0)  # of what voice and face show
PLANTED_SHARE = 2 / 3  # of a group's words
SHARES = {"train": 0.5, "validation": 0.2, "test": 0.3}
HEALTHY, DEPRESSED = DIAGNOSES = ("healthy", "depressed")
PLANTED_VALENCE = {DEPRESSED: "negative", HEALTHY: "positive"}

DEFINITION = (
    "bluntness[person, modality, step] = effect * planted + a person's offset N(0, subject_sd) + "
    "noise N(0, word_sd), drawn independently for audio and face; planted is 1 where the step's "
    "planted_for is the subject's diagnosis, otherwise 0. Clipped to bluntness_limits, each "
    "unit of audio bluntness changes a word's level, duration and pitch range, each unit of face "
    "bluntness the motion of mouth, brows and head (before the limits of a face), as "
    "effect_per_unit says."
)


@dataclass(frozen=True)
class Step:
    """A word of the reading list and the group (if any) that speaks it with more bluntness."""

    word: str
    valence: str
    planted_for: str | None


@dataclass(frozen=True)
class Traits:
    """Who somebody is; nothing here depends on their number."""

    diagnosis: str
    score: int
    gender: str
    age: int
    split: str


@dataclass(frozen=True)
class SimulatedSubject:
    """A simulated person; `bluntness` is modality -> float64[L]."""

    index: int
    traits: Traits
    bluntness: dict[str, NDArray[np.float64]]

    @property
    def subject(self) -> str:
        return _subject(self.index)


def simulate_word_reading(
    out: Path,
    *,
    subjects: int = 48,
    steps: int = 12,
    seed: int = 0,
    effect: float = 1.0,
    workers: int | None = None,
    words: Path | None = None,
) -> dict[str, Any]:
    """Write a simulated corpus and return its truth.

    The same arguments give the same bytes, for any number of workers (on one kind of processor and
    with one set of library versions). A script that calls this with more than one worker needs the
    usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    out : a new or empty folder, or that of an earlier simulation, which is replaced
    subjects : people, half of them depressed (an odd one is healthy), one session each
    steps : words a person reads, `L`; a valence whose words are used up starts again
    effect : bluntness of planted words, in the units that ``effect_per_unit`` of the truth explains
    workers : processes; default: one for each processor
    words : a word list, see ``read_words``; default: 24 English words of each valence

    Returns
    -------
    the content of ``truth.json``

    Raises
    ------
    ValueError : an argument out of range; ``out`` is a file or holds something else; a word list
        that cannot be used, lacks a valence, or has a word that the voice cannot say
    """
    out = Path(out)
    _check_arguments(subjects, steps, seed, effect, workers)
    lists = read_word_lists(words or ENGLISH_WORDS)
    earlier = _earlier_subjects(out)
    reading = sample_reading_list(steps, lists, np.random.default_rng((seed, 0)))
    people = sample_subjects(subjects, reading, seed, effect)
    truth = _truth(people, reading, seed, effect)

    videos = out / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    # without its tables an unfinished corpus cannot be mistaken for a whole one
    for table in ("labels.csv", "words.csv"):
        (out / table).unlink(missing_ok=True)
    write_text(out / "truth.json", json.dumps(truth, indent=1) + "\n")
    for subject in earlier:
        (videos / _video_name(subject)).unlink(missing_ok=True)
        (videos / f".{_video_name(subject)}.part").unlink(missing_ok=True)

    jobs = [
        (person, [step.word for step in reading], seed, videos / _video_name(person.subject))
        for person in people
    ]
    times = _run(jobs, min(workers or os.cpu_count() or 1, subjects))
    spoken = [
        (person.subject, SESSION, k, f"{start:.3f}", f"{end:.3f}", step.word, step.valence)
        for person, limits in zip(people, times, strict=True)
        for k, (step, (start, end)) in enumerate(zip(reading, limits, strict=True))
    ]
    write_table(out / "words.csv", "subject session step start_s end_s word valence", spoken)
    traits = [(person.subject, person.traits) for person in people]
    labels = [(name, SESSION, t.score, t.gender, t.age, t.split) for name, t in traits]
    write_table(out / "labels.csv", "subject session score gender age split", labels)
    return truth


# ---- what is planned -------------------------------------------------------------------------


def _check_arguments(
    subjects: int, steps: int, seed: int, effect: float, workers: int | None
) -> None:
    if subjects < 2:
        raise ValueError(f"subjects is {subjects}: two groups need at least 2 people")
    if steps < 3:
        raise ValueError(f"steps is {steps}: a reading needs at least 3 words, one a valence")
    if seed < 0:
        raise ValueError(f"seed is {seed}: use 0 or a positive whole number")
    if not (math.isfinite(effect) and effect >= 0):
        raise ValueError(f"effect is {effect}: use 0 (nothing planted) or a positive number")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}: use at least 1, or None for all processors")


def _earlier_subjects(out: Path) -> list[str]:
    """Name the people of an earlier simulation in ``out``; refuse a folder with anything else."""
    if not out.exists():
        return []
    if not out.is_dir():
        raise ValueError(f"out is {out}, which is a file: give the path of a new folder")
    if not any(out.iterdir()):
        return []
    try:
        truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
        ours = truth["generator"] == GENERATOR
        # counted, not read: no name from a file becomes a path that is deleted
        subjects = len(truth["subjects"])
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise ValueError(
            f"out is {out}, which holds files that no simulation wrote: "
            "give a new or empty folder, or empty this one yourself"
        )
    return [_subject(index) for index in range(1, subjects + 1)]


def read_word_lists(path: Path) -> dict[str, list[str]]:
    """Read the words of each valence, in the order of ``VALENCES`` and of the file."""
    lists: dict[str, list[str]] = {valence: [] for valence in VALENCES}
    known: dict[str, Word] = {}
    for word in read_words(path):
        other = known.setdefault(normalize_word(word.text), word)
        if other is not word:
            raise ValueError(
                f"{path}: {word.text!r} stands in {other.language} and {word.language}: simulate "
                "one language, or keep the word once"
            )
        if not spell_phones(word.text):
            raise ValueError(
                f"{path}: {word.text!r} has no letter that the simulated voice can say: write it "
                "in Latin letters"
            )
        lists[word.valence].append(word.text)
    for valence, texts in lists.items():
        if not texts:
            raise ValueError(f"{path}: no {valence} word: a reading needs words of each valence")
    return lists


def sample_reading_list(
    steps: int, lists: dict[str, list[str]], rng: np.random.Generator
) -> list[Step]:
    """Choose and order the words, and which of them are planted.

    Words come in rounds of one a valence, each round in random order; a last, incomplete round has
    as many negative as positive words.
    """
    shuffled = {valence: rng.permutation(words).tolist() for valence, words in lists.items()}
    rounds = [[str(v) for v in rng.permutation(list(lists))] for _ in range(steps // 3)]
    rest = ([], ["neutral"], ["negative", "positive"])[steps % 3]
    rounds.append([str(v) for v in rng.permutation(rest)])
    order = [valence for chosen in rounds for valence in chosen]
    planted: dict[str, str] = {}
    for group, valence in PLANTED_VALENCE.items():
        chosen = shuffled[valence][: order.count(valence)]
        count = max(1, round(PLANTED_SHARE * len(chosen)))
        planted |= {str(word): group for word in rng.permutation(chosen)[:count]}
    supply = {valence: cycle(words) for valence, words in shuffled.items()}
    words = [(next(supply[valence]), valence) for valence in order]
    return [Step(word, valence, planted.get(word)) for word, valence in words]


def sample_subjects(
    subjects: int, reading: list[Step], seed: int, effect: float
) -> list[SimulatedSubject]:
    """Draw who people are from the corpus' stream, how they feel about words from their own."""
    rng = np.random.default_rng((seed, 0, 1))
    half = subjects // 2
    traits = sample_traits(rng, "depressed", half) + sample_traits(rng, "healthy", subjects - half)
    people = []
    for index, place in enumerate(rng.permutation(subjects), start=1):
        own = np.random.default_rng((seed, index, 0))
        planted = np.array([step.planted_for == traits[place].diagnosis for step in reading])
        bluntness = {
            modality: effect * planted
            + own.normal(0, SUBJECT_SD)
            + own.normal(0, WORD_SD, len(reading))
            for modality in MODALITIES
        }
        people.append(SimulatedSubject(index, traits[place], bluntness))
    return people


def sample_traits(
    rng: np.random.Generator,
    group: str,
    size: int,
    scale: tuple[float, float, float] = (0, BDI_CUTOFF, BDI_MAX),
) -> list[Traits]:
    """Draw who the people of a group are; ``scale`` is lowest score, cut-off, highest score."""
    lowest, cut_off, highest = scale
    # an odd group has one more woman or man, by turns, so that the whole stays balanced
    pair = ["female", "male"] if group == "depressed" else ["male", "female"]
    genders = rng.permutation((pair * size)[:size])
    splits = rng.permutation(_split_column(size))
    ages = rng.integers(18, 66, size)
    if group == "depressed":
        scores = cut_off + np.floor(rng.beta(1.3, 2.8, size) * (highest + 1 - cut_off))
    else:
        scores = lowest + np.floor(rng.beta(1.2, 2.5, size) * (cut_off - lowest))
    return [
        Traits(group, int(score), str(gender), int(age), str(split))
        for score, gender, age, split in zip(scores, genders, ages, splits, strict=True)
    ]


def _split_column(size: int) -> list[str]:
    """Share out a group; from 3 people on every part has at least one of them."""
    test = max(1, round(SHARES["test"] * size)) if size > 1 else 0
    validation = max(1, round(SHARES["validation"] * size)) if size > 2 else 0
    train = size - test - validation
    return ["train"] * train + ["validation"] * validation + ["test"] * test


def effect_per_unit() -> dict[str, dict[str, float]]:
    """What a unit of bluntness does to voice and face."""
    return {
        "audio": {
            "level_db": GAIN_DB_PER_UNIT,
            "duration_factor": DURATION_PER_UNIT,
            "pitch_range_factor": round(PITCH_RANGE_PER_UNIT, 6),
        },
        "face": {"motion_factor": round(MOTION_PER_UNIT, 6)},
    }


def _truth(
    people: list[SimulatedSubject], reading: list[Step], seed: int, effect: float
) -> dict[str, Any]:
    return {
        "generator": GENERATOR,
        "n_subjects": len(people),
        "n_steps": len(reading),
        "seed": seed,
        "effect": effect,
        "definition": DEFINITION,
        "word_sd": WORD_SD,
        "subject_sd": SUBJECT_SD,
        "bluntness_limits": list(BLUNTNESS_LIMITS),
        "effect_per_unit": effect_per_unit(),
        "planted_words": {
            group: sorted({step.word for step in reading if step.planted_for == group})
            for group in PLANTED_VALENCE
        },
        "words": [
            {"step": k, "word": s.word, "valence": s.valence, "planted_for": s.planted_for}
            for k, s in enumerate(reading)
        ],
        "subjects": {
            person.subject: {
                "diagnosis": person.traits.diagnosis,
                "bluntness": {
                    modality: [round(float(value), 4) for value in values]
                    for modality, values in person.bluntness.items()
                },
            }
            for person in people
        },
    }


# ---- what is recorded ------------------------------------------------------------------------

Job = tuple[SimulatedSubject, list[str], int, Path]
Limits = list[tuple[float, float]]


def _run(jobs: list[Job], workers: int) -> list[Limits]:
    """Record everybody, in processes of their own where there are several workers."""
    if workers == 1:
        return [_record(job) for job in jobs]
    # spawn: a forked child of a process with threads (torch, a notebook) can hang
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        return list(pool.map(_record, jobs))
    finally:
        pool.shutdown(cancel_futures=True)


def _record(job: Job) -> Limits:
    """Write one person's video and return when each word starts and ends, seconds."""
    person, words, seed, path = job
    voice_rng = np.random.default_rng((seed, person.index, 1))
    face_rng = np.random.default_rng((seed, person.index, 2))
    shown = {name: np.clip(values, *BLUNTNESS_LIMITS) for name, values in person.bluntness.items()}
    voice = sample_voice(voice_rng, person.traits.gender)
    recording = synthesise_speech(voice, words, shown["audio"], 1 / FRAMES_PER_SECOND, voice_rng)
    face = sample_face(face_rng, person.traits.gender)
    renderer = FaceRenderer(face, face_rng)
    motion = animate(face, recording, shown["face"], face_rng)
    frames = (renderer.render(motion, frame) for frame in range(len(motion.mouth)))
    write_video(path, frames, recording)
    return list(zip(recording.start_s.tolist(), recording.end_s.tolist(), strict=True))


def _subject(index: int) -> str:
    return f"S{index:03d}"


def _video_name(subject: str) -> str:
    return f"{subject}_{SESSION}.mp4"
