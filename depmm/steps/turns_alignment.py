"""Turns from transcripts without times, by forced alignment of all words of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.audio import decode_audio
from depmm.steps.forced_alignment import MAX_ALIGNED_S, Aligner, split_words
from depmm.steps.recordings import Recording
from depmm.steps.table import StepsError
from depmm.steps.turns import Turn
from depmm.steps.turns_transcript import TranscriptRow


@dataclass(frozen=True)
class AlignedRows:
    """The turns of a transcript without times.

    Attributes
    ----------
    turns : list of Turn
        A turn reaches from its first to its last word; its confidence is the mean of the words.
    duration_s : float
        Length of the recording.
    unused : list of tuple of (TranscriptRow, str)
        Rows, and words of rows, that were not aligned, and why.
    """

    turns: list[Turn]
    duration_s: float
    unused: list[tuple[TranscriptRow, str]]


def align_rows(
    recording: Recording, rows: Sequence[TranscriptRow], aligner: Aligner
) -> AlignedRows:
    """Find the times of the rows of a transcript.

    Parameters
    ----------
    recording : Recording
        A recording of at most ``MAX_ALIGNED_S``.
    rows : sequence of TranscriptRow
        All that is said in the recording, in order.
    aligner : Aligner
        Aligns the words.

    Returns
    -------
    AlignedRows
        The turns.

    Raises
    ------
    StepsError
        If the recording is longer, or the sound cannot be these words.
    """
    blocks = decode_audio(
        recording.file, 0.0, MAX_ALIGNED_S + 1, track=recording.track, channel=recording.channel
    )
    samples = np.concatenate(list(blocks) or [np.zeros(0, np.float32)])
    if len(samples) > MAX_ALIGNED_S * SAMPLE_RATE:
        raise StepsError(
            "the transcript has no start times, and a recording of more than "
            f"{MAX_ALIGNED_S:g} s cannot be aligned at once.",
            column="start",
            remedy="Add a column start with the seconds at which the turns start.",
        )
    words: list[str] = []
    row_of_word: list[int] = []
    unused: list[tuple[TranscriptRow, str]] = []
    for index, row in enumerate(rows):
        known = []
        for word in split_words(row.text):
            if (reason := aligner.find_unknown(word)) is None:
                known.append(word)
            else:
                unused.append((row, f"{word!r}: {reason.rstrip('.')}"))
        if not known:
            unused.append((row, "has no word that can be aligned"))
        words += known
        row_of_word += [index] * len(known)
    times = aligner.align(samples, words) if words else None
    if times is None:
        raise StepsError(
            "the sound cannot be the words of the transcript.",
            column="text",
            remedy="Compare the transcript with the recording.",
        )
    turns = []
    for index in dict.fromkeys(row_of_word):
        own = [time for time, row in zip(times, row_of_word, strict=True) if row == index]
        confidence = float(np.mean([time.confidence for time in own]))
        row = rows[index]
        turns.append(Turn(own[0].start_s, own[-1].end_s, row.speaker, confidence, row.text))
    return AlignedRows(turns, len(samples) / SAMPLE_RATE, unused)
