"""Steps of a recording, from a table or as windows."""

import numpy as np
import pandas as pd
import pytest

from depmm.corpora.corpus_facts import Windows
from depmm.corpora.index_log import IndexLog
from depmm.corpora.spec_schema import StepTable
from depmm.corpora.step_times import add_previous_ends
from depmm.corpora.tables.joined_table import LeftOutTurn
from depmm.corpora.tables.table_files import Origin
from depmm.data.training_reference import TrainingReference
from depmm.inference import InferenceError
from depmm.inference.segmentation import (
    cut_steps,
    recording_manifest,
    trained_window_steps,
    window_steps,
    windows_of,
)
from depmm.inference.step_table import STEP_COLUMNS, read_steps


def edges(
    duration_s: float, length_s: float, hop_s: float | None = None
) -> list[tuple[float, float]]:
    windows = Windows(length_s=length_s, hop_s=hop_s)
    times = window_steps(duration_s, windows)[["start_s", "end_s"]]
    return list(times.fillna(np.inf).itertuples(index=False, name=None))


def test_windows_by_hand():
    assert edges(10.0, 4.0) == edges(8.2, 4.0) == [(0, 4), (4, 8), (8, np.inf)]
    assert edges(8.05, 4.0) == [(0, 4), (4, np.inf)]  # 50 ms may be an error of the header
    assert edges(3.0, 4.0) == edges(1.0, 4.0) == [(0, np.inf)]
    assert len(edges(0.9, 0.3)) == 3  # 0.9 / 0.3 is 3.0000000000000004 or 2.9999999999999996


def test_overlapping_windows_by_hand():
    assert edges(10.0, 4.0, 2.0) == [(0, 4), (2, 6), (4, 8), (6, np.inf)]
    # 50 ms may be an error of the header; 0.5 s are a shorter last window
    assert edges(10.05, 4.0, 2.0) == [(0, 4), (2, 6), (4, 8), (6, np.inf)]
    assert edges(10.5, 4.0, 2.0) == [(0, 4), (2, 6), (4, 8), (6, 10), (8, np.inf)]


def test_steps_of_a_table_are_cut_once():
    rows = [(0.0, 5.0, "a"), (5.0, np.nan, "b"), (9.0, 10.0, "c")]
    steps = pd.DataFrame(rows, columns=["start_s", "end_s", "text"]).reindex(columns=STEP_COLUMNS)
    windows = Windows(length_s=4.0, hop_s=2.0)
    cut = cut_steps(steps, windows, 10.0)
    assert cut["start_s"].tolist() == [0, 2, 5, 7, 9]
    assert cut["end_s"].fillna(np.inf).tolist() == [4, 5, 9, np.inf, 10]
    assert cut["text"].fillna("").tolist() == ["", "", "", "", "c"]
    pd.testing.assert_frame_equal(cut_steps(cut, windows, 10.0), cut)


@pytest.mark.parametrize("window_s", [0.0, -1.0, np.nan, np.inf, 1e-6])
def test_windows_of_unusable_length_are_refused(window_s):
    with pytest.raises(InferenceError) as info:
        window_steps(10.0, windows_of(window_s))
    assert info.value.setting == "window_s"
    assert info.value.value == pytest.approx(window_s, nan_ok=True)


def test_a_table_with_optional_columns_and_an_open_end_is_read(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text('\ufeffend_s, start_s,text\n1.25,0.5,NA\n, 1,"a, b"\n', encoding="utf-8")
    steps = read_steps(path, 2.0)
    assert steps["start_s"].tolist() == [0.5, 1.0]
    assert steps["end_s"].tolist() == [1.25, pytest.approx(np.nan, nan_ok=True)]
    assert steps["text"].tolist() == ["NA", "a, b"]
    manifest = recording_manifest("a b.mp4", steps, ["audio"], aligned=False)
    assert manifest.steps["audio"].tolist() == ["a b.mp4"] * 2
    assert manifest.steps["face"].isna().all()


@pytest.mark.parametrize(
    ("text", "line", "column", "value"),
    [
        ("", None, None, None),
        ("start_s,end_s\n", None, None, None),
        ("start_s,end_s\n0,1,2\n", 2, None, "0,1,2"),
        ("start_s,stop_s\n0,1\n", 1, "end_s", None),
        ("start_s,end_s,word\n0,1,x\n", 1, "word", None),
        ("start_s,end_s,end_s\n0,1,2\n", 1, "end_s", None),
        ('start_s,end_s,text\n0,1,"so\n1,2,fine"\n', 2, None, "'so\\n1,2,fine'"),
        ("start_s,end_s\n0,1_0\n", 2, "end_s", "1_0"),
        ("start_s,end_s\n0,1\none,2\n", 3, "start_s", "one"),
        ("start_s,end_s\n0,inf\n", 2, "end_s", "inf"),
        ("start_s,end_s\n,1\n", 2, "start_s", np.nan),
        ("start_s,end_s\n-0.1,1\n", 2, "start_s", -0.1),
        ("start_s,end_s\n1,1\n", 2, "end_s", 1.0),
        ("start_s,end_s\n1,2\n0,1\n", 3, "start_s", 0.0),
        ("start_s,end_s\n3,4\n", 2, "start_s", 3.0),
        ("start_s,end_s\n0,3.2\n", 2, "end_s", 3.2),
        ("start_s,end_s,valence\n0,1,sad\n", 2, "valence", "sad"),
    ],
)
def test_unusable_tables_are_refused_with_the_position_of_the_fault(
    tmp_path, text, line, column, value
):
    path = tmp_path / "steps.csv"
    path.write_text(text)
    with pytest.raises(InferenceError) as info:
        read_steps(path, 3.0)
    error = info.value
    assert (error.file, error.line, error.column) == (path, line, column)
    expected = pytest.approx(value, nan_ok=True) if isinstance(value, float) else value
    assert error.value == expected
    assert str(path) in str(error)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InferenceError) as info:
        read_steps(tmp_path / "no.csv", 3.0)
    assert info.value.file == tmp_path / "no.csv"


def test_windows_of_the_training_end_as_in_its_index():
    windows = Windows(length_s=1.0, hop_s=0.5)
    reference = TrainingReference(windows=windows)
    steps = trained_window_steps(2.2504, reference)
    assert steps["end_s"].tolist() == [1.0, 1.5, 2.0, 2.2504]
    of_table = TrainingReference(windows=windows, windows_of_table=True)
    assert trained_window_steps(2.2504, of_table)["end_s"].iloc[-1] == 2.25
    whole_only = TrainingReference(windows=windows, short_windows=False)
    assert trained_window_steps(2.2504, whole_only)["end_s"].tolist() == [1.0, 1.5, 2.0]
    assert trained_window_steps(0.4, whole_only)["end_s"].tolist() == [0.4]


def test_a_table_of_several_recordings_and_speakers(tmp_path):
    table = tmp_path / "turns.csv"
    table.write_text(
        "path,start_s,end_s,text,speaker,confidence\n"
        "b/a.wav,0,9,no,participant,1\n"
        "a.wav,0,1,hello,other,0.9\n"
        "a.wav,1.5,3,yes,participant,0.8\n"
        "a.wav,3,4,well,participant,\n"
    )
    steps = read_steps(table, 5.0, tmp_path / "a.wav")
    assert steps["text"].tolist() == ["yes", "well"]
    assert steps["previous_end_s"].fillna(-1).tolist() == [1.0, -1]
    assert list(steps.columns) == [*STEP_COLUMNS, "previous_end_s"]
    cut = cut_steps(steps, Windows(length_s=0.5), 5.0)
    assert cut["previous_end_s"].fillna(-1).tolist() == [1.0, -1, -1, -1, -1]
    # the longest path that matches: b/a.wav is another recording than a.wav
    assert read_steps(table, 9.0, tmp_path / "b" / "a.wav")["text"].tolist() == ["no"]
    with pytest.raises(InferenceError) as info:
        read_steps(table, 9.0, tmp_path / "c.wav")
    assert (info.value.column, info.value.file) == ("path", table)
    with pytest.raises(InferenceError) as info:
        read_steps(table, 2.0, tmp_path / "a.wav")
    assert (info.value.line, info.value.column) == (5, "start_s")


def test_turns_that_start_together_precede_no_step(tmp_path):
    """As in an index, in which a turn precedes a step only if it starts before it."""
    table = tmp_path / "turns.csv"
    rows = ["start_s,end_s,speaker", "1,2,other", "7,7.5,other", "7,8,participant", "9,9.5,other"]
    table.write_text("\n".join([*rows, "10,11,participant"]))
    steps = read_steps(table, 12.0)
    assert steps["previous_end_s"].tolist() == [2.0, 9.5]
    spec = StepTable(
        file="t.csv", join={"path": "path"}, fields={"start": "start_s", "end": "end_s"}
    )
    others = [
        LeftOutTurn({"start": start, "end": end}, True, Origin("t.csv"))
        for start, end in (("1", "2"), ("7", "7.5"), ("9", "9.5"))
    ]
    own = [(7.0, 8.0, {}), (10.0, 11.0, {})]
    indexed = add_previous_ends(own, others, spec, 0.0, IndexLog(set()))
    assert [texts["previous_end_s"] for _, _, texts in indexed] == [2.0, 9.5]


def test_a_row_without_speaker_among_others_is_refused(tmp_path):
    table = tmp_path / "turns.csv"
    table.write_text("start_s,end_s,speaker\n0,1,participant\n1,2,\n2,3,other\n")
    with pytest.raises(InferenceError) as info:
        read_steps(table, 5.0)
    assert (info.value.line, info.value.column) == (3, "speaker")


def test_a_table_without_a_chosen_participant_is_refused(tmp_path):
    table = tmp_path / "turns.csv"
    table.write_text("start_s,end_s,speaker\n0,1,channel_0\n1,2,channel_1\n")
    with pytest.raises(InferenceError) as info:
        read_steps(table, 5.0)
    assert (info.value.column, info.value.value) == ("speaker", "channel_0")
