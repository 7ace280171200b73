"""Contours of the voice: known tones, blocks, and invalid frames."""

import numpy as np
import pytest
from voices import SR, pulses

from depmm.media.voice import contours as module
from depmm.media.voice.contours import CONTOURS, count_frames, voice_contours


def rows_of(waveform, loud_db=-20.0):
    def read(first, end):
        return waveform[first:end]

    blocks = list(voice_contours(read, len(waveform), loud_db))
    return dict(zip(CONTOURS, np.concatenate(blocks).T, strict=True))


def test_a_tone_between_silence_and_noise():
    noise = np.random.default_rng(0).normal(0, 0.03, SR // 2).astype(np.float32)
    rows = rows_of(
        np.concatenate([np.zeros(SR // 2, np.float32), pulses(np.full(100, 0.01)), noise])
    )
    assert np.isnan([column[:45] for column in rows.values()]).all()  # digital silence
    tone, end = slice(55, 145), slice(155, 198)
    assert rows["pitch"][tone] == pytest.approx(12 * np.log2(100 / 27.5), abs=0.02)
    assert (rows["voicing"][tone] == 1).all()
    assert (rows["harmonicity"][tone] > 0.99).all()
    assert (rows["voicing"][end] == 0).all()
    assert np.isnan(rows["pitch"][end]).all()
    assert rows["loudness"][end].mean() == pytest.approx(20 * np.log10(0.03) + 20, abs=0.3)
    assert np.isnan(rows["mfcc_1_delta"][-4:]).all()


def test_frames_do_not_depend_on_the_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    voice = pulses(1 / (150 + 50 * np.sin(np.arange(600) / 40)))
    voice = voice + rng.normal(0, 0.005, len(voice)).astype(np.float32)
    whole = rows_of(voice)
    monkeypatch.setattr(module, "_BLOCK", SR)
    for name, column in rows_of(voice).items():
        np.testing.assert_allclose(column, whole[name], atol=1e-4, err_msg=name)


def test_number_of_frames():
    assert count_frames(159) == 0
    assert count_frames(320) == 2
    assert rows_of(np.ones(479, np.float32))["pitch"].shape == (2,)
    assert list(voice_contours(lambda a, b: np.zeros(b - a, np.float32), 0, 0.0)) == []
