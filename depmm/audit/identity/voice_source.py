"""The voice in the steps of a session."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.audit.identity.compute_embeddings import join_intervals
from depmm.audit.identity.session_embeddings import VOICE
from depmm.config import SAMPLE_RATE
from depmm.media.identity.speaker_encoder import EMBEDDING_SIZE, SpeakerEncoder
from depmm.media.identity.voice_sample import VoiceSample
from depmm.media.sound.audio import decode_audio


class VoiceSource:
    """Embed windows of the speech of a session.

    Parameters
    ----------
    encoder : SpeakerEncoder
        The network with its weights.
    """

    modality = VOICE
    column = "audio"
    size = EMBEDDING_SIZE

    def __init__(self, encoder: SpeakerEncoder) -> None:
        self._encoder = encoder

    def embed(self, steps: pd.DataFrame, root: Path) -> tuple[np.ndarray, float]:
        """Embed the steps of a session.

        Parameters
        ----------
        steps : DataFrame
            Steps with sound.
        root : Path
            Folder of the recordings.

        Returns
        -------
        embeddings : ndarray of float32, shape (n, 256)
            One embedding per window of 1.6 s.
        amount : float
            Seconds of speech.
        """
        sample = VoiceSample()
        columns = ["audio", "audio_track", "audio_channel"]
        groups: Any = steps.groupby(columns, dropna=False)
        for (path, track, channel), rows in groups:
            blocks = decode_audio(
                root / path,
                track=None if pd.isna(track) else int(track),
                channel=None if pd.isna(channel) else int(channel),
            )
            times = rows[["start_s", "end_s"]].fillna({"end_s": np.inf}).to_numpy(float)
            intervals = join_intervals(*np.round(times.T * SAMPLE_RATE))
            for part in _cut(blocks, intervals):
                sample.add(part)
            sample.end_file()
        return sample.embed(self._encoder), sample.speech_s


def _cut(
    blocks: Iterable[np.ndarray], intervals: Sequence[tuple[float, float]]
) -> Iterator[np.ndarray]:
    """Yield the samples inside of ascending, disjoint intervals."""
    position, index = 0, 0
    for block in blocks:
        end = position + len(block)
        while index < len(intervals) and intervals[index][0] < end:
            first, last = intervals[index]
            part = block[max(0, int(first) - position) : int(min(last - position, len(block)))]
            if len(part):
                yield part
            if last > end:
                break
            index += 1
        if index == len(intervals):
            return
        position = end
