"""The length of FLAC files whose header states none or a wrong one."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_files import decode_all, decoded_with_warnings, tone

from depmm.config import SAMPLE_RATE
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.sound.flac_length import read_flac_length

N_SAMPLES = 48_777


@pytest.fixture
def flac(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).normal(0, 0.1, N_SAMPLES)
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(N_SAMPLES / SAMPLE_RATE, SAMPLE_RATE) + noise, SAMPLE_RATE)
    return path


def state(path: Path, n_samples: int) -> None:
    data = bytearray(path.read_bytes())
    bits = int.from_bytes(data[18:26], "big")
    data[18:26] = (bits >> 36 << 36 | n_samples).to_bytes(8, "big")
    path.write_bytes(data)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (11_127, 3), (96_000, 1)])
def test_the_last_frame_tells_the_length(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "a.flac"
    for n_samples in (17, 4096, 4097, 200_003):
        soundfile.write(path, np.zeros((n_samples, channels)), rate)
        length = read_flac_length(path)
        assert length is not None
        assert (length.rate, length.n_channels) == (rate, channels)
        assert length.stated == length.last == n_samples


def test_real_files_state_their_length(real_data: Path) -> None:
    for path in sorted((real_data / "ravdess_speech").glob("*/*.flac"))[:50]:
        length = read_flac_length(path)
        assert length is not None
        assert length.stated == length.last == soundfile.info(path).frames


@pytest.mark.parametrize("stated", [0, 20_000])
def test_the_content_counts(flac: Path, stated: int) -> None:
    expected = decode_all(flac)
    state(flac, stated)
    decoded, warnings = decoded_with_warnings(flac)
    np.testing.assert_array_equal(decoded, expected)
    assert duration_s(flac) == pytest.approx(N_SAMPLES / SAMPLE_RATE, abs=0.01)
    assert set(warnings) == ({"length_differs"} if stated else set())


@pytest.mark.parametrize("stated", [2 * N_SAMPLES, (1 << 36) - 1])
def test_a_file_that_is_shorter_than_stated_is_truncated(flac: Path, stated: int) -> None:
    state(flac, stated)
    for read in (decode_all, duration_s):
        with pytest.raises(MediaError) as info:
            read(flac)
        assert info.value.value == pytest.approx((stated - N_SAMPLES) / SAMPLE_RATE, rel=1e-6)
