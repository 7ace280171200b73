"""Segments of speech from the levels of short frames."""

import numpy as np
import pytest
from media_files import tone

from depmm.config import SAMPLE_RATE
from depmm.media.sound.voice_activity import find_loud_level, frame_levels, segments_of_levels


def speech_segments(sound: np.ndarray, silence_db: float, min_silence_s: float) -> np.ndarray:
    duration_s = len(sound) / SAMPLE_RATE
    levels = frame_levels([sound])
    return segments_of_levels(
        levels, find_loud_level(levels), silence_db, min_silence_s, duration_s
    )


def test_pauses_separate_segments_of_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-4, 6 * SAMPLE_RATE)
    sound = noise.astype(np.float32)
    for start, end in ((1.0, 2.0), (2.3, 3.0), (4.2, 5.0)):
        sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] += tone(end - start, SAMPLE_RATE)
    segments = speech_segments(sound, -35.0, 0.5)
    np.testing.assert_allclose(segments, [[1.0, 3.0], [4.2, 5.0]], atol=0.02)
    separate = speech_segments(sound, -35.0, 0.2)
    np.testing.assert_allclose(separate, [[1.0, 2.0], [2.3, 3.0], [4.2, 5.0]], atol=0.02)
    # levels are relative: a gain of -40 dB has no effect
    np.testing.assert_array_equal(speech_segments(sound / 100, -35.0, 0.5), segments)


def test_segments_extend_to_both_ends_of_the_sound() -> None:
    loud = tone(1.0, SAMPLE_RATE)
    np.testing.assert_array_equal(speech_segments(loud, -35.0, 0.5), [[0.0, 1.0]])
    assert speech_segments(np.zeros(SAMPLE_RATE), -35.0, 0.5).shape == (0, 2)
    assert speech_segments(np.zeros(0), -35.0, 0.5).shape == (0, 2)
    np.testing.assert_array_equal(speech_segments(loud[:100], -35.0, 0.5), [[0.0, 100 / 16_000]])


def test_levels_do_not_depend_on_the_blocks() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16_123)
    levels = frame_levels([sound])
    assert len(levels) == (16_123 // 80 + 1 - 5) // 2 + 1
    frame = sound[160 * 7 : 160 * 7 + 400]
    assert levels[7] == pytest.approx(10 * np.log10(np.mean(frame**2)))
    pieces = np.split(sound, [1, 50, 79, 5000, 5001, 12_345])
    np.testing.assert_allclose(frame_levels(pieces), levels)
    full_scale = segments_of_levels(frame_levels([np.ones(1600)]), 0.0, -35.0, 0.5, 0.1)
    np.testing.assert_array_equal(full_scale, [[0.0, 0.1]])
