"""Decoding of sound to 16 kHz mono on the clock of the recording."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
import torch
import torchaudio
from media_files import decode_all, encode_sound, tone, truncate, write_recording

from depmm.config import SAMPLE_RATE
from depmm.media.containers.container import probe
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.warnings import MediaWarning


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])  # AIFF is read by FFmpeg
def test_resampling_keeps_frequency_level_and_length(tmp_path: Path, name: str) -> None:
    stereo = np.stack([tone(2.5, 44_100), 0.1 * tone(2.5, 44_100)], axis=1)
    soundfile.write(tmp_path / name, stereo, 44_100, subtype="PCM_16")
    sound = decode_all(tmp_path / name)
    assert len(sound) == 40_000
    spectrum = np.abs(np.fft.rfft(sound[:SAMPLE_RATE]))
    assert spectrum.argmax() == 1000  # bins are 1 Hz
    assert np.abs(sound).max() == pytest.approx(0.275, abs=0.005)  # mean of 0.5 and 0.05


@pytest.mark.parametrize(("suffix", "rate"), [("wav", 44_100), ("flac", 48_000), ("wav", 16_000)])
def test_blocks_equal_resampling_the_whole_at_once(tmp_path: Path, suffix: str, rate: int) -> None:
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, round(3.3 * rate)).astype(np.float32)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise, rate, subtype="PCM_24")
    expected = soxr.resample(soundfile.read(path, dtype="float32")[0], rate, SAMPLE_RATE)
    sound = decode_all(path)
    assert abs(len(sound) - len(expected)) <= 1
    length = min(len(sound), len(expected))
    assert np.sqrt(np.mean((sound[:length] - expected[:length]) ** 2)) < 5e-6


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_resampling_equals_torchaudio(tmp_path: Path, rate: int) -> None:
    """Compare below 3 kHz, which the filters of both pass, and away from the ends."""
    low_pass = scipy.signal.butter(20, 3000, fs=rate, output="sos")
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * rate)
    sound = scipy.signal.sosfiltfilt(low_pass, noise).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
    expected = torchaudio.functional.resample(
        *(torch.from_numpy(sound), rate, SAMPLE_RATE),
        lowpass_filter_width=64,
        resampling_method="sinc_interp_kaiser",
    )
    inner = slice(1000, 31_000)
    np.testing.assert_allclose(
        decode_all(tmp_path / "a.wav")[inner], expected.numpy()[inner], rtol=0, atol=5e-6
    )


@pytest.mark.parametrize("rate", [11_127, 22_254])  # almost no common divisor with 16 000
def test_unusual_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(3.0, rate), rate)
    sound = decode_all(tmp_path / "a.wav")
    assert len(sound) == 3 * SAMPLE_RATE
    np.testing.assert_allclose(sound[8000:-8000], tone(3.0, SAMPLE_RATE)[8000:-8000], atol=1e-4)


@pytest.mark.parametrize("window", [(0.0, 0.5), (0.7331, 2.1), (13.0, 14.9), (14.5, 99.0)])
@pytest.mark.parametrize("suffix", ["wav", "mp4", "mp3"])
def test_a_window_equals_a_part_of_the_whole(
    long_sounds: dict[str, Path], suffix: str, window: tuple[float, float]
) -> None:
    sound = decode_all(long_sounds[suffix])
    start, end = window
    expected = sound[round(start * SAMPLE_RATE) :][: round((end - start) * SAMPLE_RATE)]
    decoded = decode_all(long_sounds[suffix], start, end)
    assert len(decoded) == len(expected) > 0
    np.testing.assert_allclose(decoded, expected, atol=1e-5)
    if end < 15:
        assert len(decoded) == round((end - start) * SAMPLE_RATE)


@pytest.fixture(scope="module")
def long_sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write 15 s of a noisy tone as WAV and as MP4, long enough for seeking."""
    folder = tmp_path_factory.mktemp("long")
    noise = np.random.default_rng(1).normal(0, 0.02, 15 * 44_100)
    sound = tone(15, 44_100, 220) + noise
    soundfile.write(folder / "a.wav", sound, 44_100)
    times = np.arange(0, 15, 0.04)
    return {
        "wav": folder / "a.wav",
        "mp3": encode_sound(folder / "a.mp3", "libmp3lame", sound, 44_100, "mp3"),
        "mp4": write_recording(folder / "a.mp4", times, sound, 44_100),
    }


@pytest.mark.parametrize(
    ("suffix", "codecs"), [("mkv", ("libx264", "pcm_s16le")), ("mp4", ("libx264", "aac"))]
)
def test_a_late_sound_track_is_preceded_by_zeros(
    tmp_path: Path, suffix: str, codecs: tuple[str, str]
) -> None:
    path = tmp_path / f"a.{suffix}"
    sound = np.where(np.arange(96_000) < 48_000, 0.0, tone(2, 48_000))  # 1 s silence, 1 s tone
    write_recording(path, np.arange(0, 3, 0.04), sound, sound_start=0.5, codecs=codecs)
    info = probe(path)
    assert info.video_start_s == 0.0
    assert info.audio_start_s == pytest.approx(0.5, abs=0.025)  # AAC begins with a frame of priming
    decoded = decode_all(path)
    assert not decoded[: int(0.47 * SAMPLE_RATE)].any()
    assert np.flatnonzero(np.abs(decoded) > 0.1)[0] / SAMPLE_RATE == pytest.approx(1.5, abs=0.002)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(2.5, abs=0.03)


@pytest.mark.parametrize(
    ("start_s", "seconds", "missing_s"),
    [(0.0, 3.6, None), (0.0, 2.5, 1.5), (0.7, 3.3, None), (1.5, 2.5, 1.5)],
)
def test_sound_that_begins_late_or_ends_early_is_reported(
    tmp_path: Path, start_s: float, seconds: float, missing_s: float | None
) -> None:
    path = tmp_path / "a.mkv"
    codecs = ("libx264", "pcm_s16le")
    sound = tone(seconds, 48_000)
    write_recording(path, np.arange(0, 4, 0.04), sound, sound_start=start_s, codecs=codecs)
    warnings: list[MediaWarning] = []
    list(decode_audio(path, warn=warnings.append))
    assert [warning.name for warning in warnings] == ["missing_sound"] * (missing_s is not None)
    for warning in warnings:
        assert warning.value == pytest.approx(missing_s, abs=0.03)
    warnings.clear()
    list(decode_audio(path, 1.6, 2.0, warn=warnings.append))  # its end is not known
    assert len(warnings) <= (start_s > 1)


def test_a_gap_in_the_sound_is_filled_with_zeros(tmp_path: Path) -> None:
    sound = tone(2 * 150 * 1024 / 48_000, 48_000)  # whole blocks; the gap is 10 % at most
    codecs = ("ffv1", "pcm_s16le")
    path = write_recording(tmp_path / "a.mkv", sound=sound, sound_gap=0.7, codecs=codecs)
    decoded = decode_all(path)
    middle = len(sound) / 2 / 48_000
    assert len(decoded) == pytest.approx((2 * middle + 0.7) * SAMPLE_RATE, abs=16)  # ms in MKV
    silent = decoded[round((middle + 0.02) * SAMPLE_RATE) : round((middle + 0.68) * SAMPLE_RATE)]
    assert np.abs(silent).max() < 1e-3
    resumed = decoded[round((middle + 0.71) * SAMPLE_RATE) :][: SAMPLE_RATE // 2]
    assert np.sqrt(np.mean(resumed**2)) == pytest.approx(0.5 / math.sqrt(2), rel=0.02)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for seconds in (10, 60):
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, tone(seconds, 44_100), 44_100)
        tracemalloc.start()
        assert sum(map(len, decode_audio(path))) == seconds * SAMPLE_RATE
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 5e6  # 60 s are 21 MB as float64


def test_samples_that_are_missing_not_finite_or_not_scaled_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for value in (np.nan, np.inf, 2000.0):
        soundfile.write(path, np.array([0.0, 0.1, value] * 100), 16_000, subtype="FLOAT")
        with pytest.raises(MediaError) as info:
            decode_all(path)
        assert info.value.file == path
        np.testing.assert_equal(info.value.value, value)
    soundfile.write(path, np.zeros(0), 16_000)
    with pytest.raises(MediaError) as info:
        decode_all(path)
    assert info.value.file == path


@pytest.mark.parametrize("window", [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0)])
def test_an_empty_or_negative_window_is_refused(tmp_path: Path, window) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1, SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(ValueError, match="window"):
        decode_all(tmp_path / "a.wav", *window)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_truncated_sound_files_are_errors(real_data: Path, tmp_path: Path, share: float) -> None:
    wav = min((real_data / "emodb_4emo").glob("*/*.wav"))
    flac = min((real_data / "ravdess_speech").glob("*/*.flac"))
    for source in (wav, flac):
        assert len(decode_all(source)) == soundfile.info(source).frames
        truncated = truncate(source, tmp_path, share)
        with pytest.raises(MediaError) as info:
            decode_all(truncated)
        assert info.value.file == truncated


def test_a_wav_written_to_a_pipe_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"  # size of the data chunk, unknown when writing to a pipe
    path.write_bytes(data)
    assert len(decode_all(path)) == SAMPLE_RATE
