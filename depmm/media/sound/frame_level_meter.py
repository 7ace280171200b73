"""Levels of the frames of a sound as a histogram, in memory that does not grow with its length."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from depmm.media.sound.sound_level import QUIET_PERCENTILE
from depmm.media.sound.voice_activity import DIGITAL_SILENCE_DB, FRAME_S, HOP_S, LOUD_PERCENTILE

GRAIN_S = 0.005  # frame and hop are multiples of it
MIN_DB, MAX_DB, BIN_DB = -120.0, 20.0, 0.01
MIN_POWER = 1e-12  # -120 dB
ONSET_DB = -30.0  # re the loud level: a quieter frame is silence


class FrameLevelMeter:
    """Accumulate the levels of frames of 25 ms every 10 ms, without their constant part.

    Parameters
    ----------
    rate : int
        Sample rate in Hz, at least 1000.
    """

    def __init__(self, rate: int) -> None:
        self._grain = round(GRAIN_S * rate)
        self._width, self._hop = round(FRAME_S / GRAIN_S), round(HOP_S / GRAIN_S)
        self._hop_s = self._hop * self._grain / rate
        self._rest = np.zeros(0)
        self._counts = np.zeros(round((MAX_DB - MIN_DB) / BIN_DB) + 1, np.int64)
        self._n_frames = 0
        self._onsets: list[tuple[int, int]] = []  # frames above all earlier ones, with their bin

    def update(self, samples: np.ndarray) -> None:
        """Add samples that follow those of the previous call.

        Parameters
        ----------
        samples : ndarray of float64, shape (T,)
            One channel.
        """
        samples = np.concatenate([self._rest, samples])
        n_grains = len(samples) // self._grain
        n_frames = max(0, (n_grains - self._width) // self._hop + 1)
        self._rest = samples[n_frames * self._hop * self._grain :]
        if not n_frames:
            return
        grains = samples[: n_grains * self._grain].reshape(n_grains, self._grain)
        n_samples = self._width * self._grain
        mean, square = (
            sliding_window_view(sums, self._width)[:: self._hop].sum(axis=1) / n_samples
            for sums in (grains.sum(axis=1), (grains**2).sum(axis=1))
        )
        level_db = 10 * np.log10(np.maximum(square - mean**2, MIN_POWER))
        bins = np.rint((np.minimum(level_db, MAX_DB) - MIN_DB) / BIN_DB).astype(np.int64)
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._add_onsets(bins)
        self._n_frames += len(bins)

    def _add_onsets(self, bins: np.ndarray) -> None:
        highest = self._onsets[-1][1] if self._onsets else -1
        before = np.concatenate([[highest], np.maximum.accumulate(bins)[:-1]])
        for frame in np.flatnonzero(bins > np.maximum(before, highest)).tolist():
            self._onsets.append((self._n_frames + frame, int(bins[frame])))

    def statistics(self) -> dict[str, float]:
        """Compute the level of the background, and where the sound begins.

        The background is the 10th percentile of the levels and speech the 95th, as in
        :mod:`depmm.media.sound.sound_level`. The sound begins with the first frame above the middle
        of both, or above 30 dB below the level of speech if that is higher.

        Returns
        -------
        dict of str to float
            ``noise_floor_db`` and, unless the sound is digital silence, ``snr_db`` and
            ``leading_silence_s``; empty for a sound shorter than a frame.
        """
        if not self._n_frames:
            return {}
        quiet, loud = (self._percentile(q) for q in (QUIET_PERCENTILE, LOUD_PERCENTILE))
        if loud < DIGITAL_SILENCE_DB:
            return {"noise_floor_db": quiet}
        threshold = max((quiet + loud) / 2, loud + ONSET_DB)
        first = next(k for k, level in self._onsets if level * BIN_DB + MIN_DB >= threshold)
        return {
            "noise_floor_db": quiet,
            "snr_db": loud - quiet,
            "leading_silence_s": first * self._hop_s,
        }

    def _percentile(self, q: float) -> float:
        rank = q / 100 * (self._n_frames - 1)
        index = int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))
        return index * BIN_DB + MIN_DB
