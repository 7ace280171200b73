"""Search of recordings with the same picture by their motion."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from depmm.audit.findings import Copy, File
from depmm.media.video.motion import RATE, MotionSignature

MIN_CORRELATION = 0.62
MIN_OVERLAP = 0.6  # share of the shorter signature
MAX_SHIFT = int(1.2 * RATE)  # largest shift, 1.2 s
N_PROJECTED = 32  # random projections of the cells that select the pairs to compare
CANDIDATE_CORRELATION = 0.4  # of the projections
BLOCK = 512  # signatures that are compared with all others at once


def find_motion_copies(signatures: Mapping[File, MotionSignature]) -> list[Copy]:
    """Find pairs of videos that move alike at one shift of time.

    In 48 videos of 12 speakers, most of 3 s and of one speaker in one studio, other videos
    correlate at most by .59.

    Parameters
    ----------
    signatures : mapping of tuple to MotionSignature
        Signatures by file.

    Returns
    -------
    list of Copy
        Pairs in the order of the files.
    """
    files = sorted(signatures)
    if len(files) < 2:
        return []
    copies = []
    for first, second in _select_candidates([signatures[file].changes for file in files]):
        one, other = (signatures[files[index]].changes for index in (first, second))
        correlation, shift = _correlate(one.astype(np.float32), other.astype(np.float32))
        if correlation >= MIN_CORRELATION:
            copies.append(Copy("video", files[first], files[second], correlation, shift / RATE))
    return copies


def _select_candidates(changes: list[NDArray[np.int8]]) -> Iterator[tuple[int, int]]:
    """Yield the pairs whose projections correlate at any shift."""
    longest = max(map(len, changes))
    n_cells = changes[0].shape[1]
    projection = np.random.default_rng(0).normal(size=(n_cells, N_PROJECTED)).astype(np.float32)
    projected = np.zeros((len(changes), longest + 2 * MAX_SHIFT, N_PROJECTED), np.float32)
    for row, values in enumerate(changes):
        part = values.astype(np.float32) @ projection
        projected[row, MAX_SHIFT : MAX_SHIFT + len(part)] = part / np.linalg.norm(part)
    for start in range(0, len(changes), BLOCK):
        block = projected[start : start + BLOCK, MAX_SHIFT : MAX_SHIFT + longest]
        block = block.reshape(len(block), -1)
        best = np.zeros((len(block), len(changes)), np.float32)
        for shift in range(2 * MAX_SHIFT + 1):
            shifted = projected[:, shift : shift + longest].reshape(len(changes), -1)
            np.maximum(best, block @ shifted.T, out=best)
        for row, column in np.argwhere(best >= CANDIDATE_CORRELATION):
            if start + row < column:
                yield int(start + row), int(column)


def _correlate(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[float, int]:
    """Compute the largest correlation, and by how many times the second one is late."""
    best, best_shift = 0.0, 0
    least = MIN_OVERLAP * min(len(first), len(second))
    for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
        one, other = first[max(0, -shift) :], second[max(0, shift) :]
        n_times = min(len(one), len(other))
        if n_times < least:
            continue
        one, other = one[:n_times].ravel(), other[:n_times].ravel()
        norm = float(np.sqrt((one @ one) * (other @ other)))
        correlation = float(one @ other) / norm if norm else 0.0
        if correlation > best:
            best, best_shift = correlation, shift
    return best, best_shift
