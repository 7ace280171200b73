"""Silence, clipping and background noise of a sound, measured on the samples that are used.

The level of the background is the 10th percentile of the frame levels, and that of speech the 95th,
as in NIST's STNR (a quiet and a loud percentile of the energy histogram). Their difference is about
5 dB larger than the power ratio of speech and noise: with white noise added to real speech (GRID,
Emo-DB, RAVDESS) at 15 dB, its median is 20 to 22 dB; at 10 dB, 15 to 17 dB.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.media.sound.voice_activity import DIGITAL_SILENCE_DB, FRAME_S, HOP_S, LOUD_PERCENTILE
from depmm.media.warnings import MediaWarning

FULL_SCALE = 32_767 / 32_768  # of 16 bits: the largest sample
MAX_CLIPPED = 0.001  # clean recordings of three corpora have at most 0.00004 (normalised files)
QUIET_PERCENTILE = 10.0  # of the frame levels; more than 10 % of the frames of speech are pauses
MIN_STRETCH_S = 2.0  # shorter silence is a pause; clips of RAVDESS begin with up to 1.2 s of it
MAX_SILENT_SHARE = 0.1  # of the sound, in stretches of digital silence
MAX_SILENT_S = 60.0  # the same for long recordings
MIN_SNR_DB = 20.0  # speech 15 dB above the noise; the noisiest of three clean corpora has 21
SILENT_SHARE = 0.95  # of a sound that is digital silence as a whole


@dataclass(frozen=True)
class SoundLevel:
    """Level statistics of a sound.

    Attributes
    ----------
    seconds : float
        Length of the sound that was measured.
    clipped : float
        Share of the samples at full scale.
    silent_s : float
        Seconds of digital silence, in stretches of 2 s and more and in parts without any sound.
    snr_db : float, optional
        Level of speech above the background, in dB; None for digital silence.
    """

    seconds: float
    clipped: float
    silent_s: float
    snr_db: float | None


class SoundMeter:
    """Accumulate the level statistics of the parts of a sound.

    One level per 10 ms is kept in memory.
    """

    def __init__(self) -> None:
        self._n_samples = 0
        self._n_clipped = 0
        self._n_silent = 0  # frames
        self._levels: list[np.ndarray] = []

    def update(self, samples: np.ndarray, levels: np.ndarray) -> None:
        """Add a part, for example a step of a recording.

        Parameters
        ----------
        samples : ndarray, shape (T,)
            Samples in [-1, 1] at 16 kHz.
        levels : ndarray, shape (F,)
            Their :func:`~depmm.media.sound.voice_activity.frame_levels`.
        """
        if not len(samples):
            return
        self.update_samples(samples)
        self.update_levels(levels)

    def update_samples(self, samples: np.ndarray) -> None:
        """Count the samples of a block of a part; its levels follow at the end of the part.

        Parameters
        ----------
        samples : ndarray, shape (T,)
            At least one sample in [-1, 1] at 16 kHz.
        """
        self._n_samples += len(samples)
        if samples.max() >= FULL_SCALE or samples.min() <= -FULL_SCALE:
            self._n_clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))

    def update_levels(self, levels: np.ndarray) -> None:
        """Add the levels of a part whose samples were counted.

        Parameters
        ----------
        levels : ndarray, shape (F,)
            The :func:`~depmm.media.sound.voice_activity.frame_levels` of the whole part.
        """
        self._n_silent += _frames_in_stretches(levels < DIGITAL_SILENCE_DB)
        self._levels.append(levels.astype(np.float32))

    def add(self, other: "SoundMeter") -> None:
        """Add the parts of another sound.

        Parameters
        ----------
        other : SoundMeter
            Its statistics.
        """
        self._n_samples += other._n_samples
        self._n_clipped += other._n_clipped
        self._n_silent += other._n_silent
        self._levels += other._levels

    @property
    def seconds(self) -> float:
        """Length of all parts."""
        return self._n_samples / SAMPLE_RATE

    @property
    def clipped(self) -> float:
        """Share of the samples at full scale; 0 without samples."""
        return self._n_clipped / max(1, self._n_samples)

    @property
    def silent_s(self) -> float:
        """Length of digital silence in seconds, as in :class:`SoundLevel`."""
        # a frame is longer than its hop: all frames of a sound represent its length
        return self.seconds * self._n_silent / max(1, sum(map(len, self._levels)))

    def result(self) -> SoundLevel | None:
        """Compute the statistics of all parts.

        Returns
        -------
        SoundLevel or None
            None without samples.
        """
        if not self._n_samples:
            return None
        levels = np.concatenate(self._levels)
        quiet, loud = np.percentile(levels, [QUIET_PERCENTILE, LOUD_PERCENTILE])
        snr_db = None if loud < DIGITAL_SILENCE_DB else float(loud - quiet)
        return SoundLevel(self.seconds, self.clipped, self.silent_s, snr_db)


def sound_warnings(meter: SoundMeter, part: str) -> Iterator[MediaWarning]:
    """List what makes a sound unsuitable.

    Parameters
    ----------
    meter : SoundMeter
        Its statistics.
    part : str
        What was measured, for example ``"its 52 steps"``.

    Yields
    ------
    MediaWarning
        ``digital_silence`` and ``clipping``, each at most once.
    """
    if not meter.seconds:
        return
    silent_s, clipped = meter.silent_s, meter.clipped
    share = silent_s / meter.seconds
    measured = f"measured on {part}, {meter.seconds:.1f} s"
    if share > SILENT_SHARE:
        yield MediaWarning(
            "digital_silence",
            f"the sound is digital silence (below {DIGITAL_SILENCE_DB:.0f} dB of full scale; "
            f"{measured}).",
            "Check the microphone and the export; set track: or channel: in the spec if the voice "
            "is in another one.",
            silent_s,
        )
    elif share > MAX_SILENT_SHARE or silent_s > MAX_SILENT_S:
        yield MediaWarning(
            "digital_silence",
            f"{silent_s:.1f} s of the sound ({100 * share:.0f} %) are digital silence "
            f"(below {DIGITAL_SILENCE_DB:.0f} dB of full scale, at least {MIN_STRETCH_S:g} s or a "
            f"whole step; above {100 * MAX_SILENT_SHARE:.0f} % or {MAX_SILENT_S:.0f} s; "
            f"{measured}).",
            "Check whether parts of the recording were muted or are missing.",
            silent_s,
        )
    if clipped > MAX_CLIPPED:
        yield MediaWarning(
            "clipping",
            f"{100 * clipped:.2f} % of the samples are at full scale (above "
            f"{100 * MAX_CLIPPED:.1f} %; {measured}); the sound is clipped.",
            "Use another recording, or record at a lower level.",
            clipped,
        )


def _frames_in_stretches(silent: np.ndarray) -> int:
    """Count the frames in long stretches of silence; all if every frame is silent."""
    count = int(np.count_nonzero(silent))
    if count in (0, len(silent)):
        return count
    edges = np.flatnonzero(np.diff(silent.astype(np.int8), prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    longest_pause = round((MIN_STRETCH_S - FRAME_S) / HOP_S)
    return int(lengths[lengths > longest_pause].sum())
