"""Simulated participants: diagnosis, score, demographics, and how much bluntness they show.

*Bluntness* is the simulated symptom, after the clinical term "blunted affect": reduced
expressiveness of voice and face. It is measured in standard deviations of its variation between
words.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from depmm.errors import DepmmError
from depmm.interrupts import interrupts_for_parent_only
from depmm.media.video.opencv import use_one_opencv_thread
from depmm.processes import end_with_parent
from depmm.progress import track
from depmm.simulation.face import MOTION_PER_UNIT
from depmm.simulation.voice import DURATION_PER_UNIT, GAIN_DB_PER_UNIT, PITCH_RANGE_PER_UNIT

GENERATOR = "depmm simulate"  # in truth.json; marks a folder that a simulation may overwrite
HEALTHY, DEPRESSED = DIAGNOSES = ("healthy", "depressed")
WORD_SD, SUBJECT_SD = 1.0, 0.25  # of the random part of bluntness, between words and subjects
BLUNTNESS_LIMITS = (-1.5, 4.0)  # range that voice and face can show
SPLIT_SHARES = {"train": 0.5, "validation": 0.2, "test": 0.3}

Job = TypeVar("Job")
Result = TypeVar("Result")


class SimulationError(DepmmError):
    """An argument, word list or folder with which no corpus can be simulated."""


@dataclass(frozen=True)
class Scale:
    """Range and cut-off of the scores of an instrument.

    Attributes
    ----------
    lowest, highest : float
        Lowest and highest score.
    cut_off : float
        Lowest score of a depressed participant.
    """

    lowest: float
    cut_off: float
    highest: float


BDI_II = Scale(0, 14, 63)  # from 14 on at least mild depression


@dataclass(frozen=True)
class Traits:
    """Attributes of a participant, sampled independently of the subject id.

    Attributes
    ----------
    diagnosis : {"healthy", "depressed"}
        Diagnosis, which voice and face express.
    score : int
        Severity on the scale of an instrument.
    gender : {"female", "male"}
        Gender.
    age : int
        Age in years.
    split : {"train", "validation", "test"}
        Official split.
    """

    diagnosis: str
    score: int
    gender: str
    age: int
    split: str


def sample_traits(
    rng: np.random.Generator, diagnosis: str, size: int, scale: Scale = BDI_II
) -> list[Traits]:
    """Sample participants with one diagnosis, balanced by gender.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    diagnosis : {"healthy", "depressed"}
        Diagnosis of all of them.
    size : int
        Number of participants.
    scale : Scale, optional
        Scores to sample from; BDI-II by default.

    Returns
    -------
    list of Traits
        One entry per participant.
    """
    # an odd number has one more woman (depressed) or man (healthy), so that the sum is balanced
    pair = ["female", "male"] if diagnosis == DEPRESSED else ["male", "female"]
    genders = rng.permutation((pair * size)[:size])
    splits = rng.permutation(_split_column(size))
    ages = rng.integers(18, 66, size)
    if diagnosis == DEPRESSED:
        drawn = rng.beta(1.3, 2.8, size) * (scale.highest + 1 - scale.cut_off)
        scores = scale.cut_off + np.floor(drawn)
    else:
        drawn = rng.beta(1.2, 2.5, size) * (scale.cut_off - scale.lowest)
        scores = scale.lowest + np.floor(drawn)
    return [
        Traits(diagnosis, int(score), str(gender), int(age), str(split))
        for score, gender, age, split in zip(scores, genders, ages, splits, strict=True)
    ]


def _split_column(size: int) -> list[str]:
    """Assign splits; with 3 or more participants, every split has at least one of them."""
    test = max(1, round(SPLIT_SHARES["test"] * size)) if size > 1 else 0
    validation = max(1, round(SPLIT_SHARES["validation"] * size)) if size > 2 else 0
    train = size - test - validation
    return ["train"] * train + ["validation"] * validation + ["test"] * test


def effect_per_unit() -> dict[str, dict[str, float]]:
    """Collect the effects of one unit of bluntness, for ``truth.json``.

    Returns
    -------
    dict of str to dict of str to float
        For each modality, the size of each change.
    """
    return {
        "audio": {
            "level_db": GAIN_DB_PER_UNIT,
            "duration_factor": DURATION_PER_UNIT,
            "pitch_range_factor": round(PITCH_RANGE_PER_UNIT, 6),
        },
        "face": {"motion_factor": round(MOTION_PER_UNIT, 6)},
    }


def check_arguments(lowest: Mapping[str, tuple[int | None, int]], effect: float) -> None:
    """Check the arguments of a simulation.

    Parameters
    ----------
    lowest : dict of str to tuple of (int or None, int)
        Value and smallest allowed value of each whole-number argument; None means the default.
    effect : float
        Planted effect.

    Raises
    ------
    SimulationError
        If an argument is out of range; ``setting`` is its name.
    """
    for name, (value, least) in lowest.items():
        if value is not None and value < least:
            raise SimulationError(
                f"{name} is {value}.", setting=name, value=value, remedy=f"Use at least {least}."
            )
    if not (math.isfinite(effect) and effect >= 0):
        raise SimulationError(
            f"effect is {effect}.",
            setting="effect",
            value=effect,
            remedy="Use 0 (no planted effect) or a positive number.",
        )


def run_jobs(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> list[Result]:
    """Run jobs in this process, or in several processes if there are several workers.

    Parameters
    ----------
    function : callable
        Function of a module, applied to each job.
    jobs : iterable
        Arguments of the function.
    workers : int
        Number of processes.

    Returns
    -------
    list
        Results in the order of the jobs.
    """
    jobs = list(jobs)
    workers = min(workers, len(jobs))
    if workers == 1:
        return [function(job) for job in track(jobs, "simulate", "recordings")]
    # spawn: a forked child of a process with threads (torch, a notebook) can deadlock
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_prepare_worker
    )
    try:
        with interrupts_for_parent_only():  # map() starts the processes
            results = pool.map(function, jobs)
        return list(track(results, "simulate", "recordings", len(jobs)))
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    use_one_opencv_thread()
    end_with_parent()


def check_empty(out: Path) -> None:
    """Check the folder of a new corpus.

    Parameters
    ----------
    out : Path
        The folder.

    Raises
    ------
    SimulationError
        If it is a file or contains files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SimulationError(
            f"{out} is not an empty folder.",
            file=out,
            setting="out",
            remedy="Give a new or empty folder.",
        )
