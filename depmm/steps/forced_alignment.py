"""Steps from transcripts: the times of words by forced alignment."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from depmm.media.sound.audio import decode_audio
from depmm.steps.recordings import Recording
from depmm.steps.table import Step, StepProblem
from depmm.steps.word_tables import Entries

# seconds of one alignment, whose time grows with the square of the length
MAX_ALIGNED_S = 300.0
_EDGES = re.compile(r"^[^\w]+|[^\w]+$")  # punctuation around a word; an apostrophe inside stays


class WordTime(NamedTuple):
    """Time of an aligned word.

    Attributes
    ----------
    start_s, end_s : float
        Seconds from the start of the samples.
    confidence : float
        Confidence, 0 to 1.
    """

    start_s: float
    end_s: float
    confidence: float


class Aligner(Protocol):
    """Aligns words with sound."""

    def find_unknown(self, word: str) -> str | None:
        """Tell why a word cannot be aligned.

        Parameters
        ----------
        word : str
            The word, without punctuation around it.

        Returns
        -------
        str or None
            The reason; None if the word can be aligned.
        """

    def align(self, samples: np.ndarray, words: Sequence[str]) -> list[WordTime] | None:
        """Align words with the sound in which they are spoken.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Samples at 16 kHz.
        words : sequence of str
            Words for which ``find_unknown`` returns None, in order; at least one.

        Returns
        -------
        list of WordTime or None
            One per word; None if the sound cannot be these words.
        """


def split_words(text: str) -> list[str]:
    r"""Split a transcript into words without punctuation.

    Parameters
    ----------
    text : str
        The transcript.

    Returns
    -------
    list of str
        The words; ``don't`` is one word, and a dash alone is none.

    Examples
    --------
    >>> split_words('"Well - I don\'t know," she said.')
    ['Well', 'I', "don't", 'know', 'she', 'said']
    """
    words = (
        _EDGES.sub("", part)
        for part in text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split()
    )
    return [word for word in words if word]


def align_words(
    recording: Recording, transcripts: Entries, aligner: Aligner
) -> Iterator[Step | StepProblem]:
    """Find the words of a recording, or of each part of it that has a transcript.

    Parameters
    ----------
    recording : Recording
        The recording.
    transcripts : Entries
        The transcripts.
    aligner : Aligner
        Aligns the words of one part.

    Yields
    ------
    Step or StepProblem
        A step for each word, or the reason why it has none.

    Raises
    ------
    MediaError
        If the sound cannot be decoded.
    StepsError
        If the recording has no transcript.
    """
    previous_end_s = None
    for entry in transcripts.of(recording.path):
        first_s = entry.start_s or 0.0
        samples = _read_samples(recording, first_s, entry.end_s)
        if samples is None:
            problem = (
                f"longer than {MAX_ALIGNED_S:g} s, which cannot be aligned at once. Give the times "
                "of sentences or turns in the transcript (columns start_s and end_s)."
            )
            yield StepProblem(recording.path, problem, _shorten(entry.text))
            continue
        words = split_words(entry.text)
        reasons = [aligner.find_unknown(word) for word in words]
        for word, reason in zip(words, reasons, strict=True):
            if reason is not None:
                yield StepProblem(recording.path, reason, word)
        known = [word for word, reason in zip(words, reasons, strict=True) if reason is None]
        times = aligner.align(samples, known) if known else []
        if times is None:
            problem = (
                f"the sound from {first_s:.2f} s on cannot be these words. Compare the transcript "
                "with the recording."
            )
            yield StepProblem(recording.path, problem, _shorten(entry.text))
            continue
        for word, time in zip(known, times, strict=True):
            start_s, end_s = first_s + time.start_s, first_s + time.end_s
            pause_s = None if previous_end_s is None else max(0.0, start_s - previous_end_s)
            yield Step(recording.path, start_s, end_s, word, None, time.confidence, pause_s)
            previous_end_s = end_s


def _read_samples(recording: Recording, start_s: float, end_s: float | None) -> np.ndarray | None:
    """Read a part of a recording; None if it is too long."""
    limit_s = start_s + MAX_ALIGNED_S + 1
    blocks = decode_audio(
        recording.file,
        start_s,
        limit_s if end_s is None else min(end_s, limit_s),
        track=recording.track,
        channel=recording.channel,
    )
    samples = np.concatenate(list(blocks) or [np.zeros(0, np.float32)])
    return samples if len(samples) <= MAX_ALIGNED_S * 16000 else None


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
