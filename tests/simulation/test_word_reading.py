"""Simulated corpus: its files, its repeatability, and that what is planted can be measured."""

import csv
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from depmm.config import CROP_SIZE, SAMPLE_RATE
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.simulation.face import (
    FRAMES_PER_SECOND,
    MOTION_PER_UNIT,
    FaceRenderer,
    Motion,
    animate,
    sample_face,
)
from depmm.simulation.voice import (
    GAIN_DB_PER_UNIT,
    PHONES,
    PITCH_RANGE_PER_UNIT,
    Voice,
    sample_voice,
    spell_phones,
    synthesise_speech,
)
from depmm.simulation.word_reading import (
    BLUNTNESS_LIMITS,
    read_word_lists,
    sample_reading_list,
    sample_subjects,
    simulate_word_reading,
)

WORDS = read_word_lists(ENGLISH_WORDS)
PEOPLE, STEPS, EFFECT = 6, 4, 3.0
FRAME_S = 1 / FRAMES_PER_SECOND
GROUPS = (True, False)  # planted for the speaker's group or not
SMALL: dict[str, Any] = {"subjects": 3, "steps": 3, "seed": 1, "effect": 0.5}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people, four words, a large effect."""
    out = tmp_path_factory.mktemp("simulated") / "corpus"
    simulate_word_reading(out, subjects=PEOPLE, steps=STEPS, effect=EFFECT, workers=1)
    return out


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The smallest useful corpus, made without worker processes, and its returned truth."""
    out = tmp_path_factory.mktemp("small")
    return out, simulate_word_reading(out, **SMALL, workers=1)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def truth_of(corpus: Path) -> dict[str, Any]:
    return json.loads((corpus / "truth.json").read_text())


def content(corpus: Path) -> dict[str, str]:
    """Hash every file of a corpus."""
    return {
        path.relative_to(corpus).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in corpus.rglob("*")
        if path.is_file()
    }


def sound(corpus: Path, subject: str) -> tuple[np.ndarray, float]:
    """Decode the sound of a session and the time of its first sample."""
    with av.open(str(corpus / "videos" / f"{subject}_1.mp4")) as container:
        frames = list(container.decode(audio=0))
    assert {frame.sample_rate for frame in frames} == {SAMPLE_RATE}
    assert {frame.layout.nb_channels for frame in frames} == {1}
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), frames[0].time


def picture(corpus: Path, subject: str) -> tuple[np.ndarray, list[float]]:
    with av.open(str(corpus / "videos" / f"{subject}_1.mp4")) as container:
        frames = list(container.decode(video=0))
    return np.stack([f.to_ndarray(format="rgb24") for f in frames]), [f.time for f in frames]


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2)))


# ---- files -----------------------------------------------------------------------------------


def test_layout_and_tables(corpus: Path) -> None:
    subjects = [f"S{k:03d}" for k in range(1, PEOPLE + 1)]
    videos = {f"videos/{subject}_1.mp4" for subject in subjects}
    assert set(content(corpus)) == videos | {"labels.csv", "words.csv", "truth.json"}

    labels, words, truth = (
        table(corpus / "labels.csv"),
        table(corpus / "words.csv"),
        truth_of(corpus),
    )
    assert list(labels[0]) == ["subject", "session", "score", "gender", "age", "split"]
    assert [row["subject"] for row in labels] == subjects == list(truth["subjects"])
    for row in labels:
        depressed = truth["subjects"][row["subject"]]["diagnosis"] == "depressed"
        assert (14 <= int(row["score"]) <= 63) if depressed else (0 <= int(row["score"]) <= 13)
        assert 18 <= int(row["age"]) <= 65
        assert row["session"] == "1"
    assert Counter(row["gender"] for row in labels) == {"female": 3, "male": 3}

    assert list(words[0]) == ["subject", "session", "step", "start_s", "end_s", "word", "valence"]
    assert len(words) == PEOPLE * STEPS
    for row in words:
        expected = truth["words"][int(row["step"])]
        assert (row["word"], row["valence"]) == (expected["word"], expected["valence"])
        assert row["word"] in WORDS[row["valence"]]
        assert 0.3 <= float(row["start_s"]) < float(row["end_s"])


def test_returned_truth_is_the_written_one(small: tuple[Path, dict[str, Any]]) -> None:
    out, truth = small
    assert truth == truth_of(out)
    assert (truth["n_subjects"], truth["n_steps"]) == (SMALL["subjects"], SMALL["steps"])
    assert (truth["seed"], truth["effect"]) == (SMALL["seed"], SMALL["effect"])


def test_media_decode_with_aligned_starts(corpus: Path) -> None:
    words = table(corpus / "words.csv")
    for subject in ("S001", "S004"):
        mine = [row for row in words if row["subject"] == subject]
        samples, first = sound(corpus, subject)
        frames, times = picture(corpus, subject)
        assert frames.shape[1:] == (CROP_SIZE, CROP_SIZE, 3)
        np.testing.assert_allclose(np.diff(times), FRAME_S, atol=1e-4)
        assert times[0] == 0
        assert abs(first) < FRAME_S
        last = float(mine[-1]["end_s"])
        assert last + 0.3 <= len(frames) * FRAME_S < last + 0.3 + 2 * FRAME_S
        assert 0 <= len(samples) / SAMPLE_RATE - len(frames) * FRAME_S < 0.1  # whole AAC frames
        assert 0.01 < np.abs(samples).max() < 0.95


def test_word_limits_are_where_the_sound_is(corpus: Path) -> None:
    for subject in ("S002", "S005"):
        samples, _ = sound(corpus, subject)
        mine = [row for row in table(corpus / "words.csv") if row["subject"] == subject]
        limits = [(float(row["start_s"]), float(row["end_s"])) for row in mine]
        silence = rms_db(samples[: int(0.28 * SAMPLE_RATE)])
        for (start, end), (following, _) in zip(limits, [*limits[1:], (None, None)], strict=True):
            inside = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            assert rms_db(inside) > silence + 5
            if following is not None:
                pause = samples[
                    round((end + 0.02) * SAMPLE_RATE) : round((following - 0.02) * SAMPLE_RATE)
                ]
                assert rms_db(pause) < silence + 2


# ---- repeatability ---------------------------------------------------------------------------


@pytest.mark.slow
def test_same_seed_same_bytes_with_two_workers(
    small: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    simulate_word_reading(tmp_path, **SMALL, workers=2)
    assert content(tmp_path) == content(small[0])


def test_an_earlier_simulation_is_replaced(
    small: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(small[0], out)
    # as an interrupted run leaves it, with a file of the user's beside
    (out / "labels.csv").unlink()
    (out / "videos" / ".S003_1.mp4.part").write_bytes(b"half")
    (out / "videos" / "notes.txt").write_text("mine")
    simulate_word_reading(out, **(SMALL | {"subjects": 2, "seed": 2}), workers=1)
    before, after = content(small[0]), content(out)
    assert set(after) == set(before) - {"videos/S003_1.mp4"} | {"videos/notes.txt"}
    assert all(after[name] != before[name] for name in set(before) & set(after))


# ---- what is planted -------------------------------------------------------------------------


def test_effect_is_added_to_planted_words_only() -> None:
    reading = sample_reading_list(12, WORDS, np.random.default_rng(0))
    without, with_effect = (sample_subjects(8, reading, 3, effect) for effect in (0.0, 2.0))
    for before, after in zip(without, with_effect, strict=True):
        assert before.traits == after.traits
        planted = np.array([step.planted_for == after.traits.diagnosis for step in reading])
        for modality in ("audio", "face"):
            added = after.bluntness[modality] - before.bluntness[modality]
            np.testing.assert_allclose(added, 2 * planted, atol=1e-12)


def test_without_effect_groups_differ_by_chance_and_modalities_are_independent() -> None:
    reading = sample_reading_list(12, WORDS, np.random.default_rng(0))
    people = sample_subjects(400, reading, 0, 0.0)
    audio, face = (np.stack([p.bluntness[name] for p in people]) for name in ("audio", "face"))
    assert audio.std() == pytest.approx(np.hypot(1.0, 0.25), rel=0.05)
    assert abs(np.corrcoef(audio.ravel(), face.ravel())[0, 1]) < 0.05
    sick = np.array([person.traits.diagnosis == "depressed" for person in people])
    assert np.abs(audio[sick].mean(0) - audio[~sick].mean(0)).max() < 0.25  # 4 standard errors


def test_planted_words_are_quieter_and_stiller(corpus: Path) -> None:
    truth, words = truth_of(corpus), table(corpus / "words.csv")
    level: dict[str, list[tuple[bool, float]]] = {}
    motion: dict[str, list[tuple[bool, float]]] = {}
    for subject, person in truth["subjects"].items():
        samples, _ = sound(corpus, subject)
        mouth = picture(corpus, subject)[0][:, 130:215, 70:154].astype(float)
        for row in (row for row in words if row["subject"] == subject):
            planted_for = truth["words"][int(row["step"])]["planted_for"]
            if planted_for is None:
                continue
            here = planted_for == person["diagnosis"]
            start, end = float(row["start_s"]), float(row["end_s"])
            inside = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            frames = mouth[round(start / FRAME_S) : round(end / FRAME_S)]
            level.setdefault(row["word"], []).append((here, rms_db(inside)))
            motion.setdefault(row["word"], []).append((here, frames.std(axis=0).mean()))
    assert {v for vs in truth["planted_words"].values() for v in vs} == set(level)
    for values in level.values():
        planted, other = (np.mean([x for here, x in values if here is which]) for which in GROUPS)
        assert planted < other - 6
    for values in motion.values():
        planted, other = (np.mean([x for here, x in values if here is which]) for which in GROUPS)
        assert planted < 0.6 * other


@pytest.mark.parametrize("steps", [3, 4, 5, 12, 72, 80])
def test_reading_list_is_balanced_and_planted(steps: int) -> None:
    reading = sample_reading_list(steps, WORDS, np.random.default_rng(steps))
    count = Counter(step.valence for step in reading)
    assert len(reading) == steps
    assert count["negative"] == count["positive"]
    assert abs(count["neutral"] - count["negative"]) <= 1
    assert len({step.word for step in reading}) == min(steps, 72)
    for group, valence in (("depressed", "negative"), ("healthy", "positive")):
        planted = {step.word for step in reading if step.planted_for == group}
        chosen = {step.word for step in reading if step.valence == valence}
        assert planted <= chosen
        assert len(planted) == max(1, round(2 / 3 * len(chosen)))
    for k in range(0, steps - steps % 3, 3):
        assert {step.valence for step in reading[k : k + 3]} == set(WORDS)


@pytest.mark.parametrize("subjects", [2, 3, 8, 9, 13, 48])
def test_people_are_balanced(subjects: int) -> None:
    reading = sample_reading_list(3, WORDS, np.random.default_rng(0))
    traits = [person.traits for person in sample_subjects(subjects, reading, 0, 1.0)]
    groups = Counter(t.diagnosis for t in traits)
    assert groups == {"depressed": subjects // 2, "healthy": subjects - subjects // 2}
    for group in groups:
        genders = Counter(t.gender for t in traits if t.diagnosis == group)
        assert abs(genders["female"] - genders["male"]) <= 1
    if subjects >= 8:
        parts = {(t.split, t.diagnosis) for t in traits}
        assert len(parts) == 6
    if subjects == 48:
        assert Counter(t.split for t in traits) == {"train": 24, "validation": 10, "test": 14}
        assert [t.diagnosis for t in traits] != sorted(t.diagnosis for t in traits)


# ---- voice -----------------------------------------------------------------------------------


def test_spelling() -> None:
    assert spell_phones("joy") == "Soi"
    assert spell_phones("passion") == "Pasion"
    assert spell_phones("justice") == "Sus#Tis"  # c before e hisses, the last e is silent
    assert spell_phones("delight") == "Teli#T"  # gh is silent
    spoken = {word: spell_phones(word) for words in WORDS.values() for word in words}
    assert len(set(spoken.values())) == len(spoken) == 72
    assert all(set(phones) <= set(PHONES) for phones in spoken.values())


def test_spelling_takes_any_latin_word_and_every_letter() -> None:
    assert spell_phones("Ärger") == spell_phones("arger")
    assert spell_phones("Süß") == spell_phones("suss")
    assert spell_phones("悲伤") == ""
    for letter in "abcdefghijklmnopqrstuvwxyz":
        assert set(spell_phones(f"a{letter}a")) <= set(PHONES)


def quiet_voice(**changes: float) -> Voice:
    values = {
        "pitch_hz": 120.0,
        "pitch_range": 6.0,
        "tract": 1.0,
        "rate": 1.0,
        "level_db": -30.0,
        "floor_db": -100.0,
        "breath": 0.02,
        "open_quotient": 0.6,
    }
    return Voice(**(values | changes))


def test_bluntness_makes_words_quieter_and_longer() -> None:
    voice = quiet_voice()
    spoken = [
        synthesise_speech(voice, ["misery"], np.array([blunt]), FRAME_S, np.random.default_rng(0))
        for blunt in (0.0, 2.0)
    ]
    seconds = [float((r.end_s - r.start_s)[0]) for r in spoken]
    assert seconds[1] / seconds[0] == pytest.approx(1.12**2, abs=0.005)
    levels = [
        rms_db(r.waveform[round(r.start_s[0] * SAMPLE_RATE) : round(r.end_s[0] * SAMPLE_RATE)])
        for r in spoken
    ]
    assert levels[0] == pytest.approx(voice.level_db, abs=0.1)
    assert levels[1] - levels[0] == pytest.approx(2 * GAIN_DB_PER_UNIT, abs=0.1)


def pitch_of(samples: np.ndarray) -> float:
    """Pitch of a short voiced piece by its autocorrelation, 70...350 Hz."""
    samples = samples - samples.mean()
    correlation = np.correlate(samples, samples, "full")[len(samples) - 1 :]
    shortest, longest = SAMPLE_RATE // 350, SAMPLE_RATE // 70
    return SAMPLE_RATE / (shortest + int(correlation[shortest:longest].argmax()))


def test_pitch_is_the_persons_and_bluntness_flattens_it() -> None:
    ranges = []
    for blunt in (0.0, 3.0):
        voice = quiet_voice(pitch_range=8.0)
        spoken = synthesise_speech(
            voice, ["loneliness"], np.array([blunt]), FRAME_S, np.random.default_rng(1)
        )
        length = spoken.end_s[0] - spoken.start_s[0]
        at = spoken.start_s[0] + np.array([0.2, 0.3, 0.6, 0.65]) * length
        pitches = [
            pitch_of(spoken.waveform[round(t * SAMPLE_RATE) :][: round(0.04 * SAMPLE_RATE)])
            for t in at
        ]
        assert np.median(pitches) == pytest.approx(120, rel=0.15)
        ranges.append(12 * np.log2(np.mean(pitches[:2]) / np.mean(pitches[2:])))
    assert ranges[0] > 2
    assert ranges[1] / ranges[0] == pytest.approx(PITCH_RANGE_PER_UNIT**3, abs=0.15)


def test_vowels_have_their_formants() -> None:
    """In a steady a the strongest band below 1.5 kHz is F1-F2 of a; in an i it is far lower."""
    voice = quiet_voice(pitch_hz=100.0, pitch_range=0.0)
    centroid = {}
    for vowel in "ai":
        spoken = synthesise_speech(voice, [vowel], np.zeros(1), FRAME_S, np.random.default_rng(0))
        middle = round((spoken.start_s[0] + spoken.end_s[0]) / 2 * SAMPLE_RATE)
        power = np.abs(np.fft.rfft(spoken.waveform[middle - 800 : middle + 800])) ** 2
        hz = np.fft.rfftfreq(1600, 1 / SAMPLE_RATE)
        low = (hz > 150) & (hz < 1500)
        centroid[vowel] = (hz * power)[low].sum() / power[low].sum()
    assert 600 < centroid["a"] < 1100
    assert 200 < centroid["i"] < 450


def test_nobody_clips() -> None:
    words = ["passion", "joy", "table"]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        voice = sample_voice(rng, ("female", "male")[seed % 2])
        spoken = synthesise_speech(voice, words, np.full(3, BLUNTNESS_LIMITS[0]), FRAME_S, rng)
        assert np.abs(spoken.waveform).max() < 0.95
        assert len(spoken.waveform) % round(FRAME_S * SAMPLE_RATE) == 0


# ---- face ------------------------------------------------------------------------------------


def test_bluntness_shrinks_motion() -> None:
    spoken = synthesise_speech(
        quiet_voice(), ["hope", "table"], np.zeros(2), FRAME_S, np.random.default_rng(0)
    )
    face = sample_face(np.random.default_rng(2), "female")
    lively, blunt = (
        animate(face, spoken, np.full(2, value), np.random.default_rng(3)) for value in (0.0, 1.0)
    )
    for name in ("mouth", "brow", "x", "y", "roll"):
        shown, expected = getattr(blunt, name), MOTION_PER_UNIT * getattr(lively, name)
        np.testing.assert_allclose(shown, expected, atol=1e-9)
        assert np.ptp(shown) > 0
    np.testing.assert_allclose(lively.blink, blunt.blink, atol=1e-9)
    # the mouth is shut before the first word and opens in it
    assert lively.mouth[: int(0.2 / FRAME_S)].max() == pytest.approx(0, abs=1e-9)
    assert lively.mouth.max() > 12


def test_painting_shows_the_motion_and_never_the_edge() -> None:
    face = sample_face(np.random.default_rng(4), "male")
    renderer = FaceRenderer(face, np.random.default_rng(4))
    still = dict.fromkeys(Motion.__dataclass_fields__, np.zeros(2))

    def difference(**changes: float) -> np.ndarray:
        motion = Motion(**(still | {name: np.array([0, value]) for name, value in changes.items()}))
        first, second = (renderer.render(motion, k).astype(int) for k in (0, 1))
        assert second.shape == (CROP_SIZE, CROP_SIZE, 3)
        assert second.max(axis=2).min() > 0  # black would be outside of the drawing
        return np.abs(second - first).sum(axis=2)

    mouth, blink, brow = difference(mouth=20.0), difference(blink=1.0), difference(brow=10.0)
    assert mouth[140:].sum() == mouth.sum() > 0
    assert blink[75:125].sum() == blink.sum() > 0
    assert brow[40:100].sum() == brow.sum() > 0
    for sign in (-1, 1):
        corner = difference(x=8.0 * sign, y=14.0 * sign, roll=0.05)
        assert corner.sum() > mouth.sum()


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 2}, r"steps is 2.*at least 3"),
        ({"subjects": 1}, r"subjects is 1.*at least 2"),
        ({"effect": float("nan")}, r"effect is nan.*use 0"),
        ({"effect": float("inf")}, r"effect is inf.*use 0"),
        ({"effect": -1.0}, r"effect is -1.*use 0"),
        ({"seed": -1}, r"seed is -1.*use 0"),
        ({"workers": 0}, r"workers is 0.*at least 1"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_word_reading(tmp_path / "corpus", **arguments)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("truth", [None, "no json", "[]", '{"generator": "other"}'])
def test_foreign_files_are_refused_and_kept(tmp_path: Path, truth: str | None) -> None:
    (tmp_path / "labels.csv").write_text("mine")
    if truth is not None:
        (tmp_path / "truth.json").write_text(truth)
    with pytest.raises(ValueError, match=r"no simulation wrote.*empty folder"):
        simulate_word_reading(tmp_path, subjects=2, steps=3, workers=1)
    assert (tmp_path / "labels.csv").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("mine")
    with pytest.raises(ValueError, match=r"is a file.*new folder"):
        simulate_word_reading(tmp_path / "corpus", subjects=2, steps=3, workers=1)
