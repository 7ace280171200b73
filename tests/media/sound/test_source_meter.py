"""Statistics of sounds with known properties."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from media_files import encode_sound, tone
from scipy import signal

from depmm.media.measurement import RecordingUse, measure_recording
from depmm.media.sound import source_meter
from depmm.media.sound.source_meter import SourceMeter

RATE = 48_000


def measure(sound: np.ndarray, rate: int = RATE, n_parts: int = 7) -> dict[str, float]:
    """Measure a sound, shape (T,) or (C, T), that is given in blocks."""
    meter = SourceMeter(rate)
    mix = meter.observe(lambda block: block.mean(axis=0))
    for block in np.array_split(np.atleast_2d(sound).astype(np.float32), n_parts, axis=1):
        mix(block)
    return meter.statistics()


def noise(seconds: float, level_db: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(size=round(seconds * rate))
    return samples * 10 ** (level_db / 20)


def speech(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Noise in syllables of 0.2 s with pauses, falling by 12 dB per octave from 500 Hz on."""
    samples = noise(seconds, -20, rate, seed)
    shape = signal.butter(2, 500, fs=rate, output="sos")
    gate = (np.arange(len(samples)) / rate % 0.4) < 0.2
    return signal.sosfilt(shape, samples) * gate


def test_levels_of_noise_with_a_constant_part():
    found = measure(noise(20, -40) + 0.05)
    assert found["rms_db"] == pytest.approx(-40, abs=0.05)
    assert found["dc_offset"] == pytest.approx(0.05, abs=1e-4)
    # of frames of 1200 samples: the level varies by 10 / ln(10) * sqrt(2 / 1200) = 0.18 dB
    assert found["noise_floor_db"] == pytest.approx(-40 - 1.28 * 0.18, abs=0.05)
    assert found["snr_db"] == pytest.approx((1.28 + 1.645) * 0.18, abs=0.1)
    assert found["peak_db"] == pytest.approx(20 * np.log10(0.05 + 0.01 * 4.7), abs=1)
    assert found["clipped_share"] == 0
    assert found["bandwidth_hz"] == RATE / 2
    assert found["hum_db"] == pytest.approx(0, abs=2)
    assert found["leading_silence_s"] < 0.1


def test_speech_in_noise_has_the_level_of_the_noise_in_its_pauses():
    found = measure(speech(20) + noise(20, -60, seed=1))
    assert found["noise_floor_db"] == pytest.approx(-60, abs=0.5)
    loud = measure(speech(20) + noise(20, -50, seed=1))
    assert found["snr_db"] - loud["snr_db"] == pytest.approx(10, abs=0.5)


def test_a_gain_changes_the_levels_only():
    sound = np.stack([speech(5), speech(5) + 0.01]) + noise(5, -60, seed=1)
    sound[:, 1000:] += np.sin(2 * np.pi * 100 * np.arange(5 * RATE - 1000) / RATE) * 0.001
    before, after = measure(sound), measure(0.1 * sound)
    for name in ("rms_db", "peak_db", "noise_floor_db"):
        assert after[name] - before[name] == pytest.approx(-20, abs=0.02)
    for name in ("snr_db", "hum_db"):
        assert after[name] == pytest.approx(before[name], abs=0.02)
    for name in ("bandwidth_hz", "leading_silence_s", "clipped_share"):
        assert after[name] == before[name]
    assert after["dc_offset"] == pytest.approx(before["dc_offset"] / 10)


@pytest.mark.parametrize("rate", [RATE, 44_100, 22_254])
def test_statistics_do_not_depend_on_the_blocks(monkeypatch, rate):
    sound = np.stack([speech(3.3, rate), noise(3.3, -50, rate)])
    whole = measure(sound, rate, n_parts=1)
    monkeypatch.setattr(source_meter, "PART_VALUES", 10_000)
    parts = measure(sound, rate, n_parts=500)
    assert parts == pytest.approx(whole, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("gain", [1.0, 0.2, 4.0])
@pytest.mark.parametrize("telephone", [8_000, 16_000])
def test_bandwidth_of_upsampled_speech(telephone, gain):
    """The bandwidth of a sound that was recorded at a lower sample rate, stored with 16 bits."""
    low = speech(6, telephone) + noise(6, -70, telephone, seed=1)
    sound = soxr.resample(low, telephone, RATE) * gain
    found = measure(np.round(sound * 32_768) / 32_768)
    assert found["bandwidth_hz"] == pytest.approx(telephone / 2, rel=0.06)
    assert measure(speech(6) + noise(6, -70, seed=1))["bandwidth_hz"] == RATE / 2


def test_bandwidth_of_a_short_sound():
    low = noise(0.6, -30, 16_000)
    found = measure(soxr.resample(low, 16_000, RATE))
    assert found["bandwidth_hz"] == pytest.approx(8000, rel=0.06)
    assert "hum_db" not in found
    assert measure(np.zeros(RATE)) == {
        "rms_db": -120, "peak_db": -120, "dc_offset": 0, "clipped_share": 0, "noise_floor_db": -120,
    }  # fmt: skip
    assert measure(np.zeros(0)) == {}


@pytest.mark.parametrize("mains", [50, 60])
def test_hum_is_its_level_above_the_background(mains):
    seconds, level_db = 20, 30.0
    # three bins of 1 Hz after a Hann window contain the tone, and noise of 3 Hz; both are scaled by
    # the window, whose equivalent noise bandwidth is 1.5 Hz
    density = 10 ** (-60 / 10) / (RATE / 2)
    power = 10 ** (level_db / 10) * density * 3 / 1.5
    times = np.arange(seconds * RATE) / RATE
    tones = sum(np.sqrt(2 * power) * np.sin(2 * np.pi * mains * k * times) for k in range(1, 6))
    found = measure(noise(seconds, -60) + tones)
    assert found["hum_db"] == pytest.approx(level_db, abs=1.5)
    assert measure(noise(seconds, -60) + speech(seconds, seed=2))["hum_db"] < 2
    voice = signal.sawtooth(2 * np.pi * np.cumsum(110 + 15 * np.sin(2 * times)) / RATE)
    assert measure(noise(seconds, -60) + 0.1 * voice)["hum_db"] < 5


def test_clipping_at_full_scale_and_below():
    sine = np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)
    limit = 0.8
    share = 1 - 2 * np.arcsin(limit) / np.pi  # of the time beyond the limit
    clipped = np.clip(sine, -limit, limit) / limit
    for gain, dc_offset in ((1.0, 0.0), (0.5, 0.0), (0.5, 0.01), (0.03, 0.01)):
        found = measure(clipped * gain + dc_offset)
        assert found["clipped_share"] == pytest.approx(share, abs=0.002)
    one_sided = np.minimum(sine, limit)
    assert measure(one_sided)["clipped_share"] == pytest.approx(share / 2, abs=0.002)
    # the later, larger peak is not clipped
    assert measure(np.concatenate([0.5 * clipped, sine * 0.9]))["clipped_share"] < 0.01
    assert measure(np.stack([0 * sine, clipped]))["clipped_share"] == pytest.approx(
        share, abs=0.002
    )
    assert measure(speech(5))["clipped_share"] < 1e-4


@pytest.mark.parametrize("background_db", [-200, -60, -45])
def test_silence_before_the_sound(background_db):
    sound = np.concatenate([np.zeros(round(1.25 * RATE)), speech(8)])
    found = measure(sound + noise(9.25, background_db, seed=1))
    assert found["leading_silence_s"] == pytest.approx(1.25, abs=0.03)
    assert measure(speech(8) + noise(8, background_db, seed=1))["leading_silence_s"] < 0.03


def test_statistics_of_files(tmp_path: Path) -> None:
    sound = np.stack([tone(3, 44_100, level=0.5), tone(3, 44_100, level=-0.25)])
    path = tmp_path / "a.wav"
    soundfile.write(path, sound.T + 0.002, 44_100, subtype="PCM_24")
    found = measure_recording(path, RecordingUse(audio=True)).statistics
    assert {name: found[name] for name in ("container", "audio_codec", "bit_depth")} == {
        "container": "wav", "audio_codec": "pcm_s24le", "bit_depth": 24,
    }  # fmt: skip
    assert (found["sample_rate"], found["channels"], found["length_s"]) == (44_100, 2, 3)
    assert found["bit_rate"] == pytest.approx(2 * 24 * 44_100, rel=0.001)
    assert found["dc_offset"] == pytest.approx(0.002, abs=1e-4)
    # the second channel is inverted and not used
    assert found["rms_db"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert found["peak_db"] == pytest.approx(20 * np.log10(0.502), abs=0.01)
    second = measure_recording(path, RecordingUse(audio=True, channel=1)).statistics
    assert second["peak_db"] == pytest.approx(20 * np.log10(0.252), abs=0.01)


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_S8", 8), ("PCM_16", 16), ("PCM_24", 24)])
def test_bit_depth_of_flac(tmp_path: Path, subtype: str, bits: int) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(1, 16_000), 16_000, subtype=subtype)
    assert measure_recording(path, RecordingUse(audio=True)).statistics["bit_depth"] == bits


def test_lossy_codecs_have_no_bit_depth(tmp_path: Path) -> None:
    path = encode_sound(tmp_path / "a.mp3", "libmp3lame", noise(3, -20, 44_100), 44_100, "mp3")
    found = measure_recording(path, RecordingUse(audio=True)).statistics
    assert found["audio_codec"].startswith("mp3")
    assert "bit_depth" not in found
    mulaw = tmp_path / "b.wav"
    soundfile.write(mulaw, tone(1, 8000), 8000, subtype="ULAW")
    assert "bit_depth" not in measure_recording(mulaw, RecordingUse(audio=True)).statistics
