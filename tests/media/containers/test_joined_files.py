from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_files import decode_all, tone, write_recording

from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.video.video import decode_frames


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("second_s", [3, 5])
def test_a_second_sound_file_is_not_lost_silently(
    tmp_path: Path, suffix: str, second_s: int
) -> None:
    parts = []
    for seconds in (3, second_s):
        path = tmp_path / f"{seconds}.{suffix}"
        noise = np.random.default_rng(seconds).normal(0, 0.1, seconds * 16_000)
        soundfile.write(path, noise, 16_000)
        parts.append(path.read_bytes())
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(b"".join(parts))
    if (suffix, second_s) == ("flac", 5):  # seems to be longer than its header states
        with pytest.raises(MediaError, match="timestamps of the sound before them"):
            decode_all(joined)
        return
    with pytest.raises(MediaError, match="second recording begins at byte") as raised:
        decode_all(joined)
    assert raised.value.value == len(parts[0])


def test_a_second_wav_file_is_named_with_its_position(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1, 16_000), 16_000, subtype="PCM_16")
    n_bytes = path.stat().st_size
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(MediaError, match=f"second recording begins at byte {n_bytes} of"):
        next(decode_audio(path))


def test_a_second_mp4_file_is_named_with_its_position(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", np.arange(0, 1, 0.04), tone(1, 48_000))
    n_bytes = path.stat().st_size
    assert len(list(decode_frames(path, 25))) == 25
    path.write_bytes(2 * path.read_bytes())
    for read in (decode_all, lambda path: list(decode_frames(path, 5))):
        with pytest.raises(MediaError, match=f"second recording begins at byte {n_bytes} of"):
            read(path)


@pytest.mark.parametrize("text", ["converted from fLaC by a program", "fLaC"])
def test_the_marker_in_the_metadata_of_a_flac_file_is_no_second_file(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        file.comment = text
        file.write(tone(1, 16_000))
    assert text.encode() in path.read_bytes()
    assert sum(len(block) for block in decode_audio(path)) == 16_000


def test_a_second_flac_file_is_found_where_two_blocks_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(16_000), 16_000)
    first = path.read_bytes()
    for n_bytes in range((1 << 20) - 8, (1 << 20) + 8):
        path.write_bytes(first + bytes(n_bytes - len(first) + 4) + first)
        with pytest.raises(MediaError, match=f"second recording begins at byte {n_bytes + 4} of"):
            list(decode_audio(path))
