"""Decode sound tracks to 16 kHz mono on the clock of the recording.

WAV and FLAC are read by libsndfile, everything else by FFmpeg
(:mod:`depmm.media.sound.sound_files`); both are resampled by soxr. The sound is decoded block by
block, so memory does not grow with the length of the recording. Clock and truncation are those of
:mod:`depmm.media.containers.container`.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from depmm.config import SAMPLE_RATE
from depmm.media.containers.container import (
    SEEK_GAP_S,
    check_file,
    open_container,
)
from depmm.media.containers.decoding import decode_stream
from depmm.media.containers.formats import format_of, origin_s
from depmm.media.containers.gaps import SOUND_GAP_S
from depmm.media.containers.survey import GapMonitor
from depmm.media.containers.tracks import check_single_track, choose_audio_track
from depmm.media.errors import MediaError, media_errors
from depmm.media.sound.channel_choice import Blocks, read_mono, unobserved
from depmm.media.sound.channels import Mix, channel_mix
from depmm.media.sound.sound_files import choose_reader, open_sound_file
from depmm.media.warnings import Warn, ignore_warnings, once_per_name

WARM_UP_S = 1  # decoded before a window and discarded, so that resampler and codec settle
MAX_SAMPLE = 4.0  # codecs exceed 1.0 a little; larger samples (12 dB) are not scaled to [-1, 1]


def decode_audio(
    path: Path,
    start_s: float = 0.0,
    end_s: float | None = None,
    *,
    track: int | None = None,
    channel: int | None = None,
    warn: Warn = ignore_warnings,
    observe: Callable[[Mix], Mix] = unobserved,
) -> Iterator[np.ndarray]:
    """Decode a sound track to 16 kHz mono, block by block.

    Second 0 is the start of the recording (the earliest stream of the file): a sound track that
    begins later is preceded by zeros, and gaps in its timestamps are filled with zeros. Channels
    are averaged; inverted and dead ones are left out, in the whole file
    (:mod:`depmm.media.sound.channels`). Truncated files are detected as
    :mod:`depmm.media.containers.container` describes. A WAV file that is more than 50 ms shorter
    than its header states, and a FLAC file that ends early, are also truncated.

    Parameters
    ----------
    path : Path
        The recording.
    start_s : float, default 0.0
        Start of the window in seconds on the clock of the recording.
    end_s : float, optional
        End of the window in seconds; by default the end of the sound.
    track : int, optional
        Index of the sound track, from 0; by default the default track of the file, see
        :func:`depmm.media.containers.tracks.choose_audio_track`.
    channel : int, optional
        Index of the channel, from 0; by default the mean of the channels.
    warn : callable, optional
        Receives the warnings about the file.
    observe : callable, optional
        Wraps the function that mixes the channels, which gets every decoded block once at the
        sample rate of the file; called again if the file is read from the start again. See
        :meth:`depmm.media.sound.source_meter.SourceMeter.observe`.

    Yields
    ------
    ndarray of float32, shape (T,)
        Samples in [-1, 1] at 16 kHz, at least one. The blocks of a window have
        ``round((end_s - start_s) * 16000)`` samples in all, fewer if the sound ends earlier. A late
        window in a Matroska file may be shifted by up to 1 ms, because its timestamps are whole
        milliseconds.

    Raises
    ------
    MediaError
        If there is no such sound track or channel, or the file is unreadable, truncated or empty,
        or samples are not finite or not scaled to [-1, 1]; possibly after some blocks.
    ValueError
        If the window is empty or starts before 0.
    """
    if not 0 <= start_s < (math.inf if end_s is None else end_s):
        raise ValueError(f"window ({start_s}, {end_s}): needs 0 <= start_s < end_s, in seconds")
    check_file(path)
    # start at a whole second, where samples of both rates coincide: a window then equals the same
    # part of the whole sound
    begin_s = max(0, math.floor(start_s) - WARM_UP_S)
    skip = round(start_s * SAMPLE_RATE) - begin_s * SAMPLE_RATE
    remaining = None if end_s is None else round((end_s - start_s) * SAMPLE_RATE)
    warn = once_per_name(warn)
    read = functools.partial(_source_blocks, path, track)
    if channel is None:
        mono = read_mono(path, track, read, begin_s, warn, observe)
    else:
        mono = read(begin_s, observe(channel_mix(path, channel)), warn)
    with media_errors(path):
        for block in _resampled(mono):
            cut, skip = block[skip:], max(0, skip - len(block))
            cut = cut[:remaining]
            if len(cut):
                yield _checked(path, cut)
            if remaining is not None and not (remaining := remaining - len(cut)):
                return


def _source_blocks(path: Path, track: int | None, begin_s: int, mix: Mix, warn: Warn) -> Blocks:
    """Yield sample rate and mono float32 blocks from ``begin_s`` on, without gaps."""
    reader = choose_reader(path)
    if reader.warning:
        warn(reader.warning)
    if reader.is_sndfile:
        with open_sound_file(path) as file:
            if file is not None:
                check_single_track(path, track)
                yield from _sndfile_blocks(path, file, begin_s, mix)
                return
    with open_container(path, **reader.options) as container:
        stream = choose_audio_track(path, container, track, warn)
        yield from _container_blocks(path, container, stream, begin_s, mix, warn)


def _sndfile_blocks(path: Path, file: soundfile.SoundFile, begin_s: int, mix: Mix) -> Blocks:
    rate = file.samplerate
    done = min(begin_s * rate, file.frames)
    try:
        file.seek(done)
        while len(block := file.read(rate, dtype="float32", always_2d=True)):
            done += len(block)
            # reductions over the channels of interleaved samples are 20 times slower
            yield rate, mix(np.ascontiguousarray(block.T))
    except soundfile.LibsndfileError as error:
        raise _truncated(path, done, rate) from error
    if done < file.frames:
        raise _truncated(path, done, rate)


def _truncated(path: Path, frame: int, rate: int) -> MediaError:
    return MediaError(
        path,
        f"the sound cannot be decoded after {frame / rate:.2f} s: damaged or truncated.",
        "Copy it again.",
        value=frame / rate,
    )


def _container_blocks(
    path: Path, container: Any, stream: Any, begin_s: int, mix: Mix, warn: Warn
) -> Blocks:
    rate, origin = stream.rate, origin_s(container)
    tick = stream.time_base
    num, den = tick.numerator, tick.denominator
    to_float, layout = av.AudioResampler(format="fltp"), ""  # same rate and channels
    timed, monitor = format_of(container).has_timestamps, GapMonitor(path, stream, warn)
    counted: int | None = None  # position of the next frame in a format without timestamps
    # index of the next sample on the clock of the recording
    next_sample, started, is_first = begin_s * rate, False, begin_s <= SEEK_GAP_S
    frames = decode_stream(path, container, stream, max(0.0, begin_s - WARM_UP_S), warn)
    try:
        for frame in frames:
            _check_format(path, stream, frame)
            position = next_sample if counted is None else counted
            if frame.pts is not None and (timed or counted is None):
                position = round((frame.pts * num / den - origin) * rate)
            if not timed:
                counted = position + frame.samples
            if frame.layout.name != layout:
                to_float, layout = av.AudioResampler(format="fltp"), frame.layout.name
            parts = [part.to_ndarray() for part in to_float.resample(frame)]
            samples = mix(np.concatenate(parts, axis=1))
            if not started or abs(position - next_sample) > SOUND_GAP_S * rate:
                overlap = min(max(0, next_sample - position), len(samples))
                if started:
                    monitor.cut(overlap / rate)
                samples = samples[overlap:]
                if len(samples) and position > next_sample:
                    monitor.add(next_sample / rate, position / rate, is_late_start=is_first)
                while len(samples) and position > next_sample:
                    silence = np.zeros(min(position - next_sample, rate), np.float32)
                    next_sample += len(silence)
                    yield rate, silence
            is_first = False
            if len(samples):
                started = True
                next_sample += len(samples)
                yield rate, samples
    except GeneratorExit:  # the wanted part is complete
        monitor.stop(next_sample / rate)
        raise
    monitor.finish(next_sample / rate)


def _check_format(path: Path, stream: Any, frame: Any) -> None:
    if frame.rate != stream.rate:
        raise MediaError(
            path,
            f"the sample rate changes from {stream.rate} to {frame.rate} Hz.",
            "Re-encode it.",
            value=frame.rate,
        )


def _resampled(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    resampler = None
    for rate, block in blocks:
        if rate == SAMPLE_RATE:
            yield block
            continue
        # soxr and not torchaudio: with a filter of the same quality (-100 dB from 8.1 kHz on, at
        # most -0.2 dB to 7.3 kHz), torchaudio 2.11 takes 52 ms instead of 6 ms for 60 s at 48 kHz,
        # 16 ms instead of 7 ms at 44.1 kHz, and 3 GB of memory for the kernel of 22 254 Hz
        resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        yield resampler.resample_chunk(block)
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _checked(path: Path, samples: np.ndarray) -> np.ndarray:
    peak = max(float(samples.max()), -float(samples.min()))
    if not math.isfinite(peak):
        raise MediaError(
            path, "samples are not finite (NaN or infinite).", "Export the file again.", value=peak
        )
    if peak > MAX_SAMPLE:
        raise MediaError(
            path,
            f"a sample has the value {peak:g}; samples must be scaled to [-1, 1].",
            "Export the file again.",
            value=peak,
        )
    return samples if peak <= 1.0 else np.clip(samples, -1.0, 1.0)
