"""The sets of measures: which measures a set has, and how they are computed from a session.

A further set is one name in `SetName` and one case in each of the two functions below.
"""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.errors import did_you_mean
from depmm.measures.measure import Measure, MeasureError
from depmm.store.session_file import SessionReader

SetName = Literal["voice", "face", "egemaps", "timing"]
SET_NAMES: tuple[SetName, ...] = get_args(SetName)
SESSION_SETS: frozenset[str] = frozenset({"timing"})  # one row per session, not per step
MEASURES_VERSION = 2  # increase it when a code change alters a value


def parse_sets(names: Iterable[str]) -> list[SetName]:
    """Check the names of sets.

    Parameters
    ----------
    names : iterable of str
        Names, for example from the command line.

    Returns
    -------
    list of str
        The names without duplicates, in the order of `SET_NAMES`.

    Raises
    ------
    MeasureError
        If a name is unknown.
    """
    given = list(names)
    for name in given:
        if name not in SET_NAMES:
            raise MeasureError(
                f"{name!r} is not a set of measures.",
                setting="set",
                value=name,
                remedy=did_you_mean(name, SET_NAMES),
            )
    return [name for name in SET_NAMES if name in given]


def measures_of(name: SetName) -> tuple[Measure, ...]:
    """Return the measures of a set.

    Parameters
    ----------
    name : str
        Name of the set.

    Returns
    -------
    tuple of Measure
        The measures, in the order of their columns.
    """
    match name:
        case "voice":
            from depmm.measures.voice import VOICE_MEASURES

            return VOICE_MEASURES
        case "face":
            from depmm.measures.face import FACE_MEASURES

            return FACE_MEASURES
        case "egemaps":
            from depmm.measures.egemaps import EGEMAPS_MEASURES

            return EGEMAPS_MEASURES
        case "timing":
            from depmm.measures.timing import TIMING_MEASURES

            return TIMING_MEASURES


def measure_session(name: SetName, reader: SessionReader) -> np.ndarray:
    """Compute the measures of a set from a session.

    Parameters
    ----------
    name : str
        Name of the set.
    reader : SessionReader
        The open session.

    Returns
    -------
    ndarray of float64, shape (L, K)
        One row per step, in sets of `SESSION_SETS` one row; NaN where a measure is undefined.
    """
    steps = range(reader.summary["n_steps"])
    match name:
        case "voice":
            from depmm.measures.voice import measure_voice

            rows = [
                measure_voice(reader.read_waveform(step), reader.read_speech(step) / SAMPLE_RATE)
                for step in steps
            ]
        case "face":
            from depmm.measures.face import measure_face

            rows = [measure_face(reader, step) for step in steps]
        case "egemaps":
            from depmm.measures.egemaps import measure_egemaps

            rows = [measure_egemaps(reader.read_waveform(step)) for step in steps]
        case "timing":
            from depmm.measures.timing import measure_timing

            rows = [measure_timing(reader)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(measures_of(name)))
