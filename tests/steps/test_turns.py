"""Turns: joining, shares of time, and frames."""

import numpy as np
import pytest

from depmm.steps.turns import Turn, frames_of, join_turns, segments_of, share_of_time


def test_turns_of_one_speaker_are_joined_over_short_pauses():
    turns = [
        Turn(4.0, 5.0, "a", 0.2),
        Turn(0.0, 1.0, "a", 0.9, "well"),
        Turn(1.5, 3.5, "a", 0.3, "yes"),
        Turn(3.6, 3.8, "b", 0.5),
        Turn(7.0, 8.0, "a", 0.4),
    ]
    joined = join_turns(turns, max_pause_s=1.0)
    assert [(t.start_s, t.end_s, t.speaker) for t in joined] == [
        (0.0, 3.5, "a"), (3.6, 3.8, "b"), (4.0, 5.0, "a"), (7.0, 8.0, "a"),
    ]  # fmt: skip
    assert joined[0].confidence == pytest.approx((0.9 + 2 * 0.3) / 3)
    assert joined[0].text == "well yes"


def test_shares_are_in_the_order_of_the_first_turns():
    turns = [Turn(0, 1, "b"), Turn(1, 4, "a"), Turn(5, 6, "b")]
    assert share_of_time(turns) == {"b": 0.4, "a": 0.6}


def test_frames_and_segments():
    frames = frames_of(np.array([[0.1, 0.3], [0.4, 0.6], [1.0, 1.1]]), 150)
    assert frames.sum() == 50
    assert segments_of(frames, 0.0, 0.0) == pytest.approx(
        np.array([[0.1, 0.3], [0.4, 0.6], [1.0, 1.1]])
    )
    assert segments_of(frames, 0.2, 0.2) == pytest.approx(np.array([[0.1, 0.6]]))
    assert segments_of(np.zeros(9, bool), 0.1, 0.1).shape == (0, 2)
