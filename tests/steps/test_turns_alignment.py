"""Turns of a transcript without times."""

import numpy as np
import pytest
from conversations import write_sound

from depmm.media.sound.audio import decode_audio
from depmm.steps.forced_alignment import WordTime
from depmm.steps.pocketsphinx_aligner import PocketsphinxAligner
from depmm.steps.recordings import Recording
from depmm.steps.table import StepsError
from depmm.steps.turns_alignment import align_rows
from depmm.steps.turns_transcript import TranscriptRow


class Fixed:
    """One word per second; words with an x are unknown."""

    def find_unknown(self, word):
        return "not in the dictionary." if "x" in word else None

    def align(self, samples, words):
        return [WordTime(i + 0.1, i + 0.9, 0.5 + 0.1 * i) for i in range(len(words))]


def rows(*texts):
    return [TranscriptRow(i + 2, "AB"[i % 2], text, None, None) for i, text in enumerate(texts)]


def test_a_turn_reaches_from_its_first_to_its_last_word(tmp_path):
    recording = Recording("a.wav", write_sound(tmp_path / "a.wav", np.zeros(16000 * 6)))
    found = align_rows(recording, rows("well, then", "xyz!", "yes - box no"), Fixed())
    assert [(t.start_s, t.end_s, t.speaker, t.text) for t in found.turns] == [
        (0.1, 1.9, "A", "well, then"), (2.1, 3.9, "A", "yes - box no"),
    ]  # fmt: skip
    assert [t.confidence for t in found.turns] == pytest.approx([0.55, 0.75])
    assert found.duration_s == 6
    assert [row.line for row, _ in found.unused] == [3, 3, 4]
    with pytest.raises(StepsError) as raised:
        align_rows(recording, rows("x"), Fixed())
    assert raised.value.column == "text"


def test_a_long_recording_needs_times(tmp_path):
    recording = Recording("a.wav", write_sound(tmp_path / "a.wav", np.zeros(16000 * 301)))
    with pytest.raises(StepsError) as raised:
        align_rows(recording, rows("a", "b"), Fixed())
    assert raised.value.column == "start"


def test_sentences_of_grid(real_data, tmp_path):
    pytest.importorskip("pocketsphinx")
    clips = ["bbaf2n", "bbal6n"]
    sounds, texts = [], []
    for clip in clips:
        sounds.append(np.concatenate(list(decode_audio(real_data / f"grid_s1/{clip}.mpg"))))
        lines = (real_data / f"grid_s1/align/{clip}.align").read_text().split("\n")
        words = [line.split() for line in lines if line and not line.endswith("sil")]
        texts.append((words, sum(map(len, sounds[:-1])) / 16000))
    recording = Recording("a.wav", write_sound(tmp_path / "a.wav", np.concatenate(sounds)))
    transcript = rows(*(" ".join(word for *_, word in words) for words, _ in texts))
    found = align_rows(recording, transcript, PocketsphinxAligner())
    for turn, (words, offset) in zip(found.turns, texts, strict=True):
        assert turn.start_s == pytest.approx(offset + int(words[0][0]) / 25000, abs=0.15)
        assert turn.end_s == pytest.approx(offset + int(words[-1][1]) / 25000, abs=0.15)
    assert [turn.speaker for turn in found.turns] == ["A", "B"]
