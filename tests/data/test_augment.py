"""Augmentation of training sessions."""

from collections import Counter

import numpy as np
import pytest
from session_data import make_dataset

from depmm.config import AugmentConfig
from depmm.data.augment import Augmentation, draw_augmentation


def test_the_only_modality_is_never_dropped():
    settings = AugmentConfig(modality_dropout=0.9, keep_steps=0.1)
    both = {"audio": np.array([True, False, True]), "face": np.array([False, True, False])}
    audio_only = {"audio": np.array([False, True, False]), "face": np.zeros(3, bool)}
    dropped = set()
    for seed in range(200):
        augmentation = draw_augmentation(settings, both, np.random.default_rng(seed))
        dropped.add(augmentation.dropped_modalities)
        dropped_now = augmentation.dropped_modalities
        remaining = [steps for name, steps in both.items() if name not in dropped_now]
        assert (np.any(remaining, axis=0) & augmentation.step_mask).any()
        single = draw_augmentation(settings, audio_only, np.random.default_rng(seed))
        assert single.dropped_modalities == frozenset()
        assert single.step_mask[1]
    assert dropped == {frozenset(), frozenset({"audio"}), frozenset({"face"})}


def test_gain_mirroring_and_noise_have_the_size_of_the_settings(corpus):
    plain = make_dataset(corpus, max_audio_s=9.0)[None, 0].signals
    gains, mirrored = set(), 0
    for epoch in range(8):
        changed = make_dataset(corpus, augment={"gain_db": 6.0, "flip": True}, max_audio_s=9.0)
        voice, face = (changed[epoch, 0].signals[name] for name in ("audio", "face"))
        gain = np.linalg.norm(voice[0]) / np.linalg.norm(plain["audio"][0])
        np.testing.assert_allclose(voice[1], plain["audio"][1] * gain, rtol=1e-3, atol=1e-7)
        assert 10 ** (-6 / 20) <= gain <= 10 ** (6 / 20)
        gains.add(round(float(gain), 4))
        if not np.array_equal(face[0], plain["face"][0]):
            np.testing.assert_array_equal(face[0], plain["face"][0][..., ::-1])
            mirrored += 1
    assert len(gains) == 8
    assert 0 < mirrored < 8
    noisy = make_dataset(corpus, augment={"relative_noise": 0.1}, max_audio_s=9.0)[0, 0]
    sound = plain["audio"][0]
    share = np.std(noisy.signals["audio"][0] - sound) / np.sqrt(np.mean(sound**2))
    assert 0 < share < 0.11


def test_pitch_shift_keeps_the_length():
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 200 * time).astype(np.float32)
    higher = Augmentation(np.ones(1, bool), semitones=12.0).apply_to_audio(tone, None)
    assert higher.dtype == np.float32
    assert len(higher) == len(tone)
    spectrum = np.abs(np.fft.rfft(higher[4000:12000] * np.hanning(8000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(400, abs=6)  # bins of 2 Hz
    short = tone[:500]
    np.testing.assert_array_equal(
        Augmentation(np.ones(1, bool), semitones=5.0).apply_to_audio(short, None), short
    )


def test_one_copy_or_the_original_is_drawn():
    settings = AugmentConfig(noise_amplitudes=[0.01, 0.03], pitch_semitones=[-0.5, 2.0])
    present = {"audio": np.ones(2, bool)}
    drawn = Counter(
        (augmentation.noise_amplitude, augmentation.semitones)
        for seed in range(1000)
        for augmentation in [draw_augmentation(settings, present, np.random.default_rng(seed))]
    )
    copies = [(0.0, 0.0), (0.01, 0.0), (0.03, 0.0), (0.0, -0.5), (0.0, 2.0)]
    assert set(drawn) == set(copies)
    # expected count 200, standard deviation 13
    assert all(abs(drawn[copy] - 200) < 65 for copy in copies)
    unchanged = draw_augmentation(settings, present, None)
    assert (unchanged.noise_amplitude, unchanged.semitones) == (0, 0)
