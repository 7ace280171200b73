"""Search of recordings with the same sound by their fingerprints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depmm.audit.findings import Copy, File
from depmm.config import SAMPLE_RATE
from depmm.media.sound.fingerprint import HOP, SoundFingerprint

MIN_MATCHES = 8  # equal pairs of peaks at one shift
MIN_SHARE = 0.06  # of the pairs of the recording with fewer pairs
N_PARTS, MIN_PARTS = 8, 5  # equal pairs must lie in most parts, so that a common prompt is no copy
MAX_REPEATED = 64  # pairs of peaks that more recordings contain say nothing
MAX_TOTAL = 4_000_000  # pairs that are compared, which bounds memory


@dataclass(frozen=True)
class _Table:
    """Pairs of peaks of all recordings at one stride, sorted by pair."""

    pairs: NDArray[np.uint32]
    frames: NDArray[np.int32]
    file: NDArray[np.int32]


def find_sound_copies(fingerprints: Mapping[File, SoundFingerprint]) -> list[Copy]:
    """Find pairs of recordings whose fingerprints agree at one shift of time.

    In 339 recordings of two corpora, with the same sentences of several speakers, other recordings
    share at most 2.2 % of their pairs at one shift. Copies after gain, encoding at 24 to 32 kbit/s,
    trimming by 50 ms or noise at 20 dB share at least 26 %, with noise at 10 dB at least 5 %. The
    rates come from ``experiments/benchmarks/statistics/copied_recordings.py``.

    Parameters
    ----------
    fingerprints : mapping of tuple to SoundFingerprint
        Fingerprints by file.

    Returns
    -------
    list of Copy
        Pairs in the order of the files.
    """
    files = sorted(file for file, found in fingerprints.items() if len(found.pairs))
    strides = np.array([fingerprints[file].stride for file in files], dtype=np.int64)
    copies = []
    for stride in sorted(set(strides.tolist())):
        # recordings of this stride are compared with one another and with the denser ones
        members = np.flatnonzero(strides <= stride)
        thinned = _thin([fingerprints[files[index]] for index in members], stride)
        sizes = np.array([len(found.pairs) for found in thinned])
        table = _sort_pairs(thinned)
        of_stride = strides[members] == stride
        for first, second, matches, shift, frames in _agreeing(table, of_stride):
            size = min(sizes[first], sizes[second])
            shorter = thinned[first if sizes[first] == size else second]
            n_parts = _count_parts(frames if sizes[first] == size else frames + shift, shorter)
            if matches >= MIN_SHARE * size and n_parts >= MIN_PARTS:
                one, other = files[members[first]], files[members[second]]
                shift_s = shift * HOP / SAMPLE_RATE
                copies.append(Copy("sound", one, other, matches / size, shift_s))
    return sorted(copies, key=lambda copy: (copy.first, copy.second))


def _thin(found: list[SoundFingerprint], stride: int) -> list[SoundFingerprint]:
    thinned = [each.thinned(stride) for each in found]
    while sum(len(each.pairs) for each in thinned) > MAX_TOTAL:
        stride *= 2
        thinned = [each.thinned(stride) for each in thinned]
    return thinned


def _sort_pairs(found: list[SoundFingerprint]) -> _Table:
    pairs = np.concatenate([each.pairs for each in found])
    frames = np.concatenate([each.frames for each in found])
    file = np.repeat(np.arange(len(found), dtype=np.int32), [len(each.pairs) for each in found])
    order = np.lexsort((file, pairs))
    return _Table(pairs[order], frames[order], file[order])


def _agreeing(
    table: _Table, of_stride: NDArray[np.bool_]
) -> Iterator[tuple[int, int, int, int, NDArray[np.int32]]]:
    """Yield two files, their number of equal pairs at a shift, the shift, and the first times."""
    _, starts, counts = np.unique(table.pairs, return_index=True, return_counts=True)
    rare = np.repeat(counts <= MAX_REPEATED, counts)
    ends = np.repeat(starts + counts, counts)
    keys, shifts, times = [], [], []
    n_files = len(of_stride)
    for ahead in range(1, min(MAX_REPEATED, int(counts.max(initial=1)))):
        index = np.flatnonzero(rare & (np.arange(len(ends)) + ahead < ends))
        first, second = table.file[index], table.file[index + ahead]
        used = (first != second) & (of_stride[first] | of_stride[second])
        index, first, second = index[used], first[used], second[used]
        keys.append(first.astype(np.int64) * n_files + second)
        shifts.append(table.frames[index + ahead] - table.frames[index])
        times.append(table.frames[index])
    if not keys:
        return
    key, shift, time = np.concatenate(keys), np.concatenate(shifts), np.concatenate(times)
    pair, code, count = np.unique(key, return_inverse=True, return_counts=True)
    for candidate in np.flatnonzero(count >= MIN_MATCHES):
        rows = np.flatnonzero(code == candidate)
        found, best = _best_shift(shift[rows])
        at_best = time[rows][np.abs(shift[rows] - best) <= 1]
        if found >= MIN_MATCHES:
            yield *divmod(int(pair[candidate]), n_files), found, best, at_best


def _best_shift(shifts: NDArray[np.int32]) -> tuple[int, int]:
    """Find the shift, of one frame more or less, that most equal pairs have."""
    values, counts = np.unique(shifts, return_counts=True)
    low = np.searchsorted(values, values - 1)
    high = np.searchsorted(values, values + 1, side="right")
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    near = cumulative[high] - cumulative[low]
    return int(near.max()), int(values[near.argmax()])


def _count_parts(frames: NDArray[np.int32], found: SoundFingerprint) -> int:
    """Count the parts of a recording, of equally many pairs, with equal pairs."""
    edges = np.quantile(found.frames, np.linspace(0, 1, N_PARTS + 1)[1:-1])
    return len(np.unique(np.searchsorted(edges, frames)))
