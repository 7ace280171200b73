"""Largest samples of equal parts of a recording."""

from itertools import pairwise

import numpy as np

from depmm.media.sound.waveform_peaks import WaveformPeaks


def test_each_part_has_its_largest_sample_however_the_sound_is_divided():
    generator = np.random.default_rng(0)
    sound = generator.uniform(-1, 1, 16_000).astype(np.float32)
    expected = np.abs(sound).reshape(20, 800).max(axis=1)
    for cuts in ([0, 16_000], [0, 799, 801, 5_000, 16_000]):
        peaks = WaveformPeaks(1.0, 20)
        for start, end in reversed(list(pairwise(cuts))):
            peaks.update(sound[start:end], start / 16_000)
        np.testing.assert_allclose(peaks.values, expected)


def test_parts_without_sound_are_nan_and_sound_outside_of_the_recording_is_ignored():
    peaks = WaveformPeaks(4.0, 4)
    peaks.update(np.full(16_000, 0.5, np.float32), 1.0)
    peaks.update(np.full(32_000, 0.25, np.float32), 3.0)
    peaks.update(np.zeros(0, np.float32), 0.0)
    np.testing.assert_array_equal(peaks.values, np.float32([np.nan, 0.5, np.nan, 0.25]))


def test_more_parts_than_samples():
    peaks = WaveformPeaks(2 / 16_000, 4)
    peaks.update(np.float32([0.5, -1.0]), 0.0)
    assert np.nanmax(peaks.values) == 1.0
