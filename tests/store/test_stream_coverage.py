"""Feature files that are shorter or longer than the recording, next to sound that is kept."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from feature_files import write_table

from depmm.config import ExtractConfig
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec
from depmm.media.duration import duration_s
from depmm.store.extract import ExtractReport, extract
from depmm.store.sessions import SessionStore

SPEC = """
name: toy
title: t
citation: c
licence: l
access: a
recordings:
  - {pattern: "{subject}.wav", modalities: [audio]}
  - pattern: "{subject}.csv"
    modalities: [face]
    features: {name: openface, rate_hz: 30, time: timestamp, drop: [frame]}
session: "{subject}"
"""
WINDOWS = SPEC + "steps: {windows: {length_s: 1.0}}\n"
SOUND = np.random.default_rng(0).integers(-9000, 9000, 16000 * 6, np.int16)


def write_session(root, times, subject="s1", n_features=2):
    """Write 6 s of sound and a row of features at each time."""
    root.mkdir(exist_ok=True)
    soundfile.write(root / f"{subject}.wav", SOUND, 16000)
    rng = np.random.default_rng(0)
    columns = {f"AU{i:02}_r": rng.normal(size=len(times)) for i in range(n_features)}
    frames = {"frame": list(range(len(times))), "timestamp": np.asarray(times, float)}
    write_table(root / f"{subject}.csv", frames | columns)


def run(tmp_path, spec=WINDOWS) -> tuple[ExtractReport, pd.DataFrame]:
    manifest, _ = index_corpus(parse_spec(spec, "toy.yaml"), tmp_path / "toy", duration_s)
    report = extract(manifest, tmp_path / "toy", tmp_path / "store", ExtractConfig(), workers=1)
    return report, manifest.steps


def stored_sound(tmp_path) -> np.ndarray:
    with SessionStore(tmp_path / "store", ExtractConfig()).read("toy", "s1", "s1") as reader:
        return reader.read_tensor("audio.waveform")


@pytest.mark.parametrize("spec", [SPEC, WINDOWS], ids=["whole file", "windows"])
def test_short_features_never_shorten_the_sound(spec, tmp_path):
    write_session(tmp_path / "toy", np.arange(75) / 30)  # 2.5 s
    report, steps = run(tmp_path, spec)
    np.testing.assert_array_equal(stored_sound(tmp_path), SOUND)
    (warning,) = report.warnings.to_dict("records")
    assert (warning["name"], warning["stage"], warning["file"]) == (
        "short_features", "openface", "s1.csv"
    )  # fmt: skip
    assert "3.500 s (58%)" in warning["problem"]
    if spec is SPEC:
        assert len(report.failures) == 0
        return
    assert steps["end_s"].tolist() == [1, 2, 3, 4, 5, 6]
    (cause,) = report.failures["cause"]
    assert "3 of 6 steps start after" in cause
    assert "steps 3 to 5" in cause
    with SessionStore(tmp_path / "store", ExtractConfig()).read("toy", "s1", "s1") as reader:
        rows = reader.step_rows("openface")
    assert rows.tolist() == [[0, 30], [30, 60], [60, 75], [0, 0], [0, 0], [0, 0]]


def test_features_that_start_late_or_have_a_hole_name_their_steps(tmp_path):
    times = np.arange(180) / 30
    write_session(tmp_path / "toy", times[(times >= 2) & ((times < 3) | (times >= 5))])
    report, _ = run(tmp_path)
    (cause,) = report.failures["cause"]
    assert "2 of 6 steps end before" in cause
    assert "steps 0 to 1" in cause
    assert "steps 3 to 4" in cause
    assert sorted(report.warnings["name"]) == ["gap", "short_features"]


@pytest.mark.parametrize("spec", [SPEC, WINDOWS], ids=["whole file", "windows"])
def test_features_longer_than_the_recording_are_reported(spec, tmp_path):
    write_session(tmp_path / "toy", np.arange(360) / 30)
    report, steps = run(tmp_path, spec)
    assert report.warnings["name"].tolist() == ["long_features"]
    assert "6.000 s" in report.warnings["problem"][0]
    if spec is WINDOWS:
        assert steps["end_s"].tolist() == [1, 2, 3, 4, 5, 6]


def test_features_after_the_last_turn_are_expected(tmp_path):
    write_session(tmp_path / "toy", np.arange(180) / 30)
    (tmp_path / "toy/s1.txt").write_text("from,to\n1.0,2.0\n3.0,3.5\n")
    table = "{file: '{subject}.txt', join: {subject: subject}, fields: {start: from, end: to}}"
    report, _ = run(tmp_path, SPEC + f"steps: {{table: {table}}}\n")
    assert (len(report.failures), len(report.warnings)) == (0, 0)


def test_matching_features_are_stored_without_a_word(tmp_path):
    write_session(tmp_path / "toy", np.arange(177) / 30)  # 0.1 s shorter than the sound
    report, steps = run(tmp_path)
    assert (len(report.failures), len(report.warnings)) == (0, 0)
    assert steps["end_s"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("times", [np.zeros(180), np.repeat(np.arange(180) / 30, 2)])
def test_a_failed_stream_keeps_the_sound(times, tmp_path):
    write_session(tmp_path / "toy", times)
    report, steps = run(tmp_path)
    assert steps["end_s"].tolist() == [1, 2, 3, 4, 5, 6]
    assert report.failures[["stage", "file"]].to_numpy().tolist() == [["openface", "s1.csv"]]
    assert report.failures["remedy"].all()
    np.testing.assert_array_equal(stored_sound(tmp_path), SOUND)


def test_a_session_with_other_columns_is_named(tmp_path):
    for subject, n_features in (("s1", 2), ("s2", 3), ("s3", 2)):
        write_session(tmp_path / "toy", np.arange(180) / 30, subject, n_features)
    report, _ = run(tmp_path)
    assert report.warnings[["session", "stage", "file", "name"]].to_numpy().tolist() == [
        ["s2", "openface", "s2.csv", "columns_differ"]
    ]
    assert "3 features" in report.warnings["problem"][0]
