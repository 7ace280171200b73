"""Statistics of a sound at the sample rate and with the channels of its file."""

import numpy as np

from depmm.media.sound.channels import Mix
from depmm.media.sound.frame_level_meter import MIN_POWER, FrameLevelMeter
from depmm.media.sound.sound_level import FULL_SCALE
from depmm.media.sound.spectrum_meter import SpectrumMeter

PART_VALUES = 1 << 20  # samples of all channels that are measured at once: 4 MiB
MIN_RUN = 3  # equal samples at the extreme of a recording; unclipped speech has one or two
MIN_CLIPPED_LEVEL = 0.01  # of full scale; quieter sounds have equal samples by their resolution


class SourceMeter:
    """Measure the blocks of a sound while they are mixed to one channel.

    Peak, constant part and clipping are those of the channel with the largest value, all others
    those of the mix.

    Parameters
    ----------
    rate : int
        Sample rate of the file in Hz.
    channel : int, optional
        The only channel that is used; by default all are measured.
    """

    def __init__(self, rate: int, channel: int | None = None) -> None:
        self._rate = rate
        self._channel = channel
        self._reset()

    def _reset(self) -> None:
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_pending = 0
        self._channels = _ChannelExtremes()
        self._levels = FrameLevelMeter(self._rate)
        self._spectrum = SpectrumMeter(self._rate)
        self._n_samples, self._sum, self._squares = 0, 0.0, 0.0

    def observe(self, mix: Mix) -> Mix:
        """Wrap the function that mixes the channels, so that it also measures; start anew.

        Parameters
        ----------
        mix : callable
            Function from samples, shape (C, T), to one channel, shape (T,).

        Returns
        -------
        callable
            A function with the same result.
        """
        self._reset()

        def mix_and_measure(block: np.ndarray) -> np.ndarray:
            mono = mix(block)
            one_channel = self._channel is not None or len(block) == 1
            self._add(mono[None] if one_channel else block, mono)
            return mono

        return mix_and_measure

    def _add(self, block: np.ndarray, mono: np.ndarray) -> None:
        if self._pending and len(self._pending[-1][0]) != len(block):
            self._flush()
        self._pending.append((block, mono))
        self._n_pending += block.size
        if self._n_pending >= PART_VALUES:  # few large parts are faster than one per block
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        block = np.concatenate([block for block, _ in self._pending], axis=1)
        mono = block[0]
        if len(block) > 1:
            mono = np.concatenate([mono for _, mono in self._pending])
        self._pending, self._n_pending = [], 0
        if not len(mono) or not self._channels.update(block):
            return
        self._spectrum.update(mono)
        exact = mono.astype(np.float64)
        self._levels.update(exact)
        self._n_samples += len(exact)
        self._sum += float(exact.sum())
        self._squares += float(exact @ exact)

    def statistics(self) -> dict[str, float]:
        """Compute the statistics of the sound.

        Returns
        -------
        dict of str to float
            Values of the columns ``rms_db`` to ``leading_silence_s`` of
            :data:`depmm.schemas.recordings.RECORDINGS`, without those that are undefined.
        """
        self._flush()
        if not self._n_samples:
            return {}
        mean = self._sum / self._n_samples
        power = self._squares / self._n_samples - mean**2
        spectral = {
            "bandwidth_hz": self._spectrum.bandwidth_hz(),
            "hum_db": self._spectrum.hum_db(),
        }
        return {
            "rms_db": float(10 * np.log10(max(power, MIN_POWER))),
            **self._channels.statistics(),
            **self._levels.statistics(),
            **{name: value for name, value in spectral.items() if value is not None},
        }


class _ChannelExtremes:
    """Accumulate peak, mean and clipped samples of each channel."""

    def __init__(self) -> None:
        self._parts: dict[int, _Totals] = {}  # by number of channels, which may change

    def update(self, block: np.ndarray) -> bool:
        """Add a block; refuse it if a sample is not finite, for which the decoder ends."""
        extremes = np.stack([block.max(axis=1), -block.min(axis=1)])
        if not np.isfinite(extremes).all():
            return False
        totals = self._parts.setdefault(len(block), _Totals(len(block)))
        totals.n_samples += block.shape[1]
        totals.sums += block.sum(axis=1, dtype=float)
        for side, values in enumerate(extremes.tolist()):
            for channel, value in enumerate(values):
                totals.add_extreme(side, channel, block[channel], value)
        return True

    def statistics(self) -> dict[str, float]:
        parts = self._parts.values()
        means = [part.sums / part.n_samples for part in parts]
        dc_offset = max(np.concatenate(means).tolist(), key=abs)
        peak = max(float(part.extreme.max()) for part in parts)
        clipped = max(float(part.n_clipped.sum(axis=0).max() / part.n_samples) for part in parts)
        return {
            "peak_db": float(20 * np.log10(max(peak, np.sqrt(MIN_POWER)))),
            "dc_offset": dc_offset,
            "clipped_share": clipped,
        }


class _Totals:
    """Sums of the blocks with the same number of channels; rows are maximum and minimum."""

    def __init__(self, n_channels: int) -> None:
        self.n_samples = 0
        self.sums = np.zeros(n_channels)
        self.extreme = np.full((2, n_channels), -np.inf)
        self.n_clipped = np.zeros((2, n_channels), np.int64)

    def add_extreme(self, side: int, channel: int, samples: np.ndarray, value: np.float32) -> None:
        """Count the clipped samples of a channel at its maximum, or the negated minimum."""
        known, sign = self.extreme[side, channel], 1 - 2 * side
        if value > known:
            self.extreme[side, channel] = value
            if known < FULL_SCALE:
                self.n_clipped[side, channel] = 0
        if value >= FULL_SCALE:
            self.n_clipped[side, channel] += np.count_nonzero(sign * samples >= FULL_SCALE)
        elif value >= max(known, MIN_CLIPPED_LEVEL):
            self.n_clipped[side, channel] += _count_in_runs(samples == sign * value)


def _count_in_runs(marked: np.ndarray) -> int:
    """Count the values in runs of at least ``MIN_RUN``."""
    if np.count_nonzero(marked) < MIN_RUN:  # unless the sound is clipped
        return 0
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= MIN_RUN].sum())
