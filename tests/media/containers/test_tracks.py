"""The choice of a sound track: the default one, the first, or that of the spec."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from media_files import tone, write_recording, write_tracks

from depmm.config import SAMPLE_RATE
from depmm.media.containers.tracks import choose_audio_track
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.warnings import MediaWarning


def loudest_hertz(path: Path, track: int | None = None) -> tuple[int, list[MediaWarning]]:
    """Return the frequency of the sound of one second, and the warnings."""
    warnings: list[MediaWarning] = []
    sound = np.concatenate(list(decode_audio(path, track=track, warn=warnings.append)))
    return int(np.abs(np.fft.rfft(sound[:SAMPLE_RATE])).argmax()), warnings


@pytest.fixture
def two_tracks(tmp_path: Path) -> Path:
    """Write 300 Hz in the first and 700 Hz in the second track, which is the default."""
    tracks = [tone(2, 48_000, hertz)[None] for hertz in (300, 700)]
    return write_tracks(tmp_path / "a.mkv", tracks, default=1, languages=["eng", "deu"])


def test_the_default_track_is_used_and_the_others_are_named(two_tracks: Path) -> None:
    hertz, warnings = loudest_hertz(two_tracks)
    assert hertz == 700
    (warning,) = warnings
    assert (warning.name, warning.value) == ("other_tracks", 2.0)
    for fact in ("track 0", "track 1", "pcm_s16le", "eng", "deu", "1 channel"):
        assert fact in warning.problem


@pytest.mark.parametrize("track", [0, 1])
def test_a_track_is_chosen_without_a_warning(two_tracks: Path, track: int) -> None:
    assert loudest_hertz(two_tracks, track) == ((300, 700)[track], [])


def test_without_a_default_the_first_track_is_used(tmp_path: Path) -> None:
    tracks = [tone(2, 48_000, hertz)[None] for hertz in (300, 700)]
    hertz, warnings = loudest_hertz(write_tracks(tmp_path / "a.mkv", tracks))
    assert hertz == 300
    assert [warning.name for warning in warnings] == ["other_tracks"]


@pytest.mark.parametrize("track", [2, 9, -1])
def test_a_track_that_does_not_exist_is_an_error(two_tracks: Path, track: int) -> None:
    with pytest.raises(MediaError) as info:
        loudest_hertz(two_tracks, track)
    assert (info.value.file, info.value.setting, info.value.value) == (two_tracks, "track", track)
    assert info.value.remedy


def test_files_with_one_track(tmp_path: Path) -> None:
    wav, video = tmp_path / "a.wav", tmp_path / "a.mp4"
    soundfile.write(wav, tone(2, SAMPLE_RATE, 300), SAMPLE_RATE)
    write_recording(video, np.arange(0, 2, 0.04), tone(2, 48_000, 300))
    for path in (wav, video):
        assert loudest_hertz(path) == loudest_hertz(path, 0) == (300, [])
        with pytest.raises(MediaError) as info:
            loudest_hertz(path, 1)
        assert (info.value.file, info.value.value) == (path, 1)


def container_of(*codecs: str | None, default: int = 0) -> SimpleNamespace:
    """Imitate a file whose tracks have these codecs; None cannot be decoded."""
    streams = [
        SimpleNamespace(
            codec_context=codec
            and SimpleNamespace(name=codec, channels=2, open=lambda strict: None),
            type="audio",
            index=index,
            disposition=1 if index == default else 0,
            metadata={},
        )
        for index, codec in enumerate(codecs)
    ]
    text = "".join(
        f"  Stream #0:{index}[0x1](und): Audio: none (apac / 0x63617061), 44100 Hz\n"
        for index in range(len(codecs))
    )
    return SimpleNamespace(streams=SimpleNamespace(audio=streams), dumps_format=lambda: text)


def test_tracks_without_a_decoder_are_skipped_and_named() -> None:
    warnings: list[MediaWarning] = []
    container = container_of(None, "aac", "mp3")
    stream = choose_audio_track(Path("a.mov"), container, warn=warnings.append)
    assert stream is container.streams.audio[1]
    assert [warning.name for warning in warnings] == ["skipped_track", "other_tracks"]
    assert warnings[0].value == 1
    assert "apac" in warnings[0].problem
    for track in (None, 0):
        with pytest.raises(MediaError) as info:
            choose_audio_track(Path("a.mov"), container_of(None, default=0), track)
        assert "apac" in info.value.problem
        assert info.value.remedy
