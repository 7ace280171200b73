"""The reader of a sound file: chosen by content, and the content counts where headers are wrong."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_files import (
    decode_all,
    decoded_with_warnings,
    encode_sound,
    tone,
    wav_bytes,
    write_recording,
)

from depmm.config import SAMPLE_RATE
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.video.video import decode_frames

SECONDS = 3.0
SOUND = tone(SECONDS, SAMPLE_RATE, 440)


def write_flac(path: Path) -> Path:
    soundfile.write(path, SOUND, SAMPLE_RATE, format="FLAC")
    return path


def write_wav(path: Path) -> Path:
    path.write_bytes(wav_bytes(SOUND))
    return path


def write_mp3(path: Path) -> Path:
    return encode_sound(path, "libmp3lame", SOUND, SAMPLE_RATE, "mp3")


def write_ogg(path: Path) -> Path:
    return encode_sound(path, "libopus", tone(SECONDS, 48_000, 440), 48_000, "ogg")


def write_mp3_without_header(path: Path) -> Path:
    data = write_mp3(path).read_bytes()
    first = data.index(b"\xff\xf3", data.index(b"Info"))  # behind the frame with the header
    path.write_bytes(data[first:])
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.mp4", "a.flac", "a", "a.txt"])
@pytest.mark.parametrize(
    "write", [write_flac, write_wav, write_mp3, write_ogg, write_mp3_without_header]
)
def test_the_content_decides_and_not_the_name(
    tmp_path: Path, write: Callable[[Path], Path], name: str
) -> None:
    path = write(tmp_path / name)
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.1)
    assert duration_s(path) == pytest.approx(SECONDS, abs=0.1)
    spectrum = np.abs(np.fft.rfft(decoded[SAMPLE_RATE : 2 * SAMPLE_RATE]))
    assert spectrum.argmax() == 440
    assert not warnings


def test_a_video_that_is_named_wav_is_read(tmp_path: Path) -> None:
    video = write_recording(tmp_path / "a.mp4", np.arange(0, 2, 0.04), tone(2, 48_000))
    path = tmp_path / "b.wav"
    shutil.move(video, path)
    assert len(list(decode_frames(path, 25))) == 50
    assert len(decode_all(path)) / SAMPLE_RATE == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    "codec",
    ["pcm_mulaw", "pcm_alaw", "pcm_u8", "pcm_s24le", "pcm_f32le", "pcm_f64le", "adpcm_ms",
     "adpcm_ima_wav", "libmp3lame", "mp2"],
)  # fmt: skip
def test_codecs_inside_wav(tmp_path: Path, codec: str) -> None:
    path = encode_sound(tmp_path / "a.wav", codec, SOUND, SAMPLE_RATE, "wav")
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.14)  # MP3: 2 frames of delay
    assert duration_s(path) == pytest.approx(len(decoded) / SAMPLE_RATE, abs=0.03)
    middle = decoded[SAMPLE_RATE : 2 * SAMPLE_RATE]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)
    assert not warnings


def test_gsm_inside_wav(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SECONDS, 8000), 8000, subtype="GSM610")
    assert len(decode_all(tmp_path / "a.wav")) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.08)
    assert len(decode_all(tmp_path / "a.wav", 1.0, 2.0)) == SAMPLE_RATE


def test_junk_and_large_tags_before_mp3(tmp_path: Path) -> None:
    data = write_mp3(tmp_path / "a.mp3").read_bytes()
    size = 2_000_000  # as a cover image, and more than FFmpeg reads to recognise a format
    tag = b"ID3\x04\0\0" + bytes(size >> 7 * (3 - i) & 127 for i in range(4)) + bytes(size)
    junk = np.random.default_rng(0).integers(0, 255, 3000, np.uint8).tobytes()
    for name, content in (("b.wav", tag + data), ("c.mp3", junk + data), ("d.wav", junk + data)):
        (tmp_path / name).write_bytes(content)
        decoded = decode_all(tmp_path / name)
        assert len(decoded) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.15)
        assert duration_s(tmp_path / name) == pytest.approx(SECONDS, abs=0.15)


def test_sound_behind_the_stated_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(SOUND, stated_bytes=32_000))
    decoded, warnings = decoded_with_warnings(path)
    assert len(decoded) == len(SOUND)
    assert duration_s(path) == pytest.approx(SECONDS, abs=0.01)
    assert set(warnings) == {"length_differs"}
    assert warnings["length_differs"].value == pytest.approx(SECONDS - 1)
    chunk = b"LIST" + struct.pack("<I", 50_000) + bytes(50_000)
    for further in (chunk, chunk + chunk, b"id3 " + struct.pack("<I", 33) + bytes(33)):
        path.write_bytes(wav_bytes(SOUND) + further)
        decoded, warnings = decoded_with_warnings(path)
        assert len(decoded) == len(SOUND)
        assert not warnings


def test_a_size_of_zero_is_an_error_that_names_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(SOUND, stated_bytes=0))
    for read in (decode_all, duration_s):
        with pytest.raises(MediaError) as info:
            read(path)
        assert info.value.file == path
        assert info.value.value == 2 * len(SOUND)


@pytest.mark.parametrize("rate", [0, 1, 655_350, 1 << 31])
def test_absurd_rates_are_refused_with_the_value(tmp_path: Path, rate: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(SOUND, rate=rate))
    data = bytearray(write_flac(tmp_path / "a.flac").read_bytes())
    data[18:21] = ((rate & 0xFFFFF) << 4 | data[20] & 15).to_bytes(3, "big")
    (tmp_path / "a.flac").write_bytes(data)
    for path, value in (
        (tmp_path / "a.wav", rate),
        (tmp_path / "a.flac", rate & 0xFFFFF),
    ):
        for read in (decode_all, duration_s):
            with pytest.raises(MediaError) as info:
                read(path)
            assert info.value.value == value


@pytest.mark.parametrize("channels", [0, 65, 65_535])
def test_absurd_numbers_of_channels_are_refused_with_the_value(
    tmp_path: Path, channels: int
) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(SOUND, channels=channels))
    for read in (decode_all, duration_s):
        with pytest.raises(MediaError) as info:
            read(tmp_path / "a.wav")
        assert info.value.value == channels


def test_a_truncated_rf64_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, SAMPLE_RATE, format="RF64")
    assert len(decode_all(path)) == len(SOUND)
    path.write_bytes(path.read_bytes()[:50_000])
    for read in (decode_all, duration_s):
        with pytest.raises(MediaError) as info:
            read(path)
        assert info.value.value == pytest.approx(SECONDS - 50_000 / 32_000, abs=0.01)


def test_sound_data_behind_the_first_sound_data_of_wav_are_not_lost_silently(
    tmp_path: Path,
) -> None:
    path, data = tmp_path / "a.wav", wav_bytes(tone(1.0, 16_000))
    more = data[-16_000:]
    path.write_bytes(data + b"LIST\4\0\0\0INFO" + b"data" + struct.pack("<I", 16_000) + more)
    with pytest.raises(MediaError) as info:
        duration_s(path)
    assert info.value.value == len(data) + 12
