"""Compute the voice embeddings of the sessions of a manifest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.audit.identity.session_embeddings import Key, SessionEmbeddings, unit
from depmm.config import SAMPLE_RATE
from depmm.corpora.manifest import Manifest
from depmm.media.identity.speaker_encoder import EMBEDDING_SIZE, SpeakerEncoder
from depmm.media.identity.voice_sample import VoiceSample
from depmm.media.sound.audio import decode_audio
from depmm.schemas.manifest import SESSION_KEY

Track = Callable[[Sequence[Any]], Iterable[Any]]


def compute_session_embeddings(
    manifests: Sequence[tuple[Manifest, Path]], encoder: SpeakerEncoder, track: Track = iter
) -> SessionEmbeddings:
    """Embed the speech in the steps of every session.

    Only the time intervals of the steps are read, so that the voice of an interviewer is left out
    where the steps are the turns of the participant. Memory does not grow with the length of the
    recordings.

    Parameters
    ----------
    manifests : sequence of tuple of (Manifest, Path)
        Manifests with the folders of their recordings.
    encoder : SpeakerEncoder
        The network with its weights.
    track : callable, optional
        Wrapper of the iteration over the sessions that shows the progress.

    Returns
    -------
    SessionEmbeddings
        The embeddings.
    """
    steps: dict[Key, tuple[pd.DataFrame, Path]] = {}
    for manifest, root in manifests:
        sounds = manifest.steps.dropna(subset=["audio"])
        for (corpus, subject, session), rows in sounds.groupby(SESSION_KEY):
            steps[str(corpus), str(subject), str(session)] = rows, root
    known = [key for manifest, _ in manifests for key in _keys(manifest.sessions)]
    rows_of: list[dict[str, str | float]] = []
    halves: list[np.ndarray] = []
    without: list[Key] = [key for key in known if key not in steps]
    for key in track(sorted(steps)):
        sample = VoiceSample()
        try:
            _read_speech(sample, *steps[key])
        except (ValueError, OSError):  # a finding of its own names unreadable files
            without.append(key)
            continue
        windows = sample.embed(encoder)
        if not len(windows):
            without.append(key)
            continue
        rows_of.append({**dict(zip(SESSION_KEY, key, strict=True)), "speech_s": sample.speech_s})
        parts = np.array_split(windows, 2) if len(windows) > 1 else [windows, windows]
        halves.append(np.stack([unit(half.mean(axis=0)) for half in parts]))
    table = pd.DataFrame(rows_of, columns=[*SESSION_KEY, "speech_s"])
    array = np.stack(halves) if halves else np.zeros((0, 2, EMBEDDING_SIZE), np.float32)
    return SessionEmbeddings(table, array, tuple(sorted(without)))


def _keys(table: pd.DataFrame) -> list[Key]:
    return list(table[SESSION_KEY].itertuples(index=False, name=None))


def _read_speech(sample: VoiceSample, steps: pd.DataFrame, root: Path) -> None:
    columns = ["audio", "audio_track", "audio_channel"]
    groups: Any = steps.groupby(columns, dropna=False)
    for (path, track, channel), rows in groups:
        source = decode_audio(
            root / path,
            track=None if pd.isna(track) else int(track),
            channel=None if pd.isna(channel) else int(channel),
        )
        for part in _cut(source, _intervals(rows)):
            sample.add(part)
        sample.end_file()


def _intervals(steps: pd.DataFrame) -> list[tuple[int, float]]:
    """Join the intervals of steps that overlap; in samples."""
    starts, ends = steps["start_s"].to_numpy(float), steps["end_s"].fillna(np.inf).to_numpy(float)
    joined: list[tuple[int, float]] = []
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        first = round(start * SAMPLE_RATE)
        last = np.inf if np.isinf(end) else round(end * SAMPLE_RATE)
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def _cut(
    blocks: Iterable[np.ndarray], intervals: Sequence[tuple[int, float]]
) -> Iterator[np.ndarray]:
    """Yield the samples inside of ascending, disjoint intervals."""
    position, index = 0, 0
    for block in blocks:
        end = position + len(block)
        while index < len(intervals) and intervals[index][0] < end:
            first, last = intervals[index]
            part = block[max(0, first - position) : int(min(last - position, len(block)))]
            if len(part):
                yield part
            if last > end:
                break
            index += 1
        if index == len(intervals):
            return
        position = end
