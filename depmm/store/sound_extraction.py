"""Extract the sound of a session."""

from collections import deque
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
    from depmm.media.sound.voice_activity import FrameLevels

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
    meter, levels_of_steps = SoundMeter(), {}
    counted = _CountedBlocks(reading.watched(blocks))
    empty = []
    begin, frame_levels = writer.rows("audio.waveform"), FrameLevels()
    for position, samples in _cut(iter(counted), start_s, windows):
        if samples is not None:
            # samples of a 16-bit recording at 16 kHz are stored without a change
            integers = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
            writer.append("audio.waveform", integers)
            frame_levels.update(samples)
            meter.update_samples(samples)
            continue
        step, end = steps[position], writer.rows("audio.waveform")
        if begin == end:
            empty.append(step)
            continue
        ranges[step] = begin, end
        levels_of_steps[step] = frame_levels.finish()
        meter.update_levels(levels_of_steps[step])
        begin, frame_levels = end, FrameLevels()
    _store_speech(reading, levels_of_steps, ranges)
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


def _store_speech(
    reading: SessionReading, levels_of_steps: dict[int, np.ndarray], ranges: np.ndarray
) -> None:
    """Store the segments of speech in the steps of a file.

    The loud level is that of all steps: a step in which nobody speaks has no speech.
    """
    from depmm.media.sound.voice_activity import find_loud_level, segments_of_levels

    if not levels_of_steps:
        return
    settings, writer = reading.job.settings.audio, reading.writer
    loud_db = find_loud_level(np.concatenate(list(levels_of_steps.values())))
    for step, levels in levels_of_steps.items():
        duration_s = float(ranges[step, 1] - ranges[step, 0]) / SAMPLE_RATE
        speech = segments_of_levels(
            levels, loud_db, settings.silence_db, settings.min_silence_s, duration_s
        )
        start_s = float(reading.job.steps[step]["start_s"])
        writer.append("audio.speech", (speech + start_s).astype(np.float32))
        writer.append("audio.speech_step", np.full(len(speech), step, np.int32))


class _CountedBlocks:
    """Join blocks, which have some 20 ms in most formats, to a second, and count their samples."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self.n_samples = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        parts: list[np.ndarray] = []
        n_joined = 0
        for block in self._blocks:
            parts.append(block)
            n_joined += len(block)
            if n_joined >= SAMPLE_RATE:
                self.n_samples += n_joined
                yield np.concatenate(parts)
                parts, n_joined = [], 0
        if parts:
            self.n_samples += n_joined
            yield np.concatenate(parts)


def _cut(
    blocks: Iterator[np.ndarray], start_s: float, windows: list[Window]
) -> Iterator[tuple[int, np.ndarray | None]]:
    """Cut windows out of sound that starts at ``start_s``, one after the other in order of end.

    Yields the position of a window with each of its parts, and then with None. The parts are
    yielded when they are decoded; only those of overlapping windows that end later are kept.
    """
    first = [round((start - start_s) * SAMPLE_RATE) for start, _ in windows]
    last = [np.inf if end == np.inf else round((end - start_s) * SAMPLE_RATE) for _, end in windows]
    by_end = deque(sorted(range(len(windows)), key=last.__getitem__))
    by_start = deque(sorted(range(len(windows)), key=first.__getitem__))
    parts: dict[int, list[np.ndarray]] = {}  # of the windows that have begun
    offset = 0
    for block in blocks:
        end = offset + len(block)
        while by_start and first[by_start[0]] < end:
            parts[by_start.popleft()] = []
        for position, own in parts.items():
            begin, stop = max(first[position] - offset, 0), min(last[position] - offset, len(block))
            if begin < stop:
                own.append(block[int(begin) : int(stop)])
        offset = end
        while by_end and by_end[0] in parts:
            position = by_end[0]
            for part in parts[position]:
                yield position, part
            parts[position].clear()
            if last[position] > offset:
                break
            del parts[by_end.popleft()]
            yield position, None
    for position in by_end:  # the recording ended inside these windows, or before them
        for part in parts.get(position, []):
            yield position, part
        yield position, None
