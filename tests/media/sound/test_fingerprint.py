"""Fingerprints of sound."""

import numpy as np
import pytest

from depmm.config import SAMPLE_RATE
from depmm.media.sound.fingerprint import MAX_PAIRS, PART_S, Fingerprinter, SoundFingerprint


def chirps(seconds: float, seed: int) -> np.ndarray:
    """Short tones of changing frequency, like syllables, at random times and frequencies."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.hanning(len(time_s))
    sound = np.zeros(round(seconds * SAMPLE_RATE))
    for start in rng.integers(0, len(sound) - len(time_s), round(8 * seconds)):
        low, slope = rng.uniform(300, 2500), rng.uniform(-2000, 2000)
        sound[start : start + len(time_s)] += envelope * np.sin(
            2 * np.pi * (low * time_s + slope * time_s**2 / 2)
        )
    return (0.1 * sound).astype(np.float32)


def fingerprint(sound: np.ndarray, block: int = 4000) -> SoundFingerprint:
    fingerprinter = Fingerprinter()
    for start in range(0, len(sound), block):
        fingerprinter.update(sound[start : start + block])
    return fingerprinter.finish()


def test_gain_does_not_change_a_fingerprint():
    sound = chirps(5, seed=0)
    quiet, loud = fingerprint(sound), fingerprint(np.float32(0.25) * sound)
    assert len(quiet.pairs) > 100
    assert np.array_equal(quiet.pairs, loud.pairs)
    assert np.array_equal(quiet.frames, loud.frames)


def test_the_blocks_of_a_sound_do_not_matter():
    sound = chirps(2.5 * PART_S, seed=1)
    one, other = fingerprint(sound, block=len(sound)), fingerprint(sound, block=1234)
    same = np.intersect1d(
        one.pairs.astype(np.int64) << 32 | one.frames,
        other.pairs.astype(np.int64) << 32 | other.frames,
    )
    # the loudest peak, which limits the range, is that of a part
    assert len(same) > 0.95 * max(len(one.pairs), len(other.pairs))


def test_the_size_is_limited_and_pairs_lie_in_the_whole_sound():
    sound = chirps(5 * PART_S, seed=2)
    found = fingerprint(sound)
    assert MAX_PAIRS / 3 < len(found.pairs) <= MAX_PAIRS
    assert found.stride > 1
    hop_s = 256 / SAMPLE_RATE
    counts = np.histogram(found.frames * hop_s, bins=5, range=(0, 5 * PART_S))[0]
    assert counts.min() > 0.6 * counts.mean()


def test_thinning_keeps_the_pairs_of_the_larger_stride():
    found = fingerprint(chirps(6, seed=3))
    twice = found.thinned(4).thinned(8)
    assert np.array_equal(twice.pairs, found.thinned(8).pairs)
    assert len(twice.pairs) == pytest.approx(len(found.pairs) / 8, rel=0.5)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(SAMPLE_RATE, np.float32),
        np.zeros(10, np.float32),
        np.sin(np.arange(5 * SAMPLE_RATE) * 0.1).astype(np.float32),  # one frequency
    ],
)
def test_silence_and_a_tone_have_no_fingerprint(sound):
    assert len(fingerprint(sound).pairs) == 0
