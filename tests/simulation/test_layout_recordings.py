"""Recordings of a simulated layout: containers, tracks, and the voice of an interviewer."""

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from simulated_layouts import VIDEO_SPEC, shipped_spec, simulate_and_index

from depmm.corpora.spec import parse_spec
from depmm.media.features.feature_files import read_features


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "mpg", "mov"])
def test_containers_have_video_and_sound_of_equal_length(suffix, tmp_path):
    spec = parse_spec(VIDEO_SPEC.replace(".mp4", f".{suffix}"), "toy")
    truth, _, report = simulate_and_index(spec, tmp_path / "c", subjects=2, words=1)
    assert report.complete
    path = tmp_path / "c" / next(iter(truth["sessions"].values()))["files"][0]
    with av.open(str(path)) as video:
        pictures = sum(1 for _ in video.decode(video=0))
    with av.open(str(path)) as video:
        samples = sum(frame.samples for frame in video.decode(audio=0))
    assert pictures > 20
    assert samples / 16_000 == pytest.approx(pictures / 25, abs=0.2)


def test_video_of_a_layout_with_audio_files_has_no_sound(tmp_path):
    _, manifest, _ = simulate_and_index(
        shipped_spec("avec2014"), tmp_path / "c", subjects=2, words=1
    )
    with av.open(str(tmp_path / "c" / manifest.steps["face"].iloc[0])) as video:
        assert not video.streams.audio
        assert video.streams.video[0].average_rate == 25


def test_the_arrays_of_ewre_have_one_row_per_word(tmp_path):
    spec, out = shipped_spec("ewre"), tmp_path / "c"
    truth, manifest, report = simulate_and_index(spec, out, subjects=2, words=5, effect=3.0)
    assert manifest.steps.groupby("session").size().tolist() == [5, 5]
    assert report.complete
    paths = dict(zip(manifest.features["session"], manifest.features["path"], strict=True))
    means = {
        truth["sessions"][session]["label"]: np.load(out / path).mean()
        for session, path in paths.items()
    }
    assert means[1] < means[0] - 1  # three units of bluntness, and noise of the five words


def test_daic_woz_has_an_interviewer_whose_turns_are_excluded(tmp_path):
    spec, out = shipped_spec("daic_woz"), tmp_path / "c"
    truth, manifest, _ = simulate_and_index(spec, out, subjects=4)
    name = min(truth["sessions"])
    turns = pd.read_csv(out / f"{name}_P/{name}_TRANSCRIPT.csv", sep="\t")
    assert set(turns["speaker"]) == {"Ellie", "Participant"}
    steps = manifest.steps[manifest.steps["session"] == name]
    assert list(steps["text"]) == truth["sessions"][name]["words"]
    question_end_s = turns[turns["speaker"] == "Ellie"]["stop_time"].max()
    sound, rate = soundfile.read(out / f"{name}_P/{name}_AUDIO.wav")
    assert np.abs(sound[: round(question_end_s * rate)]).max() > 0.02  # the question is audible
    assert steps["start_s"].min() > question_end_s
    assert len(sound) / rate > steps["end_s"].max()
    tables = [path for path in out.glob("*_split_*2017.csv") if path.stat().st_size]
    binary = pd.concat(map(pd.read_csv, tables))
    assert ((binary["PHQ8_Score"] >= 10) == (binary["PHQ8_Binary"] == 1)).all()
    units = next(entry.features for entry in spec.recordings if "AUs" in entry.pattern)
    values = np.concatenate(
        [v for _, v in read_features(out / f"{name}_P/{name}_CLNF_AUs.txt", units)]
    )
    invalid = np.isnan(values).all(axis=1)
    assert 0 < invalid.mean() < 0.3
    # the transcript of 318 is ahead of the sound by the offset that the spec states
    assert (name, manifest.sessions["out_of_sync"].tolist().count("yes")) == ("318", 1)
    assert turns["start_time"].min() < -30
    covarep = np.loadtxt(out / f"{name}_P/{name}_COVAREP.csv", delimiter=",")
    assert 0 < np.isneginf(covarep).any(axis=1).mean() < 0.2
