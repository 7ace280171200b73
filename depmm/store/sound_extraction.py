"""Extract the sound of a session."""

from collections.abc import Iterator

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.sound_level import SoundLevel, SoundMeter, sound_warnings
from depmm.media.warnings import Warn
from depmm.store.session_reading import SessionReading
from depmm.store.step_coverage import Window, masked_steps, rows_end_s, shortened_steps


def extract_sound(reading: SessionReading) -> tuple[SoundLevel | None, np.ndarray]:
    """Decode each file of a session once, and store and measure the sound of its steps.

    Parameters
    ----------
    reading : SessionReading
        The session; its writer receives the tensors ``audio.*``.

    Returns
    -------
    level : SoundLevel or None
        Level of the sound; None without sound.
    ends_s : ndarray, shape (L,)
        Where the sound of each step ends in seconds of the recording; NaN without any.
    """
    job, meter = reading.job, SoundMeter()
    samples = np.zeros((len(job.steps), 2), np.int64)
    for file, steps in job.files("audio").items():
        with reading.file("audio", file, steps, samples) as warn:
            meter.add(_extract_file(reading, file, steps, samples, warn))
    if (samples[:, 1] > samples[:, 0]).any():
        reading.writer.append("audio.step_samples", samples)
    return meter.result(), rows_end_s(job.windows(), samples, SAMPLE_RATE)


def _extract_file(
    reading: SessionReading, file: str, steps: list[int], ranges: np.ndarray, warn: Warn
) -> SoundMeter:
    """Store the sound of the steps of a file; return its levels."""
    from depmm.media.sound.audio import decode_audio
    from depmm.media.sound.voice_activity import frame_levels, segments_of_levels

    job, writer = reading.job, reading.writer
    windows = job.windows(steps)
    start_s, end_s = min(start for start, _ in windows), max(end for _, end in windows)
    first = job.steps[steps[0]]
    blocks = decode_audio(
        job.root / file,
        start_s,
        None if end_s == np.inf else end_s,
        track=first["audio_track"],
        channel=first["audio_channel"],
        warn=warn,
    )
    settings, meter = job.settings.audio, SoundMeter()
    counted = _CountedBlocks(reading.watched(blocks))
    empty = []
    for position, samples in _cut(iter(counted), start_s, windows):
        step = steps[position]
        if len(samples) == 0:
            empty.append(step)
            continue
        # samples of a 16-bit recording at 16 kHz are stored without a change
        integers = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
        end = writer.append("audio.waveform", integers)
        ranges[step] = end - len(samples), end
        levels = frame_levels([samples])
        meter.update(samples, levels)
        duration_s = len(samples) / SAMPLE_RATE
        speech = segments_of_levels(levels, settings.silence_db, settings.min_silence_s, duration_s)
        speech = (speech + windows[position][0]).astype(np.float32).reshape(-1, 2)
        writer.append("audio.speech", speech)
        writer.append("audio.speech_step", np.full(len(speech), step, np.int32))
    sound_s = counted.n_samples / SAMPLE_RATE
    sound_end_s = start_s + sound_s if sound_s else None
    part = "its step" if len(steps) == 1 else f"its {len(steps)} steps"
    for warning in sound_warnings(meter, part):
        warn(warning)
    if sound_end_s is not None and (cut := shortened_steps(steps, windows, sound_end_s)):
        warn(cut)
    if error := masked_steps(file, steps, windows, empty, "sound", sound_end_s):
        reading.fail("audio", file, error)
    return meter


class _CountedBlocks:
    """Count the samples of blocks that pass."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self.n_samples = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.n_samples += len(block)
            yield block


def _cut(
    blocks: Iterator[np.ndarray], start_s: float, windows: list[Window]
) -> Iterator[tuple[int, np.ndarray]]:
    """Cut windows out of sound that starts at ``start_s``; only open windows are in memory."""
    first = [round((start - start_s) * SAMPLE_RATE) for start, _ in windows]
    last = [np.inf if end == np.inf else round((end - start_s) * SAMPLE_RATE) for _, end in windows]
    open_windows: dict[int, list[np.ndarray]] = {position: [] for position in range(len(windows))}
    offset = 0
    for block in blocks:
        for position, parts in open_windows.items():
            begin = max(first[position] - offset, 0)
            stop = min(last[position] - offset, len(block))
            if begin < stop:
                parts.append(block[int(begin) : int(stop)])
        offset += len(block)
        for position in [p for p in open_windows if last[p] <= offset]:
            yield position, np.concatenate(open_windows.pop(position) or [np.zeros(0, np.float32)])
    for position, parts in open_windows.items():  # the recording ended inside these windows
        yield position, np.concatenate(parts or [np.zeros(0, np.float32)])
