"""The speaker encoder and the sample of speech that it reads, with random weights."""

import librosa
import numpy as np
import pytest
import torch
from simulated_voices import noisy_tones

from depmm.media.identity.speaker_encoder import (
    HOP,
    N_FFT,
    WINDOW_FRAMES,
    WINDOW_HOP,
    WINDOW_SAMPLES,
    SpeakerEncoder,
    mel_spectrum,
)
from depmm.media.identity.voice_sample import MAX_WINDOWS, VoiceSample


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder().eval()


def reference_embeddings(encoder: SpeakerEncoder, samples: np.ndarray) -> np.ndarray:
    """Embed slices of the spectrum of the whole recording, step by step through the LSTM."""
    spectrum = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40
    ).T
    starts = range(0, len(samples) // HOP - WINDOW_FRAMES + 1, WINDOW_HOP)
    slices = np.stack([spectrum[start : start + WINDOW_FRAMES] for start in starts])
    with torch.inference_mode():
        output, _ = encoder.lstm(torch.from_numpy(slices.astype(np.float32)))
        raw = torch.relu(encoder.linear(output[:, -1])).numpy()
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def test_windows_equal_slices_of_the_spectrum_of_the_recording(encoder: SpeakerEncoder) -> None:
    samples = noisy_tones(5.0)
    sample = VoiceSample()
    for block in np.array_split(samples, 7):
        sample.add_speech(block)
    result = sample.embed(encoder, adjust_level=False)
    expected = reference_embeddings(encoder, samples)
    assert result.shape[1] == 256
    np.testing.assert_allclose(result[: len(expected)], expected, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, atol=1e-5)


def test_the_spectrum_equals_that_of_librosa() -> None:
    samples = noisy_tones(2.0)[: (WINDOW_FRAMES - 1) * HOP + N_FFT // 2]
    expected = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40
    )
    padded = np.pad(samples, (N_FFT // 2, 0))
    assert len(padded) == WINDOW_SAMPLES
    result = mel_spectrum(padded)
    np.testing.assert_allclose(
        result[:-1].T, expected[:, : WINDOW_FRAMES - 1], rtol=1e-3, atol=1e-4
    )


def test_embeddings_do_not_depend_on_the_gain(encoder: SpeakerEncoder) -> None:
    embeddings = []
    for gain in (1.0, 0.01):
        sample = VoiceSample()
        sample.add(gain * noisy_tones(3.0))
        embeddings.append(sample.embed(encoder))
    np.testing.assert_allclose(embeddings[0], embeddings[1], atol=1e-4)


def test_silence_is_removed(encoder: SpeakerEncoder) -> None:
    sound, silence = noisy_tones(3.0), np.zeros(5 * 16000, np.float32)
    sample = VoiceSample()
    sample.add(np.concatenate([silence, sound, silence, sound]))
    assert len(sample.embed(encoder))
    assert sample.speech_s == pytest.approx(6.0, abs=0.1)
    empty = VoiceSample()
    empty.add(silence)
    assert empty.embed(encoder).shape == (0, 256)
    assert VoiceSample().embed(encoder).shape == (0, 256)


def test_a_long_session_is_thinned_out_evenly(encoder: SpeakerEncoder) -> None:
    sample = VoiceSample()
    for seed in range(10):
        sample.add_speech(noisy_tones(25.0, seed))
    n_windows = len(sample.embed(encoder))
    assert MAX_WINDOWS / 2 <= n_windows <= MAX_WINDOWS
    assert sample.speech_s == pytest.approx(250.0)


def test_a_short_recording_has_one_window(encoder: SpeakerEncoder) -> None:
    sample = VoiceSample()
    sample.add_speech(noisy_tones(0.5))
    assert len(sample.embed(encoder)) == 1
