"""Voice measures: known tones, known perturbation, and invariances."""

import numpy as np
import pytest
from voices import pulses

from depmm.measures.voice import VOICE_MEASURES, measure_voice, speech_frames
from depmm.media.voice.frame_spectrum import SHAPES

SR = 16_000
NAMES = [measure.name for measure in VOICE_MEASURES]


def measured(waveform, speech=None):
    speech = [[0, len(waveform) / SR]] if speech is None else speech
    return dict(zip(NAMES, measure_voice(waveform, np.array(speech)), strict=True))


@pytest.mark.parametrize("hz", [80, 123.4, 220, 410])
def test_pitch_of_a_steady_voice(hz):
    values = measured(pulses(np.full(int(hz), 1 / hz)))
    assert values["pitch_mean"] == pytest.approx(12 * np.log2(hz / 27.5), abs=0.02)
    assert values["pitch_std"] < 0.05
    assert values["voiced_share"] > 0.97
    assert values["harmonicity"] > 20
    assert values["jitter"] < 0.1
    assert values["shimmer"] < 0.25


def test_pitch_range_of_two_tones():
    wave = np.concatenate([pulses(np.full(100, 0.01)), pulses(np.full(200, 0.005))])
    values = measured(wave)
    assert values["pitch_range"] == pytest.approx(12, abs=0.05)
    assert values["pitch_std"] == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("percent", [0.5, 2.0])
def test_jitter_of_known_periods(percent):
    rng = np.random.default_rng(0)
    periods = 0.008 * (1 + percent / 100 * rng.normal(size=200))
    planted = 100 * np.abs(np.diff(periods)).mean() / periods.mean()
    assert measured(pulses(periods))["jitter"] == pytest.approx(planted, rel=0.1)


def test_shimmer_of_known_amplitudes():
    rng = np.random.default_rng(0)
    amplitudes = 10 ** (rng.normal(0, 0.5, 200) / 20)
    planted = np.abs(20 * np.diff(np.log10(amplitudes))).mean()
    values = measured(pulses(np.full(200, 0.008), amplitudes, peak=0.5))
    assert values["shimmer"] == pytest.approx(planted, rel=0.1)


def test_gain_changes_the_mean_level_only():
    rng = np.random.default_rng(0)
    voice = pulses(rng.normal(0.007, 5e-5, 150))
    one, half = measured(voice), measured(voice / 2)
    assert half["loudness_mean"] - one["loudness_mean"] == pytest.approx(-6.02, abs=0.01)
    for name in set(NAMES) - {"loudness_mean"}:
        assert half[name] == pytest.approx(one[name], rel=1e-4, abs=1e-4, nan_ok=True), name


def test_silence_around_the_speech_changes_nothing():
    rng = np.random.default_rng(1)
    voice = pulses(rng.normal(0.006, 3e-5, 300))
    seconds = len(voice) // 160 / 100
    voice = voice[: len(voice) // 160 * 160]
    speech = np.array([[0, 0.6], [1.2, seconds]])
    padded = np.concatenate([np.zeros(8000, np.float32), voice, np.zeros(4800, np.float32)])
    one, other = measured(voice, speech), measured(padded, speech + 0.5)
    for name in NAMES:
        assert other[name] == pytest.approx(one[name], rel=1e-4, abs=1e-4, nan_ok=True), name


def test_syllables_and_pauses():
    # five syllables of 150 ms every 250 ms, a pause of 0.75 s, and five more
    syllable = pulses(np.full(18, 1 / 120)) * np.hanning(2400).astype(np.float32)
    part = np.concatenate([np.concatenate([syllable, np.zeros(1600, np.float32)])] * 5)
    wave = np.concatenate([part, np.zeros(12_000, np.float32), part])
    values = measured(wave, [[0, 1.25], [2.0, 3.25]])
    assert values["speech_rate"] == pytest.approx(10 / 3.25)
    assert values["articulation_rate"] == pytest.approx(10 / 2.5)
    assert values["pause_rate"] == pytest.approx(1 / 3.25)
    assert values["pause_mean"] == pytest.approx(0.75)
    assert values["pause_share"] == pytest.approx(0.75 / 3.25)


def test_level_of_a_square_wave():
    square = np.where(np.arange(SR) % 100 < 50, 0.5, -0.5).astype(np.float32)
    values = measured(square, [[0.1, 0.9]])
    assert values["loudness_mean"] == pytest.approx(20 * np.log10(0.5), abs=1e-3)
    assert values["loudness_range"] == pytest.approx(0, abs=1e-3)


def test_mfcc_equal_librosa():
    import librosa

    rng = np.random.default_rng(2)
    wave = pulses(np.full(100, 0.01)) + rng.normal(0, 0.01, SR).astype(np.float32)
    # librosa centres a frame of 512 samples on multiples of the hop; here 400 of them are used
    shifted = wave[80:]
    reference = librosa.feature.mfcc(
        S=librosa.power_to_db(
            librosa.feature.melspectrogram(
                y=shifted, sr=SR, n_fft=512, win_length=400, hop_length=160, n_mels=40
            ),
            top_db=None,
        ),
        n_mfcc=14,
    )[1:, 5:90]
    values = measured(wave, [[0.05, 0.9]])
    assert [values[f"mfcc_{i}_mean"] for i in range(1, 14)] == pytest.approx(
        reference.mean(axis=1), abs=1e-2
    )
    deltas = librosa.feature.delta(reference)[:, 4:-4]
    assert [values[f"mfcc_{i}_delta_std"] for i in range(1, 14)] == pytest.approx(
        deltas.std(axis=1), abs=1e-3
    )


def test_undefined_measures_are_nan():
    noise = np.random.default_rng(3).normal(0, 0.1, SR).astype(np.float32)
    values = measured(noise)
    assert values["voiced_share"] < 0.05
    silence = measured(np.zeros(SR, np.float32))
    assert np.isnan([silence[name] for name in ("pitch_mean", "jitter", "loudness_mean")]).all()
    nothing = measure_voice(np.zeros(0, np.float32), np.zeros((0, 2)))
    assert nothing.shape == (len(NAMES),)
    assert np.isnan(nothing).all()


def test_frames_of_speech():
    frames = speech_frames(np.array([[0.01, 0.03], [0.05, 0.06]]), 7)
    assert frames.tolist() == [False, True, True, False, False, True, False]


def test_names():
    assert tuple(m.name for m in VOICE_MEASURES if m.group == "spectrum") == SHAPES
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("n_samples", [0, 159, 160, 500, 1000, 1200, 2000])
def test_steps_of_a_few_frames_are_measured(n_samples):
    rng = np.random.default_rng(0)
    waveform = rng.normal(0, 0.1, n_samples).astype(np.float32)
    assert len(measure_voice(waveform, [[0.0, n_samples / 16000]])) == len(VOICE_MEASURES)
