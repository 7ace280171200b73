"""Mix the channels of a sound track to one; leave out inverted and dead channels.

The mean of a channel and its inverted copy is silence, and the mean with a dead channel is 6 dB too
quiet. Such channels are detected from the levels and correlations of the channels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from depmm.errors import count_of
from depmm.media.errors import MediaError
from depmm.media.sound.voice_activity import DIGITAL_SILENCE_DB
from depmm.media.warnings import MediaWarning

DEAD_DB = -40.0  # re the loudest channel; crosstalk between two microphones is rarely so low
INVERTED = -0.8  # correlation; the mean of such channels is at least 10 dB below their level
CHOOSE_CHANNEL = (
    "To use another channel, set channel: of this recording in the spec; for depmm predict, save "
    "the channel as a file."
)

Mix = Callable[[np.ndarray], np.ndarray]
"""Function from samples, shape (C, T), to one channel, shape (T,)."""


class ChannelMeter:
    """Accumulate the levels and correlations of channels while their mean is computed.

    Attributes
    ----------
    n_channels : int
        Number of channels; 0 before the first block.
    n_samples : int
        Number of samples of each channel.
    """

    def __init__(self) -> None:
        self.n_channels = 0
        self.n_samples = 0
        self._is_measuring = True
        self._is_constant = True  # the number of channels
        self._pending: list[np.ndarray] = []
        self._n_pending = 0
        self._sum: np.ndarray = np.zeros(0)
        self._products: np.ndarray = np.zeros((0, 0))

    def mean(self, block: np.ndarray) -> np.ndarray:
        """Measure a block and mix it.

        Parameters
        ----------
        block : ndarray of float32, shape (C, T)
            Samples that follow those of the previous call.

        Returns
        -------
        ndarray of float32, shape (T,)
            The mean of the channels.
        """
        if self._is_measuring:
            self.update(block)
        mean: np.ndarray = block.mean(axis=0)
        return mean

    def update(self, block: np.ndarray) -> None:
        """Measure a block.

        Parameters
        ----------
        block : ndarray of float32, shape (C, T)
            The samples.
        """
        self._is_constant &= self.n_channels in (0, len(block))
        self.n_channels = len(block)
        self.n_samples += block.shape[1]
        if self.n_channels == 1 or not self._is_constant:
            return
        self._pending.append(block)
        self._n_pending += block.shape[1]
        if self._n_pending >= 1 << 17:  # few large products are faster than one per block
            self._add_pending()

    def stop(self) -> None:
        """Stop measuring: :meth:`mean` only mixes from now on."""
        self._is_measuring = False

    def _add_pending(self) -> None:
        if not self._pending:
            return
        if not len(self._sum):
            self._sum = np.zeros(self.n_channels)
            self._products = np.zeros((self.n_channels, self.n_channels))
        samples = np.concatenate(self._pending, axis=1)
        self._pending, self._n_pending = [], 0
        with np.errstate(invalid="ignore", over="ignore"):  # the decoder refuses NaN and infinity
            self._sum += samples.sum(axis=1)
            self._products += samples @ samples.T

    def choose(self) -> "ChannelChoice":
        """Decide which channels are used.

        The channels are examined from the loudest to the quietest. A channel is dead if its level
        is more than 40 dB below that of the loudest, and inverted if its correlation with a louder
        channel that is used is below -0.8. The level is that of the whole sound, without its
        constant part. If the number of channels changes, all are used.

        Returns
        -------
        ChannelChoice
            The decision.
        """
        everything = ChannelChoice(tuple(range(self.n_channels)), self.n_channels)
        if self.n_channels < 2 or not self._is_constant:
            return everything
        self._add_pending()
        if not np.isfinite(self._products).all():
            return everything
        mean = self._sum / self.n_samples
        covariance = self._products / self.n_samples - np.outer(mean, mean)
        power = np.maximum(np.diag(covariance), 0.0)
        level_db = 10 * np.log10(np.maximum(power, 1e-12))
        order = np.argsort(-power, kind="stable").tolist()
        loudest = order[0]
        if level_db[loudest] < DIGITAL_SILENCE_DB:
            return everything
        scale = np.sqrt(np.maximum(power, 1e-24))
        correlation = covariance / np.outer(scale, scale)
        used: list[int] = []
        dead: dict[int, float] = {}
        inverted: dict[int, tuple[int, float]] = {}
        for channel in order:
            if power[channel] < 10 ** (DEAD_DB / 10) * power[loudest]:
                dead[channel] = float(level_db[loudest] - level_db[channel])
                continue
            other = min(used, key=lambda k: correlation[channel, k], default=None)
            if other is not None and correlation[channel, other] < INVERTED:
                inverted[channel] = other, float(correlation[channel, other])
                continue
            used.append(channel)
        return ChannelChoice(tuple(sorted(used)), self.n_channels, dead, inverted)

    def is_silent(self) -> bool:
        """Tell whether no channel has a sound, so that nothing can be decided.

        Returns
        -------
        bool
            Whether all levels are those of digital silence.
        """
        if not self._is_constant:
            return False
        self._add_pending()
        power = np.diag(self._products) / max(1, self.n_samples)
        return bool(power.max(initial=0.0) < 10 ** (DIGITAL_SILENCE_DB / 10))


@dataclass(frozen=True)
class ChannelChoice:
    """The channels of a sound track whose mean is used.

    Attributes
    ----------
    used : tuple of int
        Indices of the channels, ascending.
    n_channels : int
        Number of channels of the track.
    dead : dict of int to float
        Dead channels, with their distance to the loudest channel in dB.
    inverted : dict of int to tuple of (int, float)
        Inverted channels, with a louder channel and their correlation with it.
    """

    used: tuple[int, ...]
    n_channels: int
    dead: dict[int, float] = field(default_factory=dict)
    inverted: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def is_everything(self) -> bool:
        """Whether the mean of all channels is used, whatever their number is."""
        return len(self.used) == self.n_channels

    def mix(self, block: np.ndarray) -> np.ndarray:
        """Mix a block.

        Parameters
        ----------
        block : ndarray of float32, shape (C, T)
            The samples.

        Returns
        -------
        ndarray of float32, shape (T,)
            The mean of the used channels.
        """
        used = block if self.is_everything else block[list(self.used)]
        mixed: np.ndarray = used.mean(axis=0)
        return mixed

    def warnings(self) -> Iterator[MediaWarning]:
        """Describe the channels that are not used.

        Yields
        ------
        MediaWarning
            ``dead_channel`` and ``inverted_channels``, each at most once.
        """
        names = ", ".join(map(str, self.used))
        used = f"channel {names}" if len(self.used) == 1 else f"the mean of the channels {names}"
        if self.dead:
            levels = [f"channel {name} is {db:.0f} dB" for name, db in sorted(self.dead.items())]
            yield MediaWarning(
                "dead_channel",
                f"dead channels of the sound: {len(self.dead)} of {self.n_channels} ("
                f"{', '.join(levels)} below the loudest; more than {-DEAD_DB:.0f} dB). The whole "
                f"file is read from {used}.",
                f"Check the microphones. {CHOOSE_CHANNEL}",
                max(self.dead.values()),
            )
        if self.inverted:
            pairs = [
                f"channel {name} with channel {other}: {correlation:.2f}"
                for name, (other, correlation) in sorted(self.inverted.items())
            ]
            yield MediaWarning(
                "inverted_channels",
                f"inverted channels of the sound: {len(self.inverted)} of {self.n_channels} "
                f"(correlation of {', '.join(pairs)}; below {INVERTED}); the mean with the others "
                f"would cancel the sound. The whole file is read from {used}.",
                f"Check the cables and the export of the recording. {CHOOSE_CHANNEL}",
                min(correlation for _, correlation in self.inverted.values()),
            )


def channel_mix(path: Path, channel: int) -> Mix:
    """Build the function that selects a channel.

    Parameters
    ----------
    path : Path
        The file, for messages.
    channel : int
        Index of the channel, from 0.

    Returns
    -------
    callable
        The function; it raises a :class:`~depmm.media.errors.MediaError` if the sound has fewer
        channels.
    """

    def select(block: np.ndarray) -> np.ndarray:
        if not 0 <= channel < len(block):
            raise MediaError(
                path,
                f"channel {channel} does not exist: the sound track has "
                f"{count_of(len(block), 'channel')}, counted from 0.",
                f"Set channel: of this recording in the spec to a number from 0 to "
                f"{len(block) - 1}."
                if len(block) > 1
                else "Remove channel: of this recording from the spec; for depmm predict, save the "
                f"sound as channel {channel} of a file; for depmm steps, use other --speakers.",
                setting="channel",
                value=channel,
            )
        return np.ascontiguousarray(block[channel])

    return select
