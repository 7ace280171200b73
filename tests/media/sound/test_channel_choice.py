"""The channels of whole files: the same decision for every window, both readers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from media_files import tone, write_tracks

from depmm.config import SAMPLE_RATE
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.warnings import MediaWarning

RATE = 32_000


def decode(path: Path, *window: float, **choice: Any) -> tuple[np.ndarray, list[MediaWarning]]:
    """Decode a window and collect the warnings."""
    warnings: list[MediaWarning] = []
    blocks = list(decode_audio(path, *window, warn=warnings.append, **choice))
    return np.concatenate(blocks), warnings


def write(path: Path, *channels: np.ndarray) -> Path:
    """Write channels to a WAV, FLAC (libsndfile), MKV or M4A (FFmpeg) file."""
    if path.suffix in (".wav", ".flac"):
        soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="PCM_16")
        return path
    codec = "aac" if path.suffix == ".m4a" else "pcm_s16le"
    return write_tracks(path, [np.stack(channels)], RATE, codec)


def noise(seed: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))


@pytest.mark.parametrize("suffix", ["wav", "flac", "mkv", "m4a"])
@pytest.mark.parametrize("kind", ["inverted", "dead"])
def test_windows_are_parts_of_the_louder_channel(tmp_path: Path, suffix: str, kind: str) -> None:
    left = tone(16, RATE, 220) + 0.1 * noise(0, 16)
    right = -0.8 * left if kind == "inverted" else np.zeros_like(left)
    sound, warnings = decode(write(tmp_path / f"a.{suffix}", right, left))
    assert [w.name for w in warnings] == [
        {"inverted": "inverted_channels"}.get(kind, "dead_channel")
    ]
    single, no_warnings = decode(tmp_path / f"a.{suffix}", channel=1)
    np.testing.assert_array_equal(sound, single)
    assert no_warnings == []
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(np.sqrt(np.mean(left**2)), rel=0.02)
    for start, end in ((0.0, 1.0), (0.5, 2.0), (13.3, 15.0)):
        window, again = decode(tmp_path / f"a.{suffix}", start, end)
        part = sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        np.testing.assert_allclose(window, part, atol=1e-5)
        assert again == warnings


@pytest.mark.parametrize("suffix", ["wav", "mkv"])
def test_a_channel_is_chosen(tmp_path: Path, suffix: str) -> None:
    left, right = tone(2, RATE, 440), tone(2, RATE, 1000, 0.25)
    path = write(tmp_path / f"a.{suffix}", left, right)
    for channel, hertz, level in ((0, 440, 0.5), (1, 1000, 0.25)):
        sound, warnings = decode(path, channel=channel)
        assert np.abs(np.fft.rfft(sound[:SAMPLE_RATE])).argmax() == hertz
        assert np.abs(sound).max() == pytest.approx(level, rel=0.02)
        assert warnings == []
    both, warnings = decode(path)
    assert warnings == []
    np.testing.assert_allclose(
        both, (decode(path, channel=0)[0] + decode(path, channel=1)[0]) / 2, atol=1e-6
    )
    with pytest.raises(MediaError) as info:
        decode(path, channel=2)
    assert (info.value.file, info.value.setting, info.value.value) == (path, "channel", 2)


@pytest.mark.parametrize("suffix", ["wav", "mkv"])
def test_a_channel_that_is_silent_for_long_is_not_dead(tmp_path: Path, suffix: str) -> None:
    """The first 10 s and the samples of the rest look dead; the whole sound decides."""
    left, right = noise(0, 40), noise(1, 40)
    right[: 30 * RATE] = 0
    path = write(tmp_path / f"a.{suffix}", left, right)
    sound, warnings = decode(path)
    assert warnings == []
    expected = (decode(path, channel=0)[0] + decode(path, channel=1)[0]) / 2
    np.testing.assert_allclose(sound, expected, atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "mkv"])
@pytest.mark.parametrize("prefix_level", [0.0, 1e-3])
def test_an_inverted_channel_is_found_after_a_start_without_speech(
    tmp_path: Path, suffix: str, prefix_level: float
) -> None:
    left, right = noise(0, 120), prefix_level * noise(1, 120)
    left[: 15 * RATE] *= prefix_level
    right[15 * RATE :] = -left[15 * RATE :]
    _, warnings = decode(write(tmp_path / f"a.{suffix}", left, right))
    assert [warning.name for warning in warnings] == ["inverted_channels"]
    assert warnings[0].value == pytest.approx(-1, abs=0.01)


def test_surround_sound_of_one_channel_keeps_its_level(tmp_path: Path) -> None:
    center, silent = tone(3, RATE, 300), np.zeros(3 * RATE)
    path = write(tmp_path / "a.mkv", silent, silent, center, silent, silent, silent)
    sound, warnings = decode(path)
    assert np.abs(sound).max() == pytest.approx(0.5, rel=0.02)
    assert [warning.name for warning in warnings] == ["dead_channel"]


def test_gaps_are_reported_once_with_the_numbers_of_the_whole_sound(tmp_path: Path) -> None:
    """Read the file again after the decision: the first reader has seen a part of the gaps only."""
    sound = noise(0, 16)
    path = write_tracks(tmp_path / "a.mkv", [np.stack([sound, -sound])], RATE, gaps=(3.0, 13.0))
    _, warnings = decode(path)
    by_name = {warning.name: warning.value for warning in warnings}
    assert len(by_name) == len(warnings) == 2
    assert by_name["gap"] == pytest.approx(0.6, abs=0.05)
    assert by_name["inverted_channels"] == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("counts", [(1, 2), (2, 1)])
def test_the_number_of_channels_may_change(tmp_path: Path, counts: tuple[int, int]) -> None:
    parts = []
    for index, count in enumerate(counts):
        sound = np.stack([tone(3, RATE, 300)] * count)
        sound[1:] *= 0.5
        part = write_tracks(tmp_path / f"{index}.aac", [sound], RATE, "aac")
        parts.append(part.read_bytes())
    path = tmp_path / "a.aac"
    path.write_bytes(b"".join(parts))
    sound, warnings = decode(path)
    assert "dead_channel" not in [warning.name for warning in warnings]
    for start_s, count in ((1.0, counts[0]), (4.5, counts[1])):
        part = sound[round(start_s * SAMPLE_RATE) :][:SAMPLE_RATE]
        level = np.sqrt(2 * np.mean(part**2))
        assert level == pytest.approx(0.25 + 0.25 / count, rel=0.04)


def test_the_name_of_a_long_file_does_not_choose_its_reader(tmp_path: Path) -> None:
    left, right = tone(12.0, RATE), 0.5 * tone(12.0, RATE)
    wav = write(tmp_path / "a.wav", left, right)
    raw = wav.with_suffix(".raw")  # libsndfile would ask for the format of a file of this name
    raw.write_bytes(wav.read_bytes())
    np.testing.assert_array_equal(decode(raw)[0], decode(wav)[0])
