"""Turns from transcripts: separators, columns, times, missing ends, and errors."""

import numpy as np
import pytest

from depmm.steps.table import StepsError
from depmm.steps.turns import Turn
from depmm.steps.turns_transcript import (
    choose_speaker,
    find_transcript,
    read_transcript,
    transcript_turns,
)

DAIC = (
    "start_time\tstop_time\tspeaker\tvalue\n"
    '0.5\t2.0\tEllie\thi "i\'m" ellie, <laughter>\n'
    "2.6\t4.0\tParticipant\tgood\n"
    "\n"
    "3.9\t6.0\tParticipant\tvery; good\n"
)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_columns_of_daic_woz(tmp_path):
    rows = read_transcript(write(tmp_path / "300_TRANSCRIPT.csv", DAIC))
    turns, unused = transcript_turns(rows, 100.0)
    assert not unused
    assert turns == [
        Turn(0.5, 2.0, "Ellie", None, 'hi "i\'m" ellie, <laughter>'),
        Turn(2.6, 4.0, "Participant", None, "good"),
        Turn(3.9, 6.0, "Participant", None, "very; good"),
    ]
    assert [row.line for row in rows] == [2, 3, 5]


@pytest.mark.parametrize("separator", [",", ";"])
def test_other_separators_clock_times_and_quotes(tmp_path, separator):
    cells = [["Onset", "Speaker ID", "Text"], ["00:01:02.5", "I", '"a, b; c"'], ["1:05", "P", "d"]]
    text = "".join(separator.join(row) + "\r\n" for row in cells)
    rows = read_transcript(write(tmp_path / "t.csv", text))
    assert [(row.start_s, row.speaker, row.text) for row in rows] == [
        (62.5, "I", "a, b; c"), (65.0, "P", "d"),
    ]  # fmt: skip


def test_without_ends_a_turn_ends_with_the_last_speech_before_the_next(tmp_path):
    text = "start\tspeaker\n1\tA\n5\tB\n9\tA\n12\tB\n"
    rows = read_transcript(write(tmp_path / "t.tsv", text))
    speech = np.array([[1.0, 2.0], [2.5, 4.0], [5.5, 9.5]])
    turns, unused = transcript_turns(rows, 11.0, speech)
    assert [(turn.start_s, turn.end_s) for turn in turns] == [(1, 4.0), (5, 9.0), (9, 9.5)]
    assert [(row.line, "after the end" in reason) for row, reason in unused] == [(5, True)]
    assert [turn.end_s for turn in transcript_turns(rows, 11.0)[0]] == [5, 9, 11]


@pytest.mark.parametrize(
    ("text", "column", "line"),
    [
        ("start\tend\tvalue\n1\t2\thi\n", "speaker", None),
        ("start\tspeaker\n1\tA\nsoon\tB\n", "start", 3),
        ("start\tend\tspeaker\n1\t-2\tA\n", "end", 2),
        ("", "speaker", None),
        ("start,text,speaker\n0,good,P\n8,well, not so good,P\n", None, 3),
        ("start\ttext\tspeaker\n0\tgood\n", None, 2),
        ('start,speaker,text\n0,I,how?\n2,P,"fine\n6,I,why?\n', None, 3),
        ("start,speaker,Start\n0,I,0\n", "start", 1),
    ],
)
def test_errors_name_the_place(tmp_path, text, column, line):
    path = write(tmp_path / "t.tsv", text)
    with pytest.raises(StepsError) as raised:
        read_transcript(path)
    error = raised.value
    assert (error.file, error.column, error.line) == (path, column, line)


def test_a_line_separator_of_unicode_is_part_of_a_text(tmp_path):
    rows = read_transcript(write(tmp_path / "t.tsv", "start\ttext\tspeaker\n1\ta\u2028b\tP\n"))
    assert [(row.line, row.text, row.speaker) for row in rows] == [(2, "a\u2028b", "P")]


def test_the_transcript_of_a_recording_must_be_unique(tmp_path):
    recording = tmp_path / "a[1].wav"
    for name in ("a[1].tsv", "a1.tsv", "x_T.csv"):
        write(tmp_path / name, DAIC)
    assert find_transcript(recording, "{stem}.tsv").name == "a[1].tsv"
    assert find_transcript(recording, "*_T.csv").name == "x_T.csv"
    for pattern in ("*.tsv", "{stem}.txt", str(tmp_path / "x_T.csv")):
        with pytest.raises(StepsError) as raised:
            find_transcript(recording, pattern)
        assert raised.value.setting == "transcripts"


def test_the_participant_is_one_of_the_speakers():
    turns = [Turn(0, 1, "Ellie"), Turn(1, 2, "Participant"), Turn(2, 3, "Guest")]
    chosen = choose_speaker(turns, "Participant", "participant", "other")
    assert [turn.speaker for turn in chosen] == ["other", "participant", "other"]
    with pytest.raises(StepsError) as raised:
        choose_speaker(turns, "participants", "participant", "other")
    assert "Participant" in raised.value.remedy


@pytest.mark.parametrize("other", ["participant", "Participant\u00a0", "\uff30articipant"])
def test_speakers_with_nearly_the_same_name_are_refused(other):
    turns = [Turn(0, 1, "Ellie"), Turn(1, 2, "Participant"), Turn(2, 3, other)]
    with pytest.raises(StepsError) as raised:
        choose_speaker(turns, "Participant", "participant", "other")
    assert (raised.value.setting, raised.value.value) == ("participant", other)
    chosen = choose_speaker(turns, "Ellie", "participant", "other")
    assert [turn.speaker for turn in chosen] == ["participant", "other", "other"]
