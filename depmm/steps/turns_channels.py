"""Turns from two channels: each speaker has an own microphone.

A microphone also records the other speaker, more quietly (crosstalk). The difference of the levels
of both channels has one mode for each speaker. A speaker is active where the own channel contains
speech and the difference is not that of the other speaker alone; where both speak, the difference
is between the modes, and both are active.

References
----------
Pfau, Ellis and Stolcke, "Multispeaker speech activity detection for the ICSI meeting recorder",
ASRU 2001, 107-110 (crosstalk is told from the own voice by comparing the energies of the channels).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from depmm.steps.table import StepsError
from depmm.steps.turns import FRAME_S, MIN_TURN_S, Turn, frames_of, join_turns, segments_of

MIN_SEPARATION_DB = 6.0  # between the modes; below it, both channels contain the same mixture
_SMOOTH_S = 0.2  # over which levels are averaged
_RANGE_DB = 50.0  # below the loudest part of a channel, a level is that of its silence
_MAX_GAP_S = 0.3


@dataclass(frozen=True)
class ChannelTurns:
    """The turns of the speakers of two channels.

    Attributes
    ----------
    turns : list of Turn
        Turns with the speakers ``channel_0`` and ``channel_1``; they may overlap.
    separation_db : float
        Distance of the modes of the level difference: crosstalk is on average half of it quieter
        than the own voice.
    overlap_s : float
        Seconds in which both speak.
    """

    turns: list[Turn]
    separation_db: float
    overlap_s: float


def find_channel_turns(
    levels_db: Sequence[np.ndarray], speech: Sequence[np.ndarray]
) -> ChannelTurns:
    """Find the turns of two speakers with a channel each.

    Parameters
    ----------
    levels_db : sequence of 2 ndarrays, each of shape (F,)
        Levels of the channels every 10 ms in dB re full scale, see
        :func:`depmm.media.sound.voice_activity.frame_levels`.
    speech : sequence of 2 ndarrays, each of shape (n, 2)
        Start and end of the segments of speech of each channel in seconds.

    Returns
    -------
    ChannelTurns
        The turns.

    Raises
    ------
    StepsError
        If a channel contains no speech, or both contain the same mixture of voices.
    """
    for channel, segments in enumerate(speech):
        if not len(segments):
            raise StepsError(
                f"Channel {channel} contains no speech.",
                setting="speakers",
                value=channel,
                remedy="Use --speakers voices if one microphone recorded both speakers.",
            )
    n_frames = min(map(len, levels_db))
    in_speech = [frames_of(segments, n_frames) for segments in speech]
    first, second = (_smooth(levels[:n_frames]) for levels in levels_db)
    difference = first - second
    low, high = _find_modes(difference[in_speech[0] | in_speech[1]])
    separation = high - low
    if separation < MIN_SEPARATION_DB:
        raise StepsError(
            f"Both channels contain the same voices: their levels differ by {separation:.1f} dB "
            f"between the speakers, less than {MIN_SEPARATION_DB:g} dB.",
            setting="speakers",
            value=separation,
            remedy="Use --speakers voices.",
        )
    centre, margin = (low + high) / 2, separation / 4
    toward = [difference - (centre - margin), (centre + margin) - difference]
    turns, active = [], []
    for channel in (0, 1):
        frames = in_speech[channel] & (toward[channel] > 0)
        segments = segments_of(frames, _MAX_GAP_S, MIN_TURN_S)
        active.append(frames_of(segments, n_frames))
        clear = np.clip(toward[channel] / (separation / 2 + margin), 0, 1)
        for start, end in segments.tolist():
            part = clear[round(start / FRAME_S) : round(end / FRAME_S)]
            turns.append(Turn(start, end, f"channel_{channel}", float(part.mean())))
    overlap_s = float((active[0] & active[1]).sum()) * FRAME_S
    return ChannelTurns(join_turns(turns), float(separation), overlap_s)


def _smooth(levels_db: np.ndarray) -> np.ndarray:
    """Average the power over 0.2 s, and limit silence to 50 dB below the loudest part."""
    width = round(_SMOOTH_S / FRAME_S)
    power = np.convolve(10 ** (levels_db / 10), np.ones(width) / width, "same")
    lowest = np.percentile(power, 99) * 10 ** (-_RANGE_DB / 10)
    smooth: np.ndarray = 10 * np.log10(np.maximum(power, max(lowest, 1e-12)))
    return smooth


def _find_modes(values: np.ndarray) -> tuple[float, float]:
    """Find two modes with k-means; the medians are robust against overlap."""
    low, high = np.percentile(values, [5, 95])
    for _ in range(20):
        is_high = values > (low + high) / 2
        if is_high.all() or not is_high.any():
            return float(np.median(values)), float(np.median(values))
        low, high = np.median(values[~is_high]), np.median(values[is_high])
    return float(low), float(high)
