"""Choices of the participant: kept for a file and its turns, and refused for others."""

import pytest

from depmm.steps.participant_choices import (
    Choice,
    check_choice,
    read_choices,
    turns_digest,
    write_choices,
)
from depmm.steps.table import StepsError
from depmm.steps.turns import Turn

TURNS = [Turn(0.0, 1.0, "speaker_1"), Turn(1.5, 3.0, "speaker_2")]


def choice(name="a/1", participant="speaker_2", file="f" * 16, turns=TURNS):
    return Choice(name, participant, file, turns_digest(turns))


def test_round_trip(tmp_path):
    path = tmp_path / "choices.csv"
    write_choices([choice("b"), choice('a, "1"'), choice("b", file="e" * 16)], path)
    assert read_choices(path) == {
        (item.recording, item.recording_sha256): item
        for item in (choice('a, "1"'), choice("b"), choice("b", file="e" * 16))
    }
    write_choices([], path)
    assert not path.exists()


def test_a_choice_holds_for_one_file_and_its_turns():
    choices = {("a/1", "f" * 16): choice()}
    assert check_choice(choices, "a/1", "f" * 16, TURNS) == ("speaker_2", None)
    assert check_choice(choices, "a/2", "f" * 16, TURNS) == (None, None)
    assert "recording has changed" in check_choice(choices, "a/1", "0" * 16, TURNS)[1]
    later = [Turn(0.0, 1.1, "speaker_1"), TURNS[1]]
    assert "turns have changed" in check_choice(choices, "a/1", "f" * 16, later)[1]
    rounded = [Turn(0.001, 1.0, "speaker_1", 0.5, "words"), TURNS[1]]
    assert check_choice(choices, "a/1", "f" * 16, rounded)[0] == "speaker_2"
    choices = {("a/1", "f" * 16): choice(participant="speaker_3")}
    assert "speaker_3" in check_choice(choices, "a/1", "f" * 16, TURNS)[1]


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        (b"subject,score\n1,2\n", {"setting": "participant"}),
        (b"\xff\xfe", {"setting": "participant"}),
        (
            b"recording,participant,recording_sha256,turns_sha256\na,x,1,2\na,y,1,2\n",
            {"line": 3, "value": "a"},
        ),
    ],
)
def test_other_files_are_refused(tmp_path, text, attributes):
    (tmp_path / "choices.csv").write_bytes(text)
    with pytest.raises(StepsError) as raised:
        read_choices(tmp_path / "choices.csv")
    assert {name: getattr(raised.value, name) for name in attributes} == attributes
    with pytest.raises(StepsError):
        read_choices(tmp_path / "gone.csv")
