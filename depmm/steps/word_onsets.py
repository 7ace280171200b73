"""Steps from a word list with the times at which the words were shown.

The clock of the list may differ from that of the recording. :func:`estimate_offset` finds the
difference at which speech starts most regularly after the words; it contains the time that the
participant needs to start to read (about half a second), which cannot be told from the difference
of the clocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.silero_vad import FRAME
from depmm.media.sound.speech_segments import SegmentRules, add_margins, apply_rules
from depmm.steps.recordings import Recording
from depmm.steps.speech import Detector, Speech, read_speech
from depmm.steps.table import Step, StepProblem, StepsError
from depmm.steps.word_tables import Entries, Entry

KERNEL_S = 0.3  # standard deviation of the time from a word to its speech
MAX_CANDIDATES = 20_000  # offsets that are compared
AMBIGUOUS = 0.9  # share of the best agreement from which another offset is as good
MIN_AGREEMENT = 0.5  # mean agreement of a word, below which the offset is not used
_SHORT_PAUSE_S = 0.15  # words of a list are spoken apart; long pauses would join them


@dataclass(frozen=True)
class Offset:
    """Difference between the clock of a word list and that of a recording.

    Attributes
    ----------
    seconds : float
        Time to add to the onsets.
    agreement : float
        Mean agreement of onsets and starts of speech, 0 to 1.
    alternative_s : float or None
        Another offset with nearly the same agreement.
    """

    seconds: float
    agreement: float
    alternative_s: float | None


@dataclass
class WordTiming:
    """Settings, and what was measured in the recordings.

    Attributes
    ----------
    extent : {"onset", "speech"}
        Whether a step reaches from its onset to the next, or is the speech between them.
    offset_s : float or None
        Seconds that are added to the onsets; None to estimate them for each recording.
    rules : SegmentRules
        Shortest speech and margins, for ``extent="speech"``.
    offsets : dict of str to float
        Recording -> the offset that was used.
    latencies_s : list of float
        Time from each onset to the first speech after it.
    n_silent : int
        Number of words without speech.
    """

    extent: Literal["onset", "speech"] = "onset"
    offset_s: float | None = 0.0
    rules: SegmentRules = field(default_factory=SegmentRules)
    offsets: dict[str, float] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    n_silent: int = 0

    def summary(self) -> str:
        """Describe offset and latency.

        Returns
        -------
        str
            One line.
        """
        n_words = len(self.latencies_s) + self.n_silent
        parts = []
        if self.offset_s is None and self.offsets:
            values = sorted(self.offsets.values())
            parts.append(
                f"offset between the list and {len(values)} recordings: median "
                f"{np.median(values):.2f} s, {values[0]:.2f} to {values[-1]:.2f} s"
            )
        if self.latencies_s:
            low, middle, high = np.percentile(self.latencies_s, [5, 50, 95])
            parts.append(
                f"speech starts {middle:.2f} s after the onset of its word (median; 90 % between "
                f"{low:.2f} and {high:.2f} s)"
            )
        return "; ".join([*parts, f"{self.n_silent} of {n_words} words without speech"])


def find_listed_words(
    recording: Recording, words: Entries, detector: Detector, timing: WordTiming
) -> Iterator[Step | StepProblem]:
    """Find the steps of a recording: the words of a list.

    Parameters
    ----------
    recording : Recording
        The recording.
    words : Entries
        The word list.
    detector : callable
        Detects speech, from :func:`depmm.steps.speech.choose_detector`.
    timing : WordTiming
        Settings; receives what is measured.

    Yields
    ------
    Step or StepProblem
        A step for each word; its confidence is the largest probability of speech in it. A problem
        for each word outside of the recording, and for each word without speech.

    Raises
    ------
    MediaError
        If the sound cannot be decoded.
    StepsError
        If the list has no word of the recording, or the offset cannot be estimated.
    """
    entries = words.of(recording.path)
    speech = read_speech(recording, detector)
    rules = SegmentRules(timing.rules.min_speech_s, _SHORT_PAUSE_S, timing.rules.margin_s)
    segments = apply_rules(speech.segments, rules)
    offset_s = timing.offset_s
    if offset_s is None:
        offset_s = _checked_offset(entries, segments, recording.path)
    timing.offsets[recording.path] = offset_s
    starts = [offset_s + (entry.start_s or 0.0) for entry in entries]
    next_starts = [*starts[1:], speech.duration_s]
    previous_end_s = None
    for entry, start_s, next_s in zip(entries, starts, next_starts, strict=True):
        end_s = min(speech.duration_s, next_s if entry.end_s is None else entry.end_s + offset_s)
        if start_s < 0 or start_s >= end_s:
            problem = f"its onset {start_s:.2f} s is outside of the recording. Check the list."
            yield StepProblem(recording.path, problem, entry.text)
            continue
        inside = segments[(segments[:, 1] > start_s) & (segments[:, 0] < end_s)]
        inside = np.clip(inside, start_s, end_s)
        if not len(inside):
            timing.n_silent += 1
            problem = f"no speech from {start_s:.2f} to {end_s:.2f} s. Listen to the recording."
            yield StepProblem(recording.path, problem, entry.text)
            if timing.extent == "speech":
                continue
        else:
            timing.latencies_s.append(float(inside[0, 0] - start_s))
        first, last = start_s, end_s
        if timing.extent == "speech":
            around = np.array([[inside[0, 0], inside[-1, 1]]])
            (around,) = np.clip(
                add_margins(around, rules.margin_s, speech.duration_s), start_s, end_s
            )
            first, last = float(around[0]), float(around[1])
        pause_s = None
        if len(inside):
            pause_s = None if previous_end_s is None else float(inside[0, 0] - previous_end_s)
            previous_end_s = float(inside[-1, 1])
        yield Step(
            recording.path, first, last, entry.text,
            confidence=_largest_probability(speech, first, last),
            pause_before_s=pause_s if pause_s is None else max(0.0, pause_s),
        )  # fmt: skip


def _largest_probability(speech: Speech, start_s: float, end_s: float) -> float | None:
    if speech.probabilities is None:
        return None
    first, last = int(start_s * SAMPLE_RATE / FRAME), int(np.ceil(end_s * SAMPLE_RATE / FRAME))
    return float(speech.probabilities[first:last].max(initial=0.0))


def _checked_offset(entries: list[Entry], segments: np.ndarray, path: str) -> float:
    """Estimate the offset, and refuse one that is not certain."""
    onsets = np.array([entry.start_s or 0.0 for entry in entries])
    offset = estimate_offset(onsets, segments[:, 0])
    if offset is None or offset.agreement < MIN_AGREEMENT:
        share = 0.0 if offset is None else offset.agreement
        raise StepsError(
            f"speech follows the onsets of the list at no offset (agreement {share:.2f}).",
            value=path,
            remedy="Check the list, or give --offset.",
        )
    if offset.alternative_s is not None:
        raise StepsError(
            f"the offsets {offset.seconds:.2f} and {offset.alternative_s:.2f} s agree equally well "
            "with the speech, because the words follow each other at equal intervals.",
            value=path,
            remedy="Give --offset.",
        )
    return offset.seconds


def estimate_offset(onsets_s: np.ndarray, speech_starts_s: np.ndarray) -> Offset | None:
    """Estimate the offset between the onsets of words and the starts of speech.

    It is the largest value of the cross-correlation of the two series of events, with a Gaussian
    kernel of ``KERNEL_S`` around each: the mean over words of the kernel at the nearest start.

    Parameters
    ----------
    onsets_s : ndarray, shape (W,)
        Ascending onsets in seconds.
    speech_starts_s : ndarray, shape (S,)
        Ascending starts of segments of speech in seconds.

    Returns
    -------
    Offset or None
        The offset; None without onsets or speech.
    """
    if not len(onsets_s) or not len(speech_starts_s):
        return None
    candidates = np.unique(np.round((speech_starts_s[:, None] - onsets_s).ravel(), 2))
    if len(candidates) > MAX_CANDIDATES:
        steps = np.linspace(0, len(candidates) - 1, MAX_CANDIDATES).round().astype(int)
        candidates = candidates[steps]
    agreement = np.array(
        [
            np.exp(-0.5 * (_distances(onsets_s + offset, speech_starts_s) / KERNEL_S) ** 2).mean()
            for offset in candidates
        ]
    )
    best = int(agreement.argmax())
    # the kernel is centred on the typical word, and the median does not depend on outliers
    distances = _distances(onsets_s + candidates[best], speech_starts_s)
    near = distances[np.abs(distances) < 2 * KERNEL_S]
    seconds = float(candidates[best] + (np.median(near) if len(near) else 0.0))
    others = np.abs(candidates - candidates[best]) > 2 * KERNEL_S
    rivals = np.where(others, agreement, 0.0)
    rival = int(rivals.argmax())
    is_ambiguous = rivals[rival] >= AMBIGUOUS * agreement[best]
    return Offset(
        seconds, float(agreement[best]), float(candidates[rival]) if is_ambiguous else None
    )


def _distances(times_s: np.ndarray, starts_s: np.ndarray) -> np.ndarray:
    """Return the signed distance from each time to the nearest start."""
    after = np.searchsorted(starts_s, times_s).clip(1, max(1, len(starts_s) - 1))
    left = starts_s[after - 1] - times_s
    right = starts_s[np.minimum(after, len(starts_s) - 1)] - times_s
    nearest: np.ndarray = np.where(np.abs(left) <= np.abs(right), left, right)
    return nearest
