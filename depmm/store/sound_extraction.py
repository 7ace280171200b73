"""Extract the sound of the steps of a file."""

from collections.abc import Iterator

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.errors import MediaError
from depmm.media.sound.sound_level import SoundMeter, sound_warnings
from depmm.media.warnings import Warn
from depmm.store.session_job import SessionJob, watched
from depmm.store.session_writer import SessionWriter
from depmm.store.step_coverage import Window, masked_steps, shortened_steps
from depmm.store.worker_pool import Progress


def extract_sound(
    job: SessionJob,
    file: str,
    steps: list[int],
    writer: SessionWriter,
    ranges: np.ndarray,
    meter: SoundMeter,
    warn: Warn,
    progress: Progress,
) -> MediaError | None:
    """Decode a file once, and store and measure the sound of its steps.

    Parameters
    ----------
    job : SessionJob
        The session.
    file : str
        The file, relative to the root of the recordings.
    steps : list of int
        Indices of its steps.
    writer : SessionWriter
        Receives the tensors ``audio.*``.
    ranges : ndarray of int, shape (L, 2)
        Receives the first and end sample of each step.
    meter : SoundMeter
        Receives the levels of the sound.
    warn : callable
        Receives the warnings about the file.
    progress : callable
        Called for each decoded block.

    Returns
    -------
    MediaError or None
        The steps without sound, if there are any.

    Raises
    ------
    MediaError
        If the file cannot be decoded.
    """
    from depmm.media.sound.audio import decode_audio
    from depmm.media.sound.voice_activity import frame_levels, segments_of_levels

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
    settings, file_meter = job.settings.audio, SoundMeter()
    counted = _CountedBlocks(watched(blocks, progress))
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
        file_meter.update(samples, levels)
        duration_s = len(samples) / SAMPLE_RATE
        speech = segments_of_levels(levels, settings.silence_db, settings.min_silence_s, duration_s)
        speech = (speech + windows[position][0]).astype(np.float32).reshape(-1, 2)
        writer.append("audio.speech", speech)
        writer.append("audio.speech_step", np.full(len(speech), step, np.int32))
    sound_s = counted.n_samples / SAMPLE_RATE
    sound_end_s = start_s + sound_s if sound_s else None
    part = "its step" if len(steps) == 1 else f"its {len(steps)} steps"
    for warning in sound_warnings(file_meter, part):
        warn(warning)
    if sound_end_s is not None and (cut := shortened_steps(steps, windows, sound_end_s)):
        warn(cut)
    meter.add(file_meter)
    return masked_steps(file, steps, windows, empty, "sound", sound_end_s)


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
