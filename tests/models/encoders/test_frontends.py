"""Front-ends equal librosa on real and synthetic speech, for any padding and batch."""

import copy
import importlib.util
import sys

import numpy as np
import pytest
import torch
import torchaudio

from depmm.models.encoders import frontends
from depmm.models.encoders.frontends import MFCC, LogMel, Spectrogram, typical_mfcc_std
from depmm.models.errors import ModelError

RATE = 16_000
SPECTROGRAM = Spectrogram(1024, 512, "hamming")
pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa, short signals


def voice(seconds: float, pitch: float = 130.0, seed: int = 0) -> np.ndarray:
    """Synthesise gliding harmonics in bursts with noise, which have levels like speech."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.2 * np.sin(3 * t))) / RATE
    tones = sum(np.sin(k * phase) / k for k in range(1, 12))
    bursts = np.clip(np.sin(2 * np.pi * 2.1 * t), 0, 1)
    return (0.15 * tones * bursts + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def recordings(real_data) -> list[np.ndarray]:
    import soundfile

    files = sorted(real_data.rglob("emodb_4emo/*/*.wav"))[::113]
    assert files
    return [soundfile.read(file, dtype="float32")[0] for file in files]


def transform(front: torch.nn.Module, signal: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(signal)[None]
    out, frames = front(x, torch.tensor([x.shape[1]]))
    assert frames.item() == out.shape[-1]
    return out[0].numpy()


def assert_same_decibels(ours: np.ndarray, expected: np.ndarray) -> None:
    """Compare amplitudes relative to the largest one, with the precision of a float32 transform.

    A difference of 3e-7 is .03 dB at the limit of 80 dB below the peak, and negligible at the peak.
    """
    ours, expected = (10 ** (np.asarray(x, dtype=float) / 20 - 4) for x in (ours, expected))
    np.testing.assert_allclose(ours, expected, rtol=3e-5, atol=3e-7)


MFCC_SIZES = [(24, 64, 512, 160), (20, 128, 2048, 512), (13, 24, 1024, 226)]


def librosa_mfcc(signal: np.ndarray, size: tuple[int, ...], window: str) -> np.ndarray:
    import librosa

    n_mfcc, n_mels, n_fft, hop_length = size
    return librosa.feature.mfcc(
        y=signal,
        sr=RATE,
        n_mfcc=n_mfcc,
        n_mels=n_mels,
        n_fft=n_fft,
        hop_length=hop_length,
        window=window,
        pad_mode="constant",
    )


@pytest.mark.parametrize("size", MFCC_SIZES)
def test_mfcc_equals_librosa_on_real_speech(size, real_data):
    for signal in recordings(real_data):
        ours = transform(MFCC(*size, window="hann"), signal)
        expected = librosa_mfcc(signal, size, "hann")
        assert np.abs(expected).max() > 100  # the tolerance is small in comparison
        np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-3)


def test_log_mel_equals_librosa_on_a_synthetic_voice():
    import librosa

    signal = voice(0.7)
    ours = transform(LogMel(25, 512, 160, "hann"), signal)
    power = librosa.feature.melspectrogram(
        y=signal, sr=RATE, n_mels=25, n_fft=512, hop_length=160, pad_mode="constant"
    )
    expected = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("window", ["hann", "hamming"])
@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.3])
def test_mfcc_equals_librosa_on_a_synthetic_voice(seconds, window):
    signal = voice(seconds)
    ours = transform(MFCC(*MFCC_SIZES[0], window=window), signal)
    np.testing.assert_allclose(ours, librosa_mfcc(signal, MFCC_SIZES[0], window), rtol=0, atol=5e-3)


@pytest.mark.parametrize("size", MFCC_SIZES)
def test_mfcc_equals_the_transform_of_torchaudio_without_padding(size):
    n_mfcc, n_mels, n_fft, hop_length = size
    settings = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels, "norm": "slaney"}
    settings |= {"mel_scale": "slaney", "pad_mode": "constant"}
    reference = torchaudio.transforms.MFCC(RATE, n_mfcc, melkwargs=settings)
    signal = voice(1.3)
    expected = reference(torch.from_numpy(signal)[None])[0].numpy()
    np.testing.assert_allclose(transform(MFCC(*size, "hann"), signal), expected, atol=2e-3)


def librosa_spectrogram(signal: np.ndarray, n_fft: int, hop_length: int, window: str) -> np.ndarray:
    import librosa

    magnitude = np.abs(
        librosa.stft(signal, n_fft=n_fft, hop_length=hop_length, window=window, pad_mode="constant")
    )
    # librosa returns one more frame, centred on the end, if the hop divides the length
    magnitude = magnitude[:, : -(-len(signal) // hop_length)]
    return librosa.amplitude_to_db(magnitude, ref=np.max, top_db=80) + 80


@pytest.mark.parametrize(
    ("n_fft", "hop_length", "window"), [(1024, 512, "hamming"), (256, 128, "hann")]
)
def test_spectrogram_equals_librosa(n_fft, hop_length, window, real_data):
    front = Spectrogram(n_fft, hop_length, window)
    for signal in [*recordings(real_data), voice(1.3), voice(0.02), voice(4.0)]:
        ours = transform(front, signal)
        expected = librosa_spectrogram(signal, n_fft, hop_length, window)
        assert ours.shape == expected.shape
        assert expected.std() > 3
        assert_same_decibels(ours, expected)


def test_spectrogram_equals_scipy():
    from scipy.signal import ShortTimeFFT, get_window

    signal = voice(0.7)
    window = get_window("hamming", 1024)
    stft = ShortTimeFFT(window, hop=512, fs=RATE)
    frames = -(-len(signal) // 512)
    power = np.abs(stft.stft(signal, p0=0, p1=frames)) ** 2
    expected = 10 * np.log10(power / power.max()) + 80
    assert_same_decibels(transform(SPECTROGRAM, signal), expected.clip(min=0))


def test_a_tone_is_in_its_row_and_silence_is_zero():
    front = SPECTROGRAM
    t = torch.arange(RATE) / RATE
    tone = 0.1 * torch.sin(2 * torch.pi * 1000 * t)  # 1000 Hz: row 1000 / (16000 / 1024) = 64
    spectrogram, frames = front(torch.stack([tone, torch.zeros(RATE)]), torch.tensor([RATE, RATE]))
    assert spectrogram.shape == (2, 513, 32)  # ceil(16000 / 512)
    assert frames.tolist() == [32, 32]
    assert spectrogram[0].argmax(0)[1:-1].eq(64).all()
    assert spectrogram[0].max().item() == pytest.approx(80, abs=1e-4)
    assert spectrogram[1].max() < 1e-4
    # far below full scale, the absolute limit applies instead of 80 dB below the peak
    faint, _ = front((1e-6 * tone)[None], torch.tensor([RATE]))
    assert faint.max() < 40


def test_four_seconds_are_513_by_125():
    spectrogram, frames = SPECTROGRAM(torch.zeros(1, 4 * RATE), torch.tensor([4 * RATE]))
    assert spectrogram.shape == (1, 513, 125)
    assert frames.item() == 125


@pytest.mark.parametrize(
    "front", [MFCC(20, 40, 512, 160, "hann"), SPECTROGRAM, Spectrogram(256, 128, "hann")]
)
def test_padding_and_other_steps_do_not_change_values(front):
    short, loud = torch.from_numpy(voice(0.43)), 30 * torch.from_numpy(voice(1.1, 90.0))
    batch = torch.zeros(3, 20_000)
    batch[0, : len(short)], batch[1, : len(loud)] = short, loud
    batch[2, :1] = 0.3
    out, frames = front(batch, torch.tensor([len(short), len(loud), 1]))
    assert frames[2] == 1
    for row, signal in enumerate([short, loud, batch[2, :1]]):
        alone, count = front(signal[None], torch.tensor([len(signal)]))
        assert count[0] == frames[row]
        # the batch size can change the kernels, with small differences near the limit; a leak
        # between steps would change values by many decibels
        torch.testing.assert_close(out[row, :, : count[0]], alone[0], rtol=0, atol=3e-2)
        assert out[row, :, count[0] :].eq(0).all()
    assert out.isfinite().all()


@pytest.mark.parametrize("front", [MFCC(20, 40, 512, 170, "hann"), SPECTROGRAM])
def test_a_loud_end_in_a_padded_frame_does_not_change_the_limit(front):
    """The frame after the last valid one contains the end of the step, with a larger weight."""
    length = 16 * front.hop_length - 1
    signal = torch.from_numpy(voice(1.0)[:length]) * 1e-3
    signal[-8:] = 0.9
    padded = torch.nn.functional.pad(signal, (0, 5000))[None]
    out, frames = front(padded, torch.tensor([length]))
    alone, count = front(signal[None], torch.tensor([length]))
    assert frames[0] == count[0] == alone.shape[-1] == 16
    torch.testing.assert_close(out[..., :16], alone, rtol=0, atol=3e-2)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [(MFCC, (24, 64, 512, 160)), (LogMel, (64, 512, 160)), (Spectrogram, (1024, 512))],
)
def test_tables_are_exact_and_stay_in_float32(kind, sizes):
    front = kind(*sizes, "hamming")
    tables = dict(front.named_buffers())
    assert tables.keys() == front.state_dict().keys()  # from_pretrained loads all of them
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):  # as in from_pretrained with a type
            built = kind(*sizes, "hamming")
    finally:
        torch.set_default_dtype(torch.float32)
    for other in (built, copy.deepcopy(front).to(torch.bfloat16), copy.deepcopy(front).half()):
        for name, table in other.named_buffers():
            assert torch.equal(table, tables[name])
    assert all(buffer.is_meta for buffer in copy.deepcopy(front).to("meta").buffers())


def test_torchaudio_that_is_built_for_another_torch_has_a_remedy(monkeypatch):
    class Broken:
        def __getattr__(self, name):
            raise OSError("Could not load this library: _torchaudio.abi3.so")

    monkeypatch.setitem(sys.modules, "torchaudio", Broken())
    spec = importlib.util.spec_from_file_location("frontends_again", frontends.__file__)
    with pytest.raises(ModelError) as info:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert "_torchaudio.abi3.so" in info.value.value
    assert "whl/cpu" in info.value.remedy


@pytest.mark.parametrize("front", [MFCC(24, 64, 512, 160, "hann"), SPECTROGRAM])
def test_gradients_reach_the_waveform_even_in_silence(front):
    x = torch.zeros(2, 4000)
    x[0] = torch.from_numpy(voice(0.25))
    x.requires_grad_()
    front(x, torch.tensor([4000, 4000]))[0].sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad[0].abs().sum() > 0


def test_more_coefficients_than_bands_are_refused():
    with pytest.raises(ModelError) as info:
        MFCC(30, 24, 512, 160, "hann")
    assert (info.value.setting, info.value.value) == ("n_mfcc", 30)


def test_typical_standard_deviation_by_hand():
    assert typical_mfcc_std(5).flatten().tolist() == pytest.approx(
        [150, 40, 40 / 2**0.5, 40 / 3**0.5, 20]
    )
    assert typical_mfcc_std(1).shape == (1, 1)


def test_parts_of_a_long_clip_give_the_frames_of_the_whole(monkeypatch):
    waveform = torch.randn(3, 2500, generator=torch.Generator().manual_seed(0))
    lengths = np.array([2500, 1700, 0])
    front = MFCC(13, 26, 128, 80, "hann")
    whole, n_frames = front(waveform, lengths)
    for samples in (4 * 128, 40 * 128, 100 * 128):  # 4 frames, all frames of 1 and of 3 clips
        monkeypatch.setattr(frontends, "CPU_SAMPLES_AT_ONCE", samples)
        parts, n_parts = front(waveform, lengths)
        np.testing.assert_array_equal(n_parts, n_frames)
        torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-4)
