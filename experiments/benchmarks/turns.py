"""Time computations in turns, so that a busy machine slows all of them equally."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from experiments.results import interval


def time_in_turns(
    parts: Mapping[str, Callable[[], object]], n_turns: int, repeats: int = 1
) -> dict[str, np.ndarray]:
    """Measure the processor time of computations, one after the other in every turn.

    Processor time is the sum over all threads; with one thread on a quiet machine it is the time of
    the clock.

    Parameters
    ----------
    parts : mapping of str to callable
        The computations.
    n_turns : int
        Turns that count; one more before them does not.
    repeats : int, default 1
        Calls per turn, for short computations.

    Returns
    -------
    dict of str to ndarray, shape (n_turns,)
        Seconds of one call.
    """
    seconds = {name: np.zeros(n_turns + 1) for name in parts}
    for turn in range(n_turns + 1):
        for name, part in parts.items():
            began = time.process_time()
            for _ in range(repeats):
                part()
            seconds[name][turn] = (time.process_time() - began) / repeats
    return {name: values[1:] for name, values in seconds.items()}


def ratio(of: np.ndarray, to: np.ndarray) -> dict[str, float]:
    """Return the median over turns of a ratio, with its smallest and largest value.

    Parameters
    ----------
    of, to : ndarray, shape (n_turns,)
        Numerator and denominator of each turn.
    """
    ratios = of / to
    return interval(float(np.median(ratios)), float(ratios.min()), float(ratios.max()))
