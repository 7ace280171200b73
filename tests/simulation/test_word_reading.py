"""The simulated word-reading corpus: its files, its repeatability, and its measurable effect."""

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from simulated_layouts import file_hashes
from simulated_speech import FRAME_S, rms_db

from depmm.config import CROP_SIZE, SAMPLE_RATE
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.schemas.simulation import LABELS, WORDS
from depmm.simulation.participants import DEPRESSED, SimulationError
from depmm.simulation.reading_list import (
    INTERACTING,
    ONE_SIDED,
    read_word_lists,
    sample_reading_list,
)
from depmm.simulation.word_reading import sample_subjects, simulate_word_reading

LISTS = read_word_lists(ENGLISH_WORDS)
N_SUBJECTS, N_STEPS, EFFECT = 6, 4, 3.0
SMALL: dict[str, Any] = {"subjects": 3, "steps": 3, "seed": 1, "effect": 0.5}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of six subjects and four words with a large effect."""
    out = tmp_path_factory.mktemp("simulated") / "corpus"
    simulate_word_reading(out, subjects=N_SUBJECTS, steps=N_STEPS, effect=EFFECT, workers=1)
    return out


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Smallest useful corpus, simulated in this process, and its returned truth."""
    out = tmp_path_factory.mktemp("small")
    return out, simulate_word_reading(out, **SMALL, workers=1)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_truth(corpus: Path) -> dict[str, Any]:
    return json.loads((corpus / "truth.json").read_text())


def decode_sound(corpus: Path, subject: str) -> tuple[np.ndarray, float]:
    """Decode the sound of a session and the time of its first sample."""
    with av.open(str(corpus / "videos" / f"{subject}_1.mp4")) as container:
        frames = list(container.decode(audio=0))
    assert {frame.sample_rate for frame in frames} == {SAMPLE_RATE}
    assert {frame.layout.nb_channels for frame in frames} == {1}
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), frames[0].time


def decode_video(corpus: Path, subject: str) -> tuple[np.ndarray, list[float]]:
    with av.open(str(corpus / "videos" / f"{subject}_1.mp4")) as container:
        frames = list(container.decode(video=0))
    return np.stack([f.to_ndarray(format="rgb24") for f in frames]), [f.time for f in frames]


def test_files_and_tables(corpus: Path) -> None:
    subjects = [f"S{k:03d}" for k in range(1, N_SUBJECTS + 1)]
    videos = {f"videos/{subject}_1.mp4" for subject in subjects}
    assert set(file_hashes(corpus)) == videos | {"labels.csv", "words.csv", "truth.json"}
    for schema in (LABELS, WORDS):
        types = {column.name: str for column in schema.columns if column.dtype == "str"}
        table = pd.read_csv(corpus / schema.file, dtype=types)
        assert list(table) == schema.names
        schema.check(table)

    truth = read_truth(corpus)
    labels, words = read_rows(corpus / "labels.csv"), read_rows(corpus / "words.csv")
    assert [row["subject"] for row in labels] == subjects == list(truth["subjects"])
    for row in labels:
        depressed = truth["subjects"][row["subject"]]["diagnosis"] == "depressed"
        assert (14 <= int(row["score"]) <= 63) if depressed else (0 <= int(row["score"]) <= 13)
        assert 18 <= int(row["age"]) <= 65
        assert row["session"] == "1"
    assert Counter(row["gender"] for row in labels) == {"female": 3, "male": 3}
    assert len(words) == N_SUBJECTS * N_STEPS
    for row in words:
        expected = truth["words"][int(row["step"])]
        assert (row["word"], row["valence"]) == (expected["word"], expected["valence"])
        assert row["word"] in LISTS[row["valence"]]
        assert 0.3 <= float(row["start_s"]) < float(row["end_s"])


def test_returned_truth_equals_the_file(small: tuple[Path, dict[str, Any]]) -> None:
    out, truth = small
    assert truth == read_truth(out)
    written = {"n_subjects": 3, "n_steps": 3, "seed": 1, "effect": 0.5}
    assert {name: truth[name] for name in written} == written


def test_sound_and_video_start_and_end_together(corpus: Path) -> None:
    words = read_rows(corpus / "words.csv")
    for subject in ("S001", "S004"):
        last = max(float(row["end_s"]) for row in words if row["subject"] == subject)
        samples, first_s = decode_sound(corpus, subject)
        frames, times = decode_video(corpus, subject)
        assert frames.shape[1:] == (CROP_SIZE, CROP_SIZE, 3)
        np.testing.assert_allclose(np.diff(times), FRAME_S, atol=1e-4)
        assert times[0] == 0
        assert abs(first_s) < FRAME_S
        assert last + 0.3 <= len(frames) * FRAME_S < last + 0.3 + 2 * FRAME_S
        assert 0 <= len(samples) / SAMPLE_RATE - len(frames) * FRAME_S < 0.1  # whole AAC frames
        assert 0.01 < np.abs(samples).max() < 0.95


def test_words_are_audible_within_their_limits(corpus: Path) -> None:
    for subject in ("S002", "S005"):
        samples, _ = decode_sound(corpus, subject)
        rows = [row for row in read_rows(corpus / "words.csv") if row["subject"] == subject]
        limits = [(float(row["start_s"]), float(row["end_s"])) for row in rows]
        silence = rms_db(samples[: int(0.28 * SAMPLE_RATE)])
        for (start, end), (following, _) in zip(limits, [*limits[1:], (None, None)], strict=True):
            word = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            assert rms_db(word) > silence + 5
            if following is not None:
                first = round((end + 0.02) * SAMPLE_RATE)
                pause = samples[first : round((following - 0.02) * SAMPLE_RATE)]
                assert rms_db(pause) < silence + 2


@pytest.mark.slow
def test_same_seed_gives_same_bytes_with_two_workers(
    small: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    simulate_word_reading(tmp_path, **SMALL, workers=2)
    assert file_hashes(tmp_path) == file_hashes(small[0])


def test_an_earlier_simulation_is_replaced(
    small: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(small[0], out)
    # an interrupted simulation, and a file of the user in the same folder
    (out / "labels.csv").unlink()
    leftover = out / "videos" / ".depmm-0-1-ab.mp4"
    leftover.write_bytes(b"part")
    os.utime(leftover, (0, 0))
    (out / "videos" / "notes.txt").write_text("notes")
    simulate_word_reading(out, **(SMALL | {"subjects": 2, "seed": 2}), workers=1)
    before, after = file_hashes(small[0]), file_hashes(out)
    assert set(after) == set(before) - {"videos/S003_1.mp4"} | {"videos/notes.txt"}
    assert all(after[name] != before[name] for name in set(before) & set(after))


def test_effect_is_added_to_planted_words_only() -> None:
    reading = sample_reading_list(12, LISTS, np.random.default_rng(0))
    without, with_effect = (sample_subjects(8, reading, 3, effect) for effect in (0.0, 2.0))
    for before, after in zip(without, with_effect, strict=True):
        assert before.traits == after.traits
        planted = np.array([step.planted_for == after.traits.diagnosis for step in reading])
        for modality in ("audio", "face"):
            added = after.bluntness[modality] - before.bluntness[modality]
            np.testing.assert_allclose(added, 2 * planted, atol=1e-12)


def test_without_effect_diagnoses_differ_by_chance_and_modalities_are_independent() -> None:
    reading = sample_reading_list(12, LISTS, np.random.default_rng(0))
    subjects = sample_subjects(400, reading, 0, 0.0)
    audio, face = (np.stack([s.bluntness[name] for s in subjects]) for name in ("audio", "face"))
    assert audio.std() == pytest.approx(np.hypot(1.0, 0.25), rel=0.05)
    assert abs(np.corrcoef(audio.ravel(), face.ravel())[0, 1]) < 0.05
    depressed = np.array([subject.traits.diagnosis == "depressed" for subject in subjects])
    difference = audio[depressed].mean(0) - audio[~depressed].mean(0)
    assert np.abs(difference).max() < 0.25  # 4 standard errors


def test_planted_words_have_lower_level_and_less_motion(corpus: Path) -> None:
    truth, words = read_truth(corpus), read_rows(corpus / "words.csv")
    level: dict[str, list[tuple[bool, float]]] = {}
    motion: dict[str, list[tuple[bool, float]]] = {}
    for subject, known in truth["subjects"].items():
        samples, _ = decode_sound(corpus, subject)
        mouth = decode_video(corpus, subject)[0][:, 130:215, 70:154].astype(float)
        for row in (row for row in words if row["subject"] == subject):
            planted_for = truth["words"][int(row["step"])]["planted_for"]
            if planted_for is None:
                continue
            planted = planted_for == known["diagnosis"]
            start, end = float(row["start_s"]), float(row["end_s"])
            sound = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            frames = mouth[round(start / FRAME_S) : round(end / FRAME_S)]
            level.setdefault(row["word"], []).append((planted, rms_db(sound)))
            motion.setdefault(row["word"], []).append((planted, frames.std(axis=0).mean()))
    assert {word for words in truth["planted_words"].values() for word in words} == set(level)
    for values in level.values():
        blunt, other = (
            np.mean([x for planted, x in values if planted is p]) for p in (True, False)
        )
        assert blunt < other - 6
    for values in motion.values():
        blunt, other = (
            np.mean([x for planted, x in values if planted is p]) for p in (True, False)
        )
        assert blunt < 0.6 * other


@pytest.mark.parametrize("n_subjects", [2, 3, 8, 9, 13, 48])
def test_subjects_are_balanced(n_subjects: int) -> None:
    reading = sample_reading_list(3, LISTS, np.random.default_rng(0))
    traits = [subject.traits for subject in sample_subjects(n_subjects, reading, 0, 1.0)]
    diagnoses = Counter(t.diagnosis for t in traits)
    half = n_subjects // 2
    assert diagnoses == {"depressed": half, "healthy": n_subjects - half}
    for diagnosis in diagnoses:
        genders = Counter(t.gender for t in traits if t.diagnosis == diagnosis)
        assert abs(genders["female"] - genders["male"]) <= 1
    if n_subjects >= 8:
        assert len({(t.split, t.diagnosis) for t in traits}) == 6
    if n_subjects == 48:
        assert Counter(t.split for t in traits) == {"train": 24, "validation": 10, "test": 14}
        assert [t.diagnosis for t in traits] != sorted(t.diagnosis for t in traits)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 2),
        ("subjects", 1),
        ("effect", float("nan")),
        ("effect", float("inf")),
        ("effect", -1.0),
        ("seed", -1),
        ("workers", 0),
    ],
)
def test_arguments_out_of_range_are_errors(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(SimulationError) as info:
        simulate_word_reading(tmp_path / "corpus", **{name: value})
    assert info.value.setting == name
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("truth", [None, "no json", "[]", '{"generator": "other"}'])
def test_folders_with_other_files_are_refused_and_kept(tmp_path: Path, truth: str | None) -> None:
    (tmp_path / "labels.csv").write_text("other")
    if truth is not None:
        (tmp_path / "truth.json").write_text(truth)
    with pytest.raises(SimulationError) as info:
        simulate_word_reading(tmp_path, subjects=2, steps=3, workers=1)
    assert (info.value.setting, info.value.file) == ("out", tmp_path)
    assert (tmp_path / "labels.csv").read_text() == "other"


def test_a_file_cannot_be_the_folder_of_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("other")
    with pytest.raises(SimulationError) as info:
        simulate_word_reading(tmp_path / "corpus", subjects=2, steps=3, workers=1)
    assert (info.value.setting, info.value.file) == ("out", tmp_path / "corpus")


def test_one_sided_effects_shift_the_same_words_in_depressed_subjects_only() -> None:
    balanced = sample_reading_list(12, LISTS, np.random.default_rng((0, 0)))
    reading = sample_reading_list(12, LISTS, np.random.default_rng((0, 0)), ONE_SIDED)
    assert [step.word for step in reading] == [step.word for step in balanced]
    planted = [step.planted_for is not None for step in reading]
    assert planted == [step.planted_for is not None for step in balanced]
    assert sum(planted) == 6
    assert {step.planted_for for step in reading} == {None, DEPRESSED}
    without = sample_subjects(8, reading, 0, 0.0, ONE_SIDED)
    for subject, reference in zip(
        sample_subjects(8, reading, 0, 1.5, ONE_SIDED), without, strict=True
    ):
        shift = 1.5 * (subject.traits.diagnosis == DEPRESSED) * np.array(planted)
        for modality, values in subject.bluntness.items():
            np.testing.assert_allclose(values - reference.bluntness[modality], shift, atol=1e-12)


def test_interacting_effects_differ_between_diagnoses_in_both_modalities_together_only() -> None:
    reading = sample_reading_list(12, LISTS, np.random.default_rng((0, 0)), INTERACTING)
    planted = np.array([step.planted_for is not None for step in reading])
    without = sample_subjects(400, reading, 0, 0.0, INTERACTING)
    products: dict[bool, list[Any]] = {True: [], False: []}
    means: dict[bool, list[Any]] = {True: [], False: []}
    for subject, reference in zip(
        sample_subjects(400, reading, 0, 2.0, INTERACTING), without, strict=True
    ):
        audio, face = (
            subject.bluntness[name] - reference.bluntness[name] for name in ("audio", "face")
        )
        np.testing.assert_allclose(np.abs(audio), 2.0 * planted, atol=1e-12)
        depressed = subject.traits.diagnosis == DEPRESSED
        products[depressed].append(audio * face)
        means[depressed].append([audio, face])
    np.testing.assert_allclose(np.array(products[True]), np.tile(4.0 * planted, (200, 1)))
    np.testing.assert_allclose(np.array(products[False]), np.tile(-4.0 * planted, (200, 1)))
    difference = np.mean(means[True], axis=0) - np.mean(means[False], axis=0)
    assert np.abs(difference).max() < 4.5 * 2.0 * (2 / 200) ** 0.5  # standard errors


def test_unknown_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError) as error:
        simulate_word_reading(tmp_path / "out", pattern="onesided")
    assert (error.value.setting, error.value.value) == ("pattern", "onesided")
