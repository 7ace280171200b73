"""The simulated voice: spelling, and measurable effects of bluntness on the sound."""

import numpy as np
import pytest
from simulated_speech import FRAME_S, quiet_voice, rms_db

from depmm.config import SAMPLE_RATE
from depmm.corpora.word_lists import ENGLISH_WORDS, read_words
from depmm.simulation.participants import BLUNTNESS_LIMITS
from depmm.simulation.voice import (
    DURATION_PER_UNIT,
    GAIN_DB_PER_UNIT,
    PHONES,
    PITCH_RANGE_PER_UNIT,
    sample_voice,
    spell_phones,
    synthesise_speech,
)


def test_spelling_of_english_words() -> None:
    assert spell_phones("joy") == "Soi"
    assert spell_phones("passion") == "Pasion"
    assert spell_phones("justice") == "Sus#Tis"  # c before e is an s, the final e is silent
    assert spell_phones("delight") == "Teli#T"  # gh is silent
    words = [word.text for word in read_words(ENGLISH_WORDS)]
    spoken = {word: spell_phones(word) for word in words}
    assert len(set(spoken.values())) == len(words) == 72
    assert all(set(phones) <= set(PHONES) for phones in spoken.values())


def test_spelling_ignores_accents_and_knows_every_letter() -> None:
    assert spell_phones("Ärger") == spell_phones("arger")
    assert spell_phones("Süß") == spell_phones("suss")
    assert spell_phones("悲伤") == ""
    for letter in "abcdefghijklmnopqrstuvwxyz":
        assert set(spell_phones(f"a{letter}a")) <= set(PHONES)


def test_bluntness_makes_words_quieter_and_longer() -> None:
    voice = quiet_voice()
    utterances = [
        synthesise_speech(voice, ["misery"], np.array([blunt]), FRAME_S, np.random.default_rng(0))
        for blunt in (0.0, 2.0)
    ]
    durations = [float((u.end_s - u.start_s)[0]) for u in utterances]
    assert durations[1] / durations[0] == pytest.approx(DURATION_PER_UNIT**2, abs=0.005)
    levels = [
        rms_db(u.waveform[round(u.start_s[0] * SAMPLE_RATE) : round(u.end_s[0] * SAMPLE_RATE)])
        for u in utterances
    ]
    assert levels[0] == pytest.approx(voice.level_db, abs=0.1)
    assert levels[1] - levels[0] == pytest.approx(2 * GAIN_DB_PER_UNIT, abs=0.1)


def estimate_pitch(samples: np.ndarray) -> float:
    """Estimate the pitch of a short voiced segment by its autocorrelation, 70 to 350 Hz."""
    samples = samples - samples.mean()
    correlation = np.correlate(samples, samples, "full")[len(samples) - 1 :]
    shortest, longest = SAMPLE_RATE // 350, SAMPLE_RATE // 70
    return SAMPLE_RATE / (shortest + int(correlation[shortest:longest].argmax()))


def test_pitch_is_that_of_the_voice_and_bluntness_reduces_its_range() -> None:
    ranges = []
    for blunt in (0.0, 3.0):
        voice = quiet_voice(pitch_range=8.0)
        utterance = synthesise_speech(
            voice, ["loneliness"], np.array([blunt]), FRAME_S, np.random.default_rng(1)
        )
        duration = utterance.end_s[0] - utterance.start_s[0]
        times = utterance.start_s[0] + np.array([0.2, 0.3, 0.6, 0.65]) * duration
        pitches = [
            estimate_pitch(
                utterance.waveform[round(t * SAMPLE_RATE) :][: round(0.04 * SAMPLE_RATE)]
            )
            for t in times
        ]
        assert np.median(pitches) == pytest.approx(120, rel=0.15)
        ranges.append(12 * np.log2(np.mean(pitches[:2]) / np.mean(pitches[2:])))
    assert ranges[0] > 2
    assert ranges[1] / ranges[0] == pytest.approx(PITCH_RANGE_PER_UNIT**3, abs=0.15)


def test_vowels_have_their_formants() -> None:
    """Below 1.5 kHz, the spectral centroid of a is that of its F1 and F2; that of i is lower."""
    voice = quiet_voice(pitch_hz=100.0, pitch_range=0.0)
    centroid = {}
    for vowel in "ai":
        utterance = synthesise_speech(
            voice, [vowel], np.zeros(1), FRAME_S, np.random.default_rng(0)
        )
        middle = round((utterance.start_s[0] + utterance.end_s[0]) / 2 * SAMPLE_RATE)
        power = np.abs(np.fft.rfft(utterance.waveform[middle - 800 : middle + 800])) ** 2
        hz = np.fft.rfftfreq(1600, 1 / SAMPLE_RATE)
        low = (hz > 150) & (hz < 1500)
        centroid[vowel] = (hz * power)[low].sum() / power[low].sum()
    assert 600 < centroid["a"] < 1100
    assert 200 < centroid["i"] < 450


def test_sampled_voices_do_not_clip() -> None:
    words = ["passion", "joy", "table"]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        voice = sample_voice(rng, ("female", "male")[seed % 2])
        utterance = synthesise_speech(voice, words, np.full(3, BLUNTNESS_LIMITS[0]), FRAME_S, rng)
        assert np.abs(utterance.waveform).max() < 0.95
        assert len(utterance.waveform) % round(FRAME_S * SAMPLE_RATE) == 0
