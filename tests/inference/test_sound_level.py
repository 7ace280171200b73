"""Clipping and noise of a sound, and its measurement while it is decoded."""

import numpy as np
import pytest
import soundfile
from recordings import write_video

from depmm.inference.sound_level import MeasuringDecoder, SoundLevel, SoundMeter
from depmm.media.audio import decode_audio
from depmm.media.errors import MediaError
from depmm.media.voice_activity import LOUD_PERCENTILE, frame_levels


def speech(seconds: float = 4.0, level: float = 0.3) -> np.ndarray:
    """Half a second of a tone, half a second of silence, and so on; float [T] at 16 kHz."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    return level * np.sin(2 * np.pi * 200 * time) * (time % 1 < 0.5)


def test_clipping_noise_and_silence_are_measured(tmp_path):
    def sound_level(samples: np.ndarray) -> SoundLevel:
        soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="PCM_16")
        decoder = MeasuringDecoder()
        assert sum(map(len, decoder(tmp_path / "a.wav"))) == len(samples)
        level = decoder.result()
        assert level is not None
        return level

    rng = np.random.default_rng(0)
    assert sound_level(speech()).clipped == 0
    # a sine of 1 / sin(80 degrees) times full scale is cut 20 of 180 degrees, half of the time
    loud = np.clip(speech(level=1 / np.sin(np.radians(80))), -1, 1)
    assert sound_level(loud).clipped == pytest.approx(0.5 * 20 / 180, rel=0.15)
    for snr_db in (5, 15, 30):
        noise = 0.3 / np.sqrt(2) * 10 ** (-snr_db / 20) * rng.normal(size=64_000)
        assert sound_level(speech() + noise).snr_db == pytest.approx(snr_db, abs=2.5)
    assert sound_level(np.zeros(16_000)).snr_db is None


@pytest.mark.parametrize("n_samples", [1, 399, 400, 560, 719, 721, 881, 16_000, 16_123])
def test_levels_do_not_depend_on_the_blocks(n_samples):
    samples = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    levels = frame_levels([samples])
    quiet, loud = np.percentile(levels, [10, LOUD_PERCENTILE])
    for size in (7, 160, 401, 5_000):
        meter = SoundMeter()
        for start in range(0, n_samples, size):
            meter.update(samples[start : start + size])
        level = meter.result()
        assert level is not None
        assert level.snr_db == pytest.approx(loud - quiet, abs=1e-6)


def test_no_samples_have_no_level():
    assert SoundMeter().result() is None
    assert MeasuringDecoder().result() is None


def test_a_window_has_the_samples_of_the_file_and_the_whole_file_is_measured(tmp_path):
    path = tmp_path / "a.wav"
    samples = np.concatenate([np.ones(16_000), speech(3.0)])
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    decoder = MeasuringDecoder()
    window = np.concatenate(list(decoder(path, 1.5, 2.25)))
    np.testing.assert_array_equal(window, np.concatenate(list(decode_audio(path, 1.5, 2.25))))
    level = decoder.result()
    assert level is not None
    assert level.clipped == pytest.approx(0.25, abs=0.001)  # the first second is clipped


def test_damage_behind_the_window_is_recorded_and_before_its_end_raised(tmp_path):
    whole, path = write_video(tmp_path / "whole.mkv"), tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    decoder = MeasuringDecoder()
    assert sum(map(len, decoder(path, 0.0, 0.25))) == 4_000
    assert isinstance(decoder.error, MediaError)
    assert decoder.result() is None
    decoder = MeasuringDecoder()
    with pytest.raises(MediaError) as info:
        list(decoder(path))
    assert decoder.error is info.value
