"""Statistics of the training sessions."""

import pandas as pd
import pytest
from trained_runs import AUDIO

from depmm.config import load_config
from depmm.corpora.corpus_facts import CorpusFacts, Windows
from depmm.data.experiment_data import load_experiment_data
from depmm.data.training_reference import (
    describe_files,
    describe_windows,
    measure_training_reference,
)


def test_steps_and_speech_of_the_training_sessions(corpus):
    config = load_config(corpus.config, [*AUDIO, "data.steps.first=3"])
    data = load_experiment_data(config)
    steps = corpus.manifest.steps
    train = data.sessions[data.sessions["split"] == "train"]["session"]
    steps = steps[steps["session"].isin(train)]
    reference = measure_training_reference(config, data)
    assert reference.step_s == pytest.approx((steps["end_s"] - steps["start_s"]).median())
    assert (reference.min_steps, reference.aligned, reference.windows) == (3, True, None)
    assert reference.low_speech_s > 0


def steps_of(*recordings: list[tuple[float, float]], **columns: object) -> pd.DataFrame:
    """Build the steps of one session per recording."""
    rows = [
        {"subject": f"s{index}", "step": step, "start_s": start, "end_s": end}
        for index, recording in enumerate(recordings)
        for step, (start, end) in enumerate(recording)
    ]
    defaults = {"corpus": "c", "session": "1", "audio": "a.wav", "face": None}
    tracks = {"audio_track": None, "audio_channel": None}
    return pd.DataFrame(rows).assign(**defaults | tracks | columns)


LONG = [(0.0, 1.0), (0.4, 1.4), (0.8, 1.8), (1.2, 2.2), (1.6, 2.55)]
SHORT = [(0.0, 1.0), (0.4, 1.4), (0.8, 1.8)]


def test_windows_of_a_table_are_found():
    found = describe_windows(steps_of(LONG, SHORT), {})
    assert found["windows"] == Windows(length_s=1.0, hop_s=0.4)
    assert (found["windows_of_table"], found["short_windows"]) == (True, True)
    assert describe_windows(steps_of(LONG[:-1], SHORT), {})["short_windows"] is False
    # a word in the middle, too few windows, another hop, and turns that do not start at 0
    for other in (
        [(0.1, 0.9), *LONG[1:]],
        LONG[:3],
        [(2 * start, 2 * start + 1) for start, _ in LONG],
    ):
        assert describe_windows(steps_of(other, SHORT), {}) == {}
    shifted = [(start + 5, end + 5) for start, end in LONG]
    assert describe_windows(steps_of(shifted, SHORT), {}) == {}


def test_windows_that_the_index_has_cut_may_be_inside_turns():
    facts = {"c": CorpusFacts(windows=Windows(length_s=1.0, hop_s=0.4))}
    found = describe_windows(steps_of(LONG, SHORT), facts)
    assert found == {"windows": facts["c"].windows, "windows_in_steps": False}
    turns = [*LONG, *((start + 5, end + 5) for start, end in LONG)]
    assert describe_windows(steps_of(turns, SHORT), facts)["windows_in_steps"] is True
    two = pd.concat([steps_of(LONG), steps_of(LONG, corpus="d")])
    assert describe_windows(two, facts) == {}


def test_files_and_tracks_of_the_steps():
    assert describe_files(steps_of([(0.0, None)], [(0.0, None)])) == {
        "whole_files": True,
        "separate_files": False,
        "files_per_session": 1,
    }
    found = describe_files(
        steps_of(SHORT, audio=["a", "b", "b"], face="a", audio_channel=1, audio_track=[0, 1, 1])
    )
    assert (found["separate_files"], found["files_per_session"]) == (True, 2)
    assert (found["audio_channel"], "audio_track" in found) == (1, False)
