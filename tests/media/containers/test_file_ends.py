"""Files that were cut, in formats that FFmpeg reads without an error."""

import numpy as np
import pytest
from media_files import decode_all, tone, truncate, write_recording

from depmm.media.containers.file_ends import avi_is_cut, ogg_is_cut, transport_stream_is_cut
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio

CODECS = {
    "ts": ("libx264", "aac"),
    "avi": ("mpeg4", "libmp3lame"),
    "ogg": ("", "libopus"),
    "mp3": ("", "libmp3lame"),
}
IS_CUT = {"ts": transport_stream_is_cut, "avi": avi_is_cut, "ogg": ogg_is_cut}


@pytest.fixture
def recordings(tmp_path):
    """Return a function that writes a recording of 4 s, and its first 71 %."""

    def write(suffix: str):
        times = np.arange(0, 4, 0.04) if suffix in ("ts", "avi") else ()
        path = tmp_path / f"whole.{suffix}"
        write_recording(path, times, tone(4.0, 48_000), codecs=CODECS[suffix])
        data = path.read_bytes()
        if suffix == "ts":
            assert int(0.71 * len(data)) % 188
        return path, truncate(path, tmp_path, 0.71)

    return write


@pytest.mark.parametrize("suffix", IS_CUT)
def test_a_cut_file_is_told_from_a_whole_one(recordings, suffix):
    whole, cut = recordings(suffix)
    assert not IS_CUT[suffix](whole)
    assert IS_CUT[suffix](cut)


@pytest.mark.parametrize("suffix", ["ts", "avi"])
def test_a_cut_file_is_an_error_at_its_end(recordings, suffix):
    whole, cut = recordings(suffix)
    assert len(decode_all(whole)) / 16_000 == pytest.approx(4.0, abs=0.1)
    with pytest.raises(MediaError) as info:
        decode_all(cut)
    assert info.value.file == cut
    assert info.value.remedy is not None
    assert len(decode_all(cut, 0.0, 1.0)) == 16_000  # all of this window is present


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_a_cut_sound_is_read_with_a_warning(recordings, suffix):
    for path, expected in zip(recordings(suffix), ([], ["length_differs"]), strict=True):
        warnings: list = []
        samples = sum(len(block) for block in decode_audio(path, warn=warnings.append))
        assert [warning.name for warning in warnings] == expected
        assert (samples / 16_000 < 3.5) == bool(expected)
