"""Steps from a word list: extents, offsets between clocks, and words without speech."""

import numpy as np
import pytest

from depmm.media.sound.speech_segments import SegmentRules
from depmm.steps import word_onsets
from depmm.steps.recordings import Recording
from depmm.steps.speech import Speech
from depmm.steps.table import Step, StepProblem, StepsError
from depmm.steps.word_onsets import WordTiming, estimate_offset, find_listed_words
from depmm.steps.word_tables import Entries, Entry

# a session of four words at irregular times, and the speech half a second after each
ONSETS = [1.0, 4.0, 6.5, 11.0]
SPEECH = np.array([[1.5, 2.0], [4.5, 5.2], [7.0, 7.6], [11.5, 12.0]])


@pytest.fixture
def find(monkeypatch, tmp_path):
    """Return a function that finds the words of a list in planted speech."""

    def call(timing, segments=SPEECH, onsets=ONSETS):
        speech = Speech(np.array(segments, float).reshape(-1, 2), None, 14.0)
        monkeypatch.setattr(word_onsets, "read_speech", lambda *arguments: speech)
        entries = [Entry(f"w{i}", onset, None) for i, onset in enumerate(onsets)]
        table = Entries(tmp_path / "list.csv", {"": entries})
        return list(find_listed_words(Recording("a.wav", tmp_path), table, None, timing))

    return call


def test_from_onset_to_onset(find):
    timing = WordTiming()
    steps = find(timing)
    assert [(s.start_s, s.end_s, s.text) for s in steps] == [
        (1.0, 4.0, "w0"), (4.0, 6.5, "w1"), (6.5, 11.0, "w2"), (11.0, 14.0, "w3"),
    ]  # fmt: skip
    np.testing.assert_allclose(timing.latencies_s, 0.5)
    np.testing.assert_allclose([s.pause_before_s for s in steps[1:]], [2.5, 1.8, 3.9])


def test_the_speech_inside(find):
    steps = find(WordTiming("speech", rules=SegmentRules(margin_s=0.1)))
    found = np.array([(step.start_s, step.end_s) for step in steps])
    np.testing.assert_allclose(found, SPEECH + np.array([-0.1, 0.1]))


@pytest.mark.parametrize("extent", ["onset", "speech"])
def test_a_word_without_speech_is_reported(find, extent):
    timing = WordTiming(extent)
    items = find(timing, SPEECH[[0, 1, 3]])
    assert [item.text for item in items if isinstance(item, StepProblem)] == ["w2"]
    assert sum(isinstance(item, Step) for item in items) == (4 if extent == "onset" else 3)
    assert timing.n_silent == 1


def test_words_outside_of_the_recording_are_reported(find):
    items = find(WordTiming(offset_s=-2.0))
    assert items[0].text == "w0"
    assert isinstance(items[0], StepProblem)


def test_the_offset_is_estimated(find):
    rng = np.random.default_rng(0)
    onsets = np.cumsum(rng.uniform(2, 5, 24))
    starts = onsets + 12.3 + rng.normal(0.5, 0.15, 24)
    other = np.sort(rng.uniform(0, starts[-1], 6))  # speech that belongs to no word
    offset = estimate_offset(onsets, np.sort([*starts, *other]))
    assert offset.seconds == pytest.approx(12.8, abs=0.1)  # the latency is part of it
    assert offset.alternative_s is None
    timing = WordTiming(offset_s=None)
    find(timing, SPEECH + 1.0)
    assert timing.offsets["a.wav"] == pytest.approx(1.5)


def test_an_uncertain_offset_is_refused(find):
    regular = [1.0 + 3 * i for i in range(12)]
    starts = np.array(regular)[:-1, None] + [0.5, 1.0]  # one word less than the list
    for segments, onsets in ((starts, regular), (np.zeros((0, 2)), ONSETS)):
        with pytest.raises(StepsError) as raised:
            find(WordTiming(offset_s=None), segments, onsets)
        assert raised.value.value == "a.wav"
    assert estimate_offset(np.array([1.0]), np.zeros(0)) is None
