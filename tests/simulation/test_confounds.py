"""Planted confounds: they are in the corpus as the truth states, and the audit finds them."""

from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from simulated_layouts import (
    AUDIO_SPEC,
    VIDEO_SPEC,
    findings_of,
    shipped_spec,
    simulate_and_index,
)

from depmm.corpora.patterns import fill_pattern
from depmm.corpora.spec import parse_spec
from depmm.media.duration import duration_s
from depmm.media.features.feature_files import read_features
from depmm.simulation.confounds import CONFOUNDS, check_confounds, parse_confounds, sample_items
from depmm.simulation.layout import simulate_layout
from depmm.simulation.layout_units import LayoutError
from depmm.simulation.participants import SimulationError

AUDIO, VIDEO = parse_spec(AUDIO_SPEC, "toy"), parse_spec(VIDEO_SPEC, "toy")


def levels_by_diagnosis(root: Path, truth: dict[str, Any]) -> dict[str, list[float]]:
    """Measure the level in dB of the first file of every session."""
    level: dict[str, list[float]] = {"depressed": [], "healthy": []}
    for session in truth["sessions"].values():
        sound = soundfile.read(root / session["files"][0])[0]
        diagnosis = truth["subjects"][session["subject"]]["diagnosis"]
        level[diagnosis].append(20 * np.log10(sound.std()))
    return level


def affected(truth: dict[str, Any], name: str) -> Any:
    return truth["confounds"][name]["affected"]


def test_effect_lowers_level_and_features_of_depressed_subjects(tmp_path):
    spec = shipped_spec("daic_woz")
    truth = simulate_layout(
        tmp_path / "c", spec, subjects=8, effect=3.0, confounds={"label_noise": 0.25}
    )
    level = levels_by_diagnosis(tmp_path / "c", truth)
    mean: dict[str, list[float]] = {"depressed": [], "healthy": []}
    stream = next(e.features for e in spec.recordings if "FORMANT" in e.pattern)
    for session in truth["sessions"].values():
        path = next(file for file in session["files"] if "FORMANT" in file)
        values = np.concatenate([v for _, v in read_features(tmp_path / "c" / path, stream)])
        diagnosis = truth["subjects"][session["subject"]]["diagnosis"]
        mean[diagnosis].append(float(values.mean()))
    assert np.mean(level["depressed"]) < np.mean(level["healthy"]) - 2
    assert max(mean["depressed"]) < min(mean["healthy"]) - 0.5


def test_gender_confound_is_found_by_the_audit(tmp_path):
    truth, manifest, _ = simulate_and_index(
        AUDIO, tmp_path / "c", subjects=20, words=1, confounds={"gender": 0.9}
    )
    assert affected(truth, "gender") == {
        "depressed female": 9, "depressed male": 1, "healthy female": 1, "healthy male": 9
    }  # fmt: skip
    counts = Counter(zip(manifest.sessions["label"], manifest.sessions["gender"], strict=True))
    assert counts[1, "female"] == counts[0, "male"] == 9
    findings = findings_of(manifest, "gender_shortcut")
    assert [finding.severity for finding in findings] == ["warning"]


def test_speaker_leak_is_found_by_the_audit(tmp_path):
    truth, manifest, report = simulate_and_index(
        AUDIO, tmp_path / "c", subjects=8, words=1, confounds={"speaker_leak": 2}
    )
    assert report.complete
    leaked = affected(truth, "speaker_leak")
    assert len(leaked) == 2
    splits = manifest.sessions.groupby("subject")["split"].nunique()
    assert set(splits[splits == 2].index) == set(leaked)
    (finding,) = findings_of(manifest, "split_overlap")
    assert {subject for _, subject in finding.subjects} == set(leaked)


def test_label_noise_is_in_the_tables_and_not_in_the_signal(tmp_path):
    truth, manifest, _ = simulate_and_index(
        AUDIO, tmp_path / "c", subjects=8, effect=3.0, confounds={"label_noise": 0.25}
    )
    noisy = affected(truth, "label_noise")
    assert len(noisy) == 2
    for _, row in manifest.sessions.iterrows():
        subject = truth["subjects"][row["subject"]]
        wrong = subject["label"] != (subject["diagnosis"] == "depressed")
        assert wrong == (row["subject"] in noisy)
        assert row["label"] == subject["label"]
    level = levels_by_diagnosis(tmp_path / "c", truth)
    assert np.mean(level["depressed"]) < np.mean(level["healthy"]) - 5


def test_duration_confound_lengthens_recordings_of_depressed_subjects(tmp_path):
    truth = simulate_layout(tmp_path / "c", AUDIO, subjects=4, words=2, confounds={"duration": 3})
    durations: dict[str, list[float]] = {"depressed": [], "healthy": []}
    for session in truth["sessions"].values():
        diagnosis = truth["subjects"][session["subject"]]["diagnosis"]
        durations[diagnosis].append(duration_s(tmp_path / "c" / session["files"][0]))
    assert min(durations["depressed"]) > 1.7 * max(durations["healthy"])
    assert len(affected(truth, "duration")) == 2


def test_black_video_shows_in_frames_and_in_face_features(tmp_path):
    truth = simulate_layout(
        tmp_path / "f", VIDEO, subjects=4, words=1, confounds={"black_video": 0.5}
    )
    black = affected(truth, "black_video")
    assert len(black) == 2
    for name, session in truth["sessions"].items():
        with av.open(str(tmp_path / "f" / session["files"][0])) as video:
            picture = next(video.decode(video=0)).to_ndarray(format="rgb24")
        assert (picture.max() < 20) == (name in black)
    spec = shipped_spec("daic_woz")
    truth = simulate_layout(tmp_path / "d", spec, subjects=2, words=1, confounds={"black_video": 1})
    for entry in (entry for entry in spec.recordings if entry.modalities == ["face"]):
        path = tmp_path / "d" / fill_pattern(entry.pattern, {"subject": min(truth["sessions"])})
        values = np.concatenate([v for _, v in read_features(path, entry.features)])
        assert np.isnan(values).all()


def test_missing_audio_removes_the_file_or_the_sound_track(tmp_path):
    confounds = {"missing_audio": 0.5}
    truth, _, report = simulate_and_index(
        shipped_spec("avec2014"), tmp_path / "a", subjects=2, words=1, confounds=confounds
    )
    silent = affected(truth, "missing_audio")
    assert len(silent) == len(report.missing) == 2
    assert not any((tmp_path / "a" / path).exists() for path in silent)
    truth, _, report = simulate_and_index(
        VIDEO, tmp_path / "f", subjects=4, words=1, confounds=confounds
    )
    assert report.complete
    for session in truth["sessions"].values():
        with av.open(str(tmp_path / "f" / session["files"][0])) as video:
            is_silent = session["files"][0] in affected(truth, "missing_audio")
            assert len(video.streams.audio) == (not is_silent)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gendre", 0.9),
        ("gender", 1.5),
        ("duration", 0.5),
        ("duration", float("nan")),
        ("speaker_leak", 1.5),
        ("speaker_leak", float("inf")),
        ("black_video", 1),  # of a layout without video
    ],
)
def test_unknown_and_impossible_confounds_are_errors(name, value):
    with pytest.raises(SimulationError) as info:
        check_confounds({name: value}, AUDIO)
    assert info.value.setting == f"confounds.{name}"
    np.testing.assert_equal(info.value.value, value)


def test_an_unknown_confound_is_corrected():
    with pytest.raises(SimulationError) as info:
        check_confounds({"gendre": 0.9}, AUDIO)
    assert "'gender'" in info.value.remedy


@pytest.mark.parametrize(
    ("name", "confounds", "options"),
    [
        ("toy", {"speaker_leak": 9}, {"subjects": 4}),
        ("grid", {"label_noise": 0.5}, {}),
        ("eatd", {"speaker_leak": 1}, {}),  # the split belongs to the subject
        ("ravdess", {"speaker_leak": 1}, {}),  # no split
    ],
)
def test_confounds_that_a_layout_cannot_represent_are_errors(name, confounds, options, tmp_path):
    spec = AUDIO if name == "toy" else shipped_spec(name)
    with pytest.raises(LayoutError) as info:
        simulate_layout(tmp_path / "c", spec, words=1, confounds=confounds, **options)
    assert info.value.setting == f"confounds.{min(confounds)}"
    assert not (tmp_path / "c").exists()


def test_confounds_of_the_command_line_are_parsed():
    assert parse_confounds(["gender=0.9", "speaker_leak=2"]) == {"gender": 0.9, "speaker_leak": 2}
    assert set(CONFOUNDS) >= {"gender", "duration", "speaker_leak", "label_noise"}


@pytest.mark.parametrize("text", ["gender", "gender=", "gender=much"])
def test_confounds_in_another_form_are_errors(text):
    with pytest.raises(SimulationError) as info:
        parse_confounds([text])
    assert (info.value.setting, info.value.value) == ("confounds", text)


def test_a_confound_given_twice_is_an_error():
    with pytest.raises(SimulationError) as info:
        parse_confounds(["gender=1", "gender=1"])
    assert info.value.setting == "confounds.gender"


def test_sampled_items_keep_their_order():
    items = list(range(10))
    for count, expected in ((0, 0), (0.2, 1), (2.6, 3), (20, 10)):
        sampled = sample_items(items, count, np.random.default_rng(0))
        assert sampled == sorted(sampled)
        assert len(set(sampled)) == expected
