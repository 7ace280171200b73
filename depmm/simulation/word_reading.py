"""A simulated corpus of emotion-word reading with a planted, known effect.

The layout follows the emotion-word reading experiment (EWRE): one talking-face video per subject
and one step per word. Videos are H.264 with AAC audio. ``truth.json`` lists the words that subjects
of each diagnosis speak with more bluntness, and the effects of a unit of bluntness on voice and
face. The corpus tests a pipeline and its explanations without real recordings.

With the pattern ``congruence``, the label is in the agreement of voice and face within a word
instead, so that neither of them is informative alone (`depmm.simulation.congruence`).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.config import TRACKS
from depmm.cores import available_cores
from depmm.corpora.spec_schema import TRUTH_FILE
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.errors import did_you_mean
from depmm.files.writing import write_text
from depmm.schemas.simulation import LABELS, WORDS
from depmm.schemas.table import TableSchema
from depmm.simulation import bluntness as blunt
from depmm.simulation import congruence
from depmm.simulation.congruence import STILLNESS
from depmm.simulation.face import FRAMES_PER_SECOND, animate, sample_face
from depmm.simulation.face_renderer import FaceRenderer
from depmm.simulation.participants import (
    BLUNTNESS_LIMITS,
    DEPRESSED,
    GENERATOR,
    HEALTHY,
    SUBJECT_SD,
    WORD_SD,
    SimulationError,
    Traits,
    check_arguments,
    run_jobs,
    sample_traits,
)
from depmm.simulation.reading_list import (
    BALANCED,
    CONGRUENCE,
    INTERACTING,
    PATTERNS,
    PLANTED_VALENCE,
    Step,
    read_word_lists,
    sample_reading_list,
)
from depmm.simulation.voice import sample_voice, synthesise_speech
from depmm.simulation.writers import write_video

SESSION = "1"


@dataclass(frozen=True)
class SimulatedSubject:
    """A simulated subject.

    Attributes
    ----------
    index : int
        Index from 1; the subject id follows from it.
    traits : Traits
        Diagnosis, score, gender, age and split.
    bluntness : dict of str to ndarray, shape (L,)
        Bluntness of each step, for each modality.
    expression : dict of str to ndarray, shape (L,)
        With the pattern ``congruence``, what voice and face express at each step; otherwise empty.
    """

    index: int
    traits: Traits
    bluntness: dict[str, NDArray[np.float64]]
    expression: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """Subject id."""
        return _subject_id(self.index)


def simulate_word_reading(
    out: Path,
    *,
    subjects: int = 48,
    steps: int = 12,
    seed: int = 0,
    effect: float = 1.0,
    workers: int | None = None,
    words: Path | None = None,
    pattern: str = BALANCED,
) -> dict[str, Any]:
    """Write a simulated corpus of emotion-word reading and return its truth.

    The same arguments give the same bytes for any number of workers (on the same kind of processor
    and with the same versions of the libraries). A script that calls this function with several
    workers needs ``if __name__ == "__main__":``.

    Parameters
    ----------
    out : Path
        A new or empty folder, or the folder of an earlier simulation, which is replaced.
    subjects : int, default 48
        Number of subjects with one session each. Half of them (rounded down) are depressed.
    steps : int, default 12
        Number of words that each subject reads. The words of a valence are repeated when used up.
    seed : int, default 0
        Seed of all random numbers.
    effect : float, default 1.0
        Additional bluntness of planted words, in the units of ``effect_per_unit``; with
        the pattern ``congruence``, the size of what voice and face express at each word.
    workers : int, optional
        Number of processes; one per processor by default.
    words : Path, optional
        Word list, see `depmm.corpora.word_lists.read_words`; 24 English words of each valence by
        default.
    pattern : {"balanced", "one_sided", "interacting", "congruence"}, default "balanced"
        Which planted words show what: in ``balanced``, depressed subjects speak some words with
        more bluntness and healthy subjects others; in ``one_sided``, depressed subjects speak all
        planted words with more bluntness, so that the mean over the words also differs; in
        ``interacting``, voice and face deviate in the same direction in depressed subjects and in
        opposite directions in healthy ones, but the length of a word also shows the bluntness of
        the voice in the face, so that a face alone can carry information; in ``congruence``, no
        word is planted: voice and face agree in each word of depressed subjects and disagree in
        each word of healthy ones.

    Returns
    -------
    dict of str to Any
        The content of ``truth.json``.

    Raises
    ------
    SimulationError
        If an argument is unknown or out of range, ``out`` is a file or contains other files, or the
        word list has no word of a valence or a word that the voice cannot spell.
    """
    out = Path(out)
    check_arguments(
        {
            "subjects": (subjects, 2),
            "steps": (steps, 3),
            "seed": (seed, 0),
            "workers": (workers, 1),
        },
        effect,
    )
    if pattern not in PATTERNS:
        raise SimulationError(
            f"The pattern {pattern!r} is unknown.",
            setting="pattern",
            value=pattern,
            remedy=did_you_mean(pattern, PATTERNS),
        )
    lists = read_word_lists(words or ENGLISH_WORDS)
    earlier = _earlier_subjects(out)
    reading = sample_reading_list(steps, lists, np.random.default_rng((seed, 0)), pattern)
    sampled = sample_subjects(subjects, reading, seed, effect, pattern)
    truth = _truth(sampled, reading, seed, effect, pattern)

    videos = out / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    # an incomplete corpus has no tables, so that it cannot be mistaken for a complete one
    for schema in (LABELS, WORDS):
        (out / schema.file).unlink(missing_ok=True)
    write_text(out / TRUTH_FILE, json.dumps(truth, indent=1) + "\n")
    for subject in earlier:
        (videos / _video_name(subject)).unlink(missing_ok=True)

    texts = [step.word for step in reading]
    jobs = [(subject, texts, seed, videos / _video_name(subject.subject)) for subject in sampled]
    times = run_jobs(_record, jobs, workers or available_cores())
    spoken = [
        (subject.subject, SESSION, k, start, end, step.word, step.valence)
        for subject, spans in zip(sampled, times, strict=True)
        for k, (step, (start, end)) in enumerate(zip(reading, spans, strict=True))
    ]
    _write_table(out, WORDS, spoken)
    traits = [(subject.subject, subject.traits) for subject in sampled]
    rows = [(name, SESSION, t.score, t.gender, t.age, t.split) for name, t in traits]
    _write_table(out, LABELS, rows)
    return truth


def _write_table(out: Path, schema: TableSchema, rows: list[tuple[Any, ...]]) -> None:
    table = pd.DataFrame(rows, columns=schema.names)
    schema.check(table)
    text = table.to_csv(index=False, float_format="%.3f", lineterminator="\n")
    write_text(out / schema.file, text)


def _earlier_subjects(out: Path) -> list[str]:
    """List the subjects of an earlier simulation; refuse a folder that contains other files."""
    if not out.exists():
        return []
    if not out.is_dir():
        raise SimulationError(
            f"{out} is a file.", file=out, setting="out", remedy="Give the path of a new folder."
        )
    if not any(out.iterdir()):
        return []
    try:
        truth = json.loads((out / TRUTH_FILE).read_text(encoding="utf-8"))
        simulated = truth["generator"] == GENERATOR
        # only the count is used: no name from the file becomes a path that is deleted
        subjects = len(truth["subjects"])
    except (OSError, ValueError, KeyError, TypeError):
        simulated = False
    if not simulated:
        raise SimulationError(
            f"{out} contains files that were not written by a simulation.",
            file=out,
            setting="out",
            remedy="Give a new or empty folder, or empty this folder yourself.",
        )
    return [_subject_id(index) for index in range(1, subjects + 1)]


def sample_subjects(
    subjects: int, reading: list[Step], seed: int, effect: float, pattern: str = BALANCED
) -> list[SimulatedSubject]:
    """Sample subjects and their bluntness at every step.

    Traits come from one random stream of the corpus, and the bluntness of each subject from a
    separate stream; neither depends on ``effect`` and ``pattern``.

    Parameters
    ----------
    subjects : int
        Number of subjects.
    reading : list of Step
        The reading list.
    seed : int
        Seed of the corpus.
    effect : float
        Additional bluntness of planted words.
    pattern : {"balanced", "one_sided", "interacting", "congruence"}, default "balanced"
        As in ``simulate_word_reading``.

    Returns
    -------
    list of SimulatedSubject
        Subjects in the order of their ids; diagnoses are shuffled.
    """
    rng = np.random.default_rng((seed, 0, 1))
    half = subjects // 2
    traits = sample_traits(rng, DEPRESSED, half) + sample_traits(rng, HEALTHY, subjects - half)
    sampled = []
    for index, row in enumerate(rng.permutation(subjects), start=1):
        subject_rng = np.random.default_rng((seed, index, 0))
        if pattern == CONGRUENCE:
            depressed = traits[row].diagnosis == DEPRESSED
            still = {"audio": np.zeros(len(reading)), "face": np.full(len(reading), STILLNESS)}
            expression = congruence.sample_expression(subject_rng, depressed, effect, len(reading))
            sampled.append(SimulatedSubject(index, traits[row], still, expression))
            continue
        shown = np.array([step.planted_for == traits[row].diagnosis for step in reading])
        planted = dict.fromkeys(TRACKS, shown.astype(float))
        if pattern == INTERACTING:
            sign = np.random.default_rng((seed, index, 4)).choice([-1.0, 1.0], len(reading))
            audio = np.where([step.planted_for is not None for step in reading], sign, 0.0)
            planted = {"audio": audio, "face": np.where(shown, audio, -audio)}
        bluntness = {
            modality: effect * planted[modality]
            + subject_rng.normal(0, SUBJECT_SD)
            + subject_rng.normal(0, WORD_SD, len(reading))
            for modality in TRACKS
        }
        sampled.append(SimulatedSubject(index, traits[row], bluntness))
    return sampled


def _truth(
    subjects: list[SimulatedSubject],
    reading: list[Step],
    seed: int,
    effect: float,
    pattern: str,
) -> dict[str, Any]:
    signs = np.array(
        [(s.planted_for == DEPRESSED) - float(s.planted_for == HEALTHY) for s in reading]
    )
    return {
        "generator": GENERATOR,
        "n_subjects": len(subjects),
        "n_steps": len(reading),
        "seed": seed,
        "effect": effect,
        "pattern": pattern,
        **(
            congruence.describe(effect, len(reading))
            if pattern == CONGRUENCE
            else blunt.describe(effect, signs, pattern)
        ),
        "planted_words": {
            diagnosis: sorted({step.word for step in reading if step.planted_for == diagnosis})
            for diagnosis in PLANTED_VALENCE
        },
        "words": [
            {"step": k, "word": s.word, "valence": s.valence, "planted_for": s.planted_for}
            for k, s in enumerate(reading)
        ],
        "subjects": {subject.subject: _subject_truth(subject, seed) for subject in subjects},
    }


def _subject_truth(subject: SimulatedSubject, seed: int) -> dict[str, Any]:
    shown = subject.expression or subject.bluntness
    truth: dict[str, Any] = {
        "diagnosis": subject.traits.diagnosis,
        "expression" if subject.expression else "bluntness": {
            modality: [round(float(value), 4) for value in values]
            for modality, values in shown.items()
        },
    }
    if subject.expression:
        face = sample_face(_face_rng(subject, seed), subject.traits.gender)
        truth["region_box"] = congruence.region_box(face)
    return truth


def _record(job: tuple[SimulatedSubject, list[str], int, Path]) -> list[tuple[float, float]]:
    """Write the video of one subject; return start and end of each word in seconds."""
    subject, words, seed, path = job
    voice_rng, face_rng = np.random.default_rng((seed, subject.index, 1)), _face_rng(subject, seed)
    shown = {name: np.clip(values, *BLUNTNESS_LIMITS) for name, values in subject.bluntness.items()}
    gain_db = mouth_size = None
    if subject.expression:
        gain_db = congruence.gain_db(subject.expression["audio"])
        mouth_size = congruence.mouth_size(subject.expression["face"])
    voice = sample_voice(voice_rng, subject.traits.gender)
    utterance = synthesise_speech(
        voice, words, shown["audio"], 1 / FRAMES_PER_SECOND, voice_rng, gain_db
    )
    face = sample_face(face_rng, subject.traits.gender)
    renderer = FaceRenderer(face, face_rng)
    motion = animate(face, utterance, shown["face"], face_rng, mouth_size)
    frames = (renderer.render(motion, frame) for frame in range(len(motion.mouth)))
    write_video(path, frames, utterance)
    return list(zip(utterance.start_s.tolist(), utterance.end_s.tolist(), strict=True))


def _face_rng(subject: SimulatedSubject, seed: int) -> np.random.Generator:
    return np.random.default_rng((seed, subject.index, 2))


def _subject_id(index: int) -> str:
    return f"S{index:03d}"


def _video_name(subject: str) -> str:
    return f"{subject}_{SESSION}.mp4"
