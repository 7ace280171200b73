"""Open WAV and FLAC files: the content of a file chooses its reader, and not its name.

libsndfile reads WAV and FLAC, and FFmpeg everything else. libsndfile stops at the length that the
header states; a file that contains more sound is read by FFmpeg, to its end.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import soundfile

from depmm.media.containers.joined_files import second_recording
from depmm.media.containers.limits import check_length, check_sound
from depmm.media.errors import MediaError
from depmm.media.sound.flac_length import read_flac_length
from depmm.media.sound.wav_header import FIRST_CHUNKS, read_wav_header
from depmm.media.warnings import MediaWarning

MAX_MISSING_S = 0.05  # a file that is shorter than its header states by more is truncated
FLAC_BUFFER_BYTES = 1 << 16  # libsndfile reads ahead by 8 KiB
# the marker and the header of the first block, STREAMINFO of 34 bytes: the marker alone is also in
# texts, and by chance in one of 65,000 files
_FLAC_BEGIN, _FLAC_BEGIN_BYTES = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"), 8
# format tags of WAV: of MP3, libsndfile 1.2 overestimates the length; in GSM, it cannot seek
_FFMPEG_CODECS = (0x31, 0x55)


@dataclass(frozen=True)
class SoundReader:
    """How a recording is read.

    Attributes
    ----------
    is_sndfile : bool
        Whether libsndfile reads it; otherwise FFmpeg.
    options : dict of str to str
        Options of FFmpeg's demuxer.
    warning : MediaWarning or None
        A difference between header and content.
    """

    is_sndfile: bool
    options: dict[str, str] = field(default_factory=dict)
    warning: MediaWarning | None = None


FFMPEG = SoundReader(False)
SNDFILE = SoundReader(True)


def choose_reader(path: Path) -> SoundReader:
    """Choose the reader of a recording by its content.

    Parameters
    ----------
    path : Path
        The recording, which exists and is not empty.

    Returns
    -------
    SoundReader
        How it is read.

    Raises
    ------
    MediaError
        If it is a WAV or FLAC file that is shorter than its header states, or whose header states
        that it has no sound.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] == b"fLaC":
        return _choose_for_flac(path)
    if head[:4] in FIRST_CHUNKS and head[8:] == b"WAVE":
        return _choose_for_wav(path)
    return SNDFILE if head[:4] == b"riff" else FFMPEG  # W64


@contextmanager
def open_sound_file(path: Path) -> Iterator[soundfile.SoundFile | None]:
    """Open a file with libsndfile.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    SoundFile or None
        None if libsndfile does not know its codec; FFmpeg decodes it or reports the fault.

    Raises
    ------
    MediaError
        If its header states values beyond the limits of :mod:`depmm.media.containers.limits`.
    """
    # a descriptor and not the name: libsndfile reads the suffix, and "-" as standard input
    with path.open("rb", buffering=0) as content:
        try:
            file = soundfile.SoundFile(content.fileno(), closefd=False)
        except (soundfile.LibsndfileError, ValueError):
            file = None
        if file is None:
            yield None
            return
        with file:
            check_sound(path, file.samplerate, file.channels)
            if not file.frames:
                raise MediaError(path, "the sound track has no samples.", "Leave this session out.")
            check_length(path, file.frames / file.samplerate)
            yield file
            if file.format == "FLAC" and file.tell() == file.frames:
                _check_single_flac(path, content)


def _check_single_flac(path: Path, content: BinaryIO) -> None:
    """Check that no second file begins behind the sound that libsndfile has read."""
    position, size = max(4, content.tell() - FLAC_BUFFER_BYTES), path.stat().st_size
    content.seek(position)
    before = b""
    while block := content.read(1 << 20):
        block = before + block
        if found := _FLAC_BEGIN.search(block):
            raise second_recording(path, position + found.start(), size)
        before = block[-(_FLAC_BEGIN_BYTES - 1) :]
        position += len(block) - len(before)


def _choose_for_wav(path: Path) -> SoundReader:
    header = read_wav_header(path)
    if header is None:
        return FFMPEG
    check_sound(path, header.rate, header.n_channels)
    if header.codec in _FFMPEG_CODECS or not header.bytes_per_s:
        return FFMPEG
    if header.stated_bytes == 0:
        raise MediaError(
            path,
            f"its header states 0 bytes of sound, and {header.further_bytes} bytes follow.",
            "Leave it out; or, if it has sound, convert it into a new WAV file with FFmpeg.",
            value=header.further_bytes,
        )
    if header.second_at is not None:
        raise second_recording(path, header.second_at, path.stat().st_size)
    missing_s = header.missing_bytes / header.bytes_per_s
    if missing_s > MAX_MISSING_S:
        raise _shorter(path, missing_s)
    further_s = header.further_bytes / header.bytes_per_s
    if further_s > MAX_MISSING_S and header.stated_bytes is not None:
        stated_s = header.stated_bytes / header.bytes_per_s
        warning = _longer(stated_s, stated_s + further_s)
        return SoundReader(False, {"ignore_length": "1"}, warning)
    return SNDFILE


def _choose_for_flac(path: Path) -> SoundReader:
    length = read_flac_length(path)
    if length is None:
        return SNDFILE  # which reports the fault
    check_sound(path, length.rate, length.n_channels)
    if length.last is None:
        return SNDFILE
    if length.stated is None:
        return FFMPEG
    missing_s = (length.stated - length.last) / length.rate
    if missing_s > MAX_MISSING_S:
        raise _shorter(path, missing_s)
    if -missing_s > MAX_MISSING_S:
        return SoundReader(
            False, {}, _longer(length.stated / length.rate, length.last / length.rate)
        )
    return SNDFILE


def _shorter(path: Path, missing_s: float) -> MediaError:
    return MediaError(
        path,
        f"the file is {missing_s:.2f} s shorter than its header states: truncated.",
        "Copy it again.",
        value=missing_s,
    )


def _longer(stated_s: float, found_s: float) -> MediaWarning:
    return MediaWarning(
        "length_differs",
        f"its header states {stated_s:.2f} s, and the file contains {found_s:.2f} s of sound, "
        "which are read.",
        "Check that it is the complete recording, and one recording only.",
        found_s - stated_s,
    )
