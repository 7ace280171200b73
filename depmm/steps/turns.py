"""Turns of a conversation of two speakers: who speaks from when to when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

MAX_PAUSE_S = 1.0  # a longer pause of one speaker begins a new turn
MIN_TURN_S = 0.2  # shorter sounds, such as a click, are not turns
FRAME_S = 0.01


@dataclass(frozen=True)
class Turn:
    """A part of a recording in which one speaker speaks.

    Attributes
    ----------
    start_s, end_s : float
        Seconds from the start of the recording.
    speaker : str
        Name of the speaker, or of a cluster of voices such as ``speaker_1``.
    confidence : float, optional
        Confidence that this speaker speaks, 0 to 1; None if a transcript states it.
    text : str, optional
        Words spoken.
    """

    start_s: float
    end_s: float
    speaker: str
    confidence: float | None = None
    text: str | None = None


def speaker_names(labels: Sequence[int] | np.ndarray) -> dict[int, str]:
    """Name clusters in the order in which they first speak.

    Parameters
    ----------
    labels : sequence of int
        Cluster of each turn, in the order of time.

    Returns
    -------
    dict of int to str
        ``speaker_1`` for the cluster that speaks first.
    """
    order = dict.fromkeys(int(label) for label in labels)
    return {label: f"speaker_{index}" for index, label in enumerate(order, start=1)}


def join_turns(turns: Iterable[Turn], max_pause_s: float = MAX_PAUSE_S) -> list[Turn]:
    """Join consecutive turns of one speaker, unless a long pause is between them.

    Parameters
    ----------
    turns : iterable of Turn
        The turns.
    max_pause_s : float, default 1.0
        Largest pause inside a turn.

    Returns
    -------
    list of Turn
        In the order of time. The confidence of a joined turn is the mean, weighted with the
        lengths. Turns of two speakers may overlap.
    """
    joined: list[Turn] = []
    for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.end_s)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.speaker == turn.speaker
            and turn.start_s - last.end_s <= max_pause_s
        ):
            joined[-1] = _joined(last, turn)
        else:
            joined.append(turn)
    return joined


def _joined(first: Turn, second: Turn) -> Turn:
    confidence = None
    if first.confidence is not None and second.confidence is not None:
        lengths = [first.end_s - first.start_s, second.end_s - second.start_s]
        confidence = float(np.average([first.confidence, second.confidence], weights=lengths))
    texts = [text for text in (first.text, second.text) if text]
    return replace(
        first,
        end_s=max(first.end_s, second.end_s),
        confidence=confidence,
        text=" ".join(texts) or None,
    )


def share_of_time(turns: Sequence[Turn]) -> dict[str, float]:
    """Compute the share of each speaker in the time of all turns.

    Parameters
    ----------
    turns : sequence of Turn
        The turns.

    Returns
    -------
    dict of str to float
        Shares by name, in the order in which the speakers first speak; their sum is 1.
    """
    seconds: dict[str, float] = {}
    for turn in turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end_s - turn.start_s
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()}


def frames_of(segments: np.ndarray, n_frames: int) -> np.ndarray:
    """Mark the frames of 10 ms whose centre is inside of a segment.

    Parameters
    ----------
    segments : ndarray, shape (n, 2)
        Start and end in seconds, ascending and disjoint.
    n_frames : int
        Number of frames.

    Returns
    -------
    ndarray of bool, shape (n_frames,)
        Whether each frame is inside.
    """
    marked = np.zeros(n_frames, bool)
    for start, end in np.round(np.asarray(segments).reshape(-1, 2) / FRAME_S).astype(int):
        marked[start:end] = True
    return marked


def segments_of(frames: np.ndarray, max_gap_s: float, min_length_s: float) -> np.ndarray:
    """Find the segments of marked frames.

    Parameters
    ----------
    frames : ndarray of bool, shape (F,)
        Frames of 10 ms.
    max_gap_s : float
        Shorter gaps are filled.
    min_length_s : float
        Shorter segments are left out, after gaps were filled.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Start and end in seconds.
    """
    padded = np.concatenate([[False], frames, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1]) * FRAME_S
    starts, ends = edges[::2], edges[1::2]
    apart = starts[1:] - ends[:-1] >= max_gap_s - FRAME_S / 2
    segments = np.stack([starts[np.r_[True, apart][: len(starts)]],
                         ends[np.r_[apart, True][: len(ends)]]], axis=1)  # fmt: skip
    long: np.ndarray = segments[segments[:, 1] - segments[:, 0] >= min_length_s - FRAME_S / 2]
    return long
