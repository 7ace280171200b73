"""The face in the steps of a session."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from depmm.audit.identity.compute_embeddings import join_intervals
from depmm.audit.identity.session_embeddings import FACE
from depmm.media.duration import duration_s
from depmm.media.identity.face_encoder import EMBEDDING_SIZE, FaceEncoder, face_chip
from depmm.media.video.faces import FaceTracker
from depmm.media.video.video import decode_frames

N_FRAMES = 8  # per session, spread evenly over its steps
MAX_WINDOW_S = 0.5  # in which one frame is read

Interval = tuple[float, float]


class FaceSource:
    """Embed the largest face of a few frames of a session.

    Parameters
    ----------
    encoder : FaceEncoder
        The network with its weights.
    tracker : FaceTracker
        Finds and aligns the faces.
    """

    modality = FACE
    column = "face"
    size = EMBEDDING_SIZE

    def __init__(self, encoder: FaceEncoder, tracker: FaceTracker) -> None:
        self._encoder = encoder
        self._tracker = tracker

    def embed(self, steps: pd.DataFrame, root: Path) -> tuple[np.ndarray, float]:
        """Embed the steps of a session.

        Parameters
        ----------
        steps : DataFrame
            Steps with a video of the face.
        root : Path
            Folder of the recordings.

        Returns
        -------
        embeddings : ndarray of float32, shape (n, 128)
            One embedding per frame with a face, at most 8.
        amount : float
            Number of frames with a face.
        """
        intervals = {}
        for name, rows in steps.groupby("face", sort=True):
            file = root / str(name)
            ends = rows["end_s"].to_numpy(float)
            if np.isnan(ends).any():
                ends = np.where(np.isnan(ends), duration_s(file), ends)
            intervals[file] = join_intervals(rows["start_s"].to_numpy(float), ends)
        chips = []
        for path, windows in spread_windows(intervals, N_FRAMES).items():
            for _, frame in decode_frames(path, 1 / MAX_WINDOW_S, windows):
                crop = self._tracker.track(0.0, frame).crop
                if crop is not None:
                    chips.append(face_chip(crop))
        if not chips:
            return np.zeros((0, EMBEDDING_SIZE), np.float32), 0.0
        batch = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            embeddings: np.ndarray = self._encoder(batch).numpy()
        return embeddings, float(len(chips))


def spread_windows(
    intervals: Mapping[Path, Sequence[Interval]], n: int
) -> dict[Path, list[Interval]]:
    """Choose short windows that are spread evenly over the intervals of several files.

    Parameters
    ----------
    intervals : mapping of Path to sequence of tuple of float
        Disjoint intervals of each file, seconds.
    n : int
        Number of windows.

    Returns
    -------
    dict of Path to list of tuple of float
        Windows of at most 0.5 s, which start in the middle of n equal parts of the whole time.
    """
    pieces = [(path, start, end) for path, parts in intervals.items() for start, end in parts]
    lengths = np.array([max(0.0, end - start) for _, start, end in pieces])
    before = np.cumsum(lengths) - lengths
    total = float(lengths.sum())
    windows: dict[Path, list[Interval]] = {}
    for moment in (np.arange(n) + 0.5) / n * total:
        index = int(np.searchsorted(before, moment, side="right")) - 1
        path, start, end = pieces[index]
        first = start + float(moment - before[index])
        last = min(end, first + min(MAX_WINDOW_S, total / n))
        if first < last:
            windows.setdefault(path, []).append((first, last))
    return windows
