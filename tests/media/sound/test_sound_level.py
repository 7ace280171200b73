"""Clipping, noise and digital silence of a sound."""

import numpy as np
import pytest

from depmm.media.sound.sound_level import SoundLevel, SoundMeter, sound_warnings
from depmm.media.sound.voice_activity import frame_levels


def speech(seconds: float = 4.0, level: float = 0.3) -> np.ndarray:
    """Half a second of a tone, half a second of silence, and so on; float [T] at 16 kHz."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    return level * np.sin(2 * np.pi * 200 * time) * (time % 1 < 0.5)


def meter_of(*parts: np.ndarray) -> SoundMeter:
    meter = SoundMeter()
    for part in parts:
        meter.update(part.astype(np.float32), frame_levels([part]))
    return meter


def measure(*parts: np.ndarray) -> SoundLevel:
    level = meter_of(*parts).result()
    assert level is not None
    return level


def warning_names(*parts: np.ndarray) -> list[str]:
    warnings = list(sound_warnings(meter_of(*parts), "its 3 steps"))
    assert all("its 3 steps" in warning.problem and warning.remedy for warning in warnings)
    return [warning.name for warning in warnings]


def test_clipping_is_measured() -> None:
    assert measure(speech()).clipped == 0
    assert warning_names(speech()) == []
    # a sine of 1 / sin(80 degrees) times full scale is cut 20 of 180 degrees, half of the time
    loud = np.clip(speech(level=1 / np.sin(np.radians(80))), -1, 32_767 / 32_768)
    level = measure(loud)
    assert level.clipped == pytest.approx(0.5 * 20 / 180, rel=0.15)
    (warning,) = sound_warnings(meter_of(loud), "its step")
    assert (warning.name, warning.value) == ("clipping", level.clipped)


@pytest.mark.parametrize("value", [1.0, -1.0])
@pytest.mark.parametrize(("n_clipped", "names"), [(64, []), (65, ["clipping"])])
def test_clipping_of_more_than_a_thousandth_is_reported(value, n_clipped, names) -> None:
    sound = speech()
    sound[:n_clipped] = value
    assert warning_names(sound) == names


def test_noise_is_measured() -> None:
    rng = np.random.default_rng(0)
    for snr_db in (5, 15, 30):
        noise = 0.3 / np.sqrt(2) * 10 ** (-snr_db / 20) * rng.normal(size=64_000)
        assert measure(speech() + noise).snr_db == pytest.approx(snr_db, abs=2.5)


@pytest.mark.parametrize("level", [0.0, 5e-5])
@pytest.mark.parametrize("seconds", [0.01, 0.3, 30.0])
def test_digital_silence_is_measured(level: float, seconds: float) -> None:
    quiet = np.random.default_rng(0).normal(0, level, max(160, round(seconds * 16_000)))
    result = measure(quiet)
    assert result.snr_db is None
    assert result.silent_s == pytest.approx(result.seconds) == pytest.approx(seconds)
    assert warning_names(quiet) == ["digital_silence"]


@pytest.mark.parametrize(
    ("sound_s", "silent_s", "names"),
    [
        (10.0, 1.9, []),  # a pause
        (10.0, 3.0, ["digital_silence"]),
        (40.0, 3.0, []),  # less than a tenth
        (700.0, 61.0, ["digital_silence"]),  # more than a minute
        (700.0, 59.0, []),
    ],
)
def test_stretches_of_digital_silence_are_added(sound_s, silent_s, names) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, round(sound_s * 16_000))
    silence = np.zeros(round(silent_s * 16_000))
    sound = np.concatenate([noise, silence, noise[:8000]])
    level = measure(sound)
    assert level.silent_s == pytest.approx(silent_s if silent_s >= 2 else 0, abs=0.05)
    assert warning_names(sound) == names


def test_steps_that_are_completely_silent_are_added() -> None:
    words = [speech(0.5), np.zeros(8000), speech(0.5), np.zeros(8000)]
    level = measure(*words)
    assert level.silent_s == pytest.approx(1.0)
    assert warning_names(*words) == ["digital_silence"]


def test_the_parts_of_several_files_are_added() -> None:
    parts = [speech(2.0), np.zeros(64_000), speech(3.0, 1.2).clip(-1, 1)]
    meter = SoundMeter()
    for part in parts:
        other = SoundMeter()
        other.update(part.astype(np.float32), frame_levels([part]))
        meter.add(other)
    assert meter.result() == measure(*parts)
    assert SoundMeter().result() is None
    assert warning_names() == []
