"""Sound tracks to 16 kHz mono on the recording's clock, and where in them somebody speaks.

WAV and FLAC are read by libsndfile, everything else by FFmpeg; both are resampled by soxr. All of
it streams: memory does not grow with the recording.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from depmm.config import SAMPLE_RATE
from depmm.media.errors import MediaError
from depmm.media.video import check_file, decode_stream, open_container, origin_s

WARM_UP_S = 1  # decoded before a window and dropped: resampler and codec forget their start by then
JITTER_S = 0.04  # timestamps that stray less than a video frame do not cut or stretch the sound
FULL_SCALE = 4.0  # codecs overshoot 1.0 a little; beyond this (12 dB) samples were never scaled


def decode_audio(
    path: Path, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[np.ndarray]:
    """Decode a sound track to 16 kHz mono, block by block.

    Second 0 is the start of the recording (the earliest stream of the file): a sound track that
    begins later is preceded by zeros, gaps in its timestamps are filled with zeros. Channels are
    averaged. Truncated files are found as :mod:`depmm.media.video` says; a WAV whose header
    promises over 50 ms more than the file holds, and a FLAC that ends early, are truncated too.

    Parameters
    ----------
    path : the recording
    start_s, end_s : seconds on the recording's clock, ``None`` for the end of the sound

    Yields
    ------
    float32 [T] in [-1, 1] at 16 kHz, T > 0; with a window ``round((end_s - start_s) * 16000)``
    samples in all, fewer when the sound ends earlier. A late window in a Matroska file may lie up
    to 1 ms off the same stretch of the whole, as its timestamps are whole milliseconds.

    Raises
    ------
    MediaError : no audio track, unreadable, truncated, empty, or samples that are not finite or
        not scaled to [-1, 1] (also after some blocks)
    ValueError : a window that makes no sense
    """
    if not 0 <= start_s < (math.inf if end_s is None else end_s):
        raise ValueError(f"window ({start_s}, {end_s}): needs 0 <= start_s < end_s, in seconds")
    check_file(path)
    # from a whole second, where the samples of both rates coincide: a window is then a cut from
    # the whole
    begin_s = max(0, math.floor(start_s) - WARM_UP_S)
    skip = round(start_s * SAMPLE_RATE) - begin_s * SAMPLE_RATE
    left = None if end_s is None else round((end_s - start_s) * SAMPLE_RATE)
    for block in _resampled(_source_blocks(path, begin_s)):
        cut, skip = block[skip:], max(0, skip - len(block))
        cut = cut[:left]
        if len(cut):
            yield _checked(path, cut)
        if left is not None and not (left := left - len(cut)):
            return


def _source_blocks(path: Path, begin_s: int) -> Iterator[tuple[int, np.ndarray]]:
    """Give (rate, mono float32 block) from ``begin_s`` on, without a gap."""
    if path.suffix.lower() in (".wav", ".flac"):
        try:
            file = soundfile.SoundFile(path)
        except soundfile.LibsndfileError:
            pass  # a codec that libsndfile does not know: FFmpeg may, and else names the fault
        else:
            with file:
                yield from _sndfile_blocks(path, file, begin_s)
            return
    with open_container(path) as container:
        yield from _container_blocks(path, container, begin_s)


def _sndfile_blocks(
    path: Path, file: soundfile.SoundFile, begin_s: int
) -> Iterator[tuple[int, np.ndarray]]:
    rate = file.samplerate
    if not file.frames:
        raise MediaError(path, "holds no samples. Leave this session out.")
    if (missing_s := _missing_wav_s(path)) > 0.05:
        raise MediaError(
            path, f"its header promises {missing_s:.2f} s more than the file holds: it was cut "
            "short. Copy it again."
        )  # fmt: skip
    done = min(begin_s * rate, file.frames)
    try:
        file.seek(done)
        while len(block := file.read(rate, dtype="float32", always_2d=True)):
            done += len(block)
            yield rate, block.mean(axis=1)
    except soundfile.LibsndfileError as error:
        raise _cut_short(path, done, rate) from error
    if done < file.frames:
        raise _cut_short(path, done, rate)


def _cut_short(path: Path, frame: int, rate: int) -> MediaError:
    return MediaError(
        path, f"cannot be decoded after {frame / rate:.2f} s: damaged or cut short. Copy it again."
    )


def _missing_wav_s(path: Path) -> float:
    """How much longer the data of a WAV is by its header than the file; 0 for other files.

    libsndfile trusts the file size and says nothing.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return 0.0
        bytes_per_s = 0
        while len(chunk := file.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"fmt ":
                bytes_per_s = int.from_bytes(file.read(12)[8:], "little")
                size -= 12
            if chunk[:4] == b"data":
                # a writer to a pipe cannot know the size and puts a huge one
                known = size < 0x7FFF_F000 and bytes_per_s > 0
                end = file.tell() + size
                return max(0, end - path.stat().st_size) / bytes_per_s if known else 0.0
            file.seek(size + size % 2, 1)
    return 0.0


def _container_blocks(
    path: Path, container: av.container.InputContainer, begin_s: int
) -> Iterator[tuple[int, np.ndarray]]:
    if not container.streams.audio:
        raise MediaError(path, "has no audio track. Give the audio modality another file.")
    stream = container.streams.audio[0]
    rate, origin = stream.rate, origin_s(container)
    to_float = av.AudioResampler(format="fltp")  # same rate and channels
    due, started = begin_s * rate, False  # next sample on the recording's clock
    for frame in decode_stream(path, container, stream, max(0.0, begin_s - WARM_UP_S)):
        if frame.rate != rate:
            raise MediaError(
                path, f"its rate changes from {rate} to {frame.rate} Hz. Re-encode it."
            )
        at = (
            due
            if frame.pts is None
            else round((float(frame.pts * frame.time_base) - origin) * rate)
        )
        samples = np.concatenate([part.to_ndarray() for part in to_float.resample(frame)], axis=1)
        samples = samples.mean(axis=0)
        if not started or abs(at - due) > JITTER_S * rate:
            samples = samples[max(0, due - at) :]
            while len(samples) and at > due:
                silence = np.zeros(min(at - due, rate), np.float32)
                due += len(silence)
                yield rate, silence
        if len(samples):
            started = True
            due += len(samples)
            yield rate, samples


def _resampled(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    resampler = None
    for rate, block in blocks:
        if rate == SAMPLE_RATE:
            yield block
            continue
        resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        yield resampler.resample_chunk(block)
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _checked(path: Path, samples: np.ndarray) -> np.ndarray:
    peak = float(np.abs(samples).max())
    if not math.isfinite(peak):
        raise MediaError(path, "holds samples that are not finite (NaN or infinite). Export again.")
    if peak > FULL_SCALE:
        raise MediaError(
            path, f"a float sample reaches {peak:g}: sound must be scaled to [-1, 1]. Export again."
        )
    return np.clip(samples, -1.0, 1.0)
