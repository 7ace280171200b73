"""Turns from two channels: crosstalk, overlap, gain, and channels that are one mixture."""

import numpy as np
import pytest
from conversations import TURNS, conversation, crosstalk, matches

from depmm.media.sound.voice_activity import frame_levels
from depmm.steps.speech import detect_by_energy
from depmm.steps.table import StepsError
from depmm.steps.turns_channels import find_channel_turns


def find(sound):
    return find_channel_turns(
        [frame_levels([channel]) for channel in sound],
        [detect_by_energy([channel]).segments for channel in sound],
    )


@pytest.fixture(scope="module")
def sound():
    return conversation()


@pytest.mark.parametrize(("decibels", "gain"), [(-80, 1.0), (-20, 1.0), (-8, 0.2)])
def test_crosstalk_and_gain_do_not_change_the_turns(sound, decibels, gain):
    found = find(crosstalk(sound, decibels) * np.array([[1.0], [gain]]))
    assert matches(found.turns)
    assert {turn.speaker for turn in found.turns} == {"channel_0", "channel_1"}
    assert next(turn for turn in found.turns).speaker == "channel_1"
    assert all(turn.confidence > 0.7 for turn in found.turns)
    assert found.overlap_s < 0.1
    if decibels > -40:  # otherwise noise and not crosstalk is in the other channel
        assert found.separation_db == pytest.approx(-2 * decibels, abs=1)


def test_both_speak(sound):
    turns = [(0.5, 4.0, 0), (3.0, 6.0, 1), (7.0, 9.0, 0), (10.0, 12.0, 1)]
    found = find(crosstalk(conversation(turns, 13.0), -15))
    assert matches(found.turns, turns)
    assert found.overlap_s == pytest.approx(1.0, abs=0.25)


def test_one_mixture_is_refused(sound):
    with pytest.raises(StepsError) as raised:
        find(np.stack([sound.sum(axis=0)] * 2))
    assert raised.value.setting == "speakers"
    assert raised.value.value < 1
    with pytest.raises(StepsError) as raised:
        find(np.stack([sound[0], np.zeros_like(sound[0])]))
    assert raised.value.value == 1  # the channel without speech


def test_exchanged_channels_exchange_the_speakers(sound):
    one, other = find(crosstalk(sound, -12)), find(crosstalk(sound, -12)[::-1])
    assert [(t.start_s, t.end_s) for t in one.turns] == [(t.start_s, t.end_s) for t in other.turns]
    assert all(a.speaker != b.speaker for a, b in zip(one.turns, other.turns, strict=True))
    assert len(one.turns) == len(TURNS)
