"""A simulated voice with known parameters, and the level of its sound."""

import numpy as np

from depmm.simulation.face import FRAMES_PER_SECOND
from depmm.simulation.voice import Voice

FRAME_S = 1 / FRAMES_PER_SECOND


def quiet_voice(**changes: float) -> Voice:
    """Build a voice of 120 Hz at -30 dB with almost no noise."""
    values = {
        "pitch_hz": 120.0,
        "pitch_range": 6.0,
        "formant_factor": 1.0,
        "rate": 1.0,
        "level_db": -30.0,
        "noise_db": -100.0,
        "breath": 0.02,
        "open_quotient": 0.6,
    }
    return Voice(**(values | changes))


def rms_db(samples: np.ndarray) -> float:
    """Return the root mean square in dB re full scale."""
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2)))
