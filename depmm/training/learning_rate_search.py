"""Learning-rate search on training data (Smith 2017, section 3.3), a step of the recipe of 1.2."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from depmm.errors import DepmmError

LOWEST, HIGHEST = 1e-6, 1.0

STEPS = 60  # optimizer steps of a search
FIRST = STEPS // 5  # at rates so low that the loss moves by what is in a batch alone
SMOOTHING = 0.8  # of the loss, exponential
DIVERGED = 3.0  # times the highest smoothed loss of the first steps: nothing is learned beyond


class LearningRateError(DepmmError):
    """No learning rate can be recommended; says what was seen and what to do."""


def search_learning_rate(take_step: Callable[[float], float]) -> float:
    """Raise the rate step by step until the loss explodes; recommend where it fell fastest.

    Parameters
    ----------
    take_step : takes one optimizer step at a given rate and returns the loss before it; whoever
        gives it puts the weights back afterwards

    Raises
    ------
    LearningRateError : the loss falls nowhere
    """
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses: list[float] = []
    mean = 0.0
    for count, rate in enumerate(rates, start=1):
        loss = take_step(float(rate))
        if not np.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        losses.append(mean / (1 - SMOOTHING**count))
        if losses[-1] > DIVERGED * max(losses[:FIRST]):
            break
    return steepest(rates[: len(losses)], losses)


def steepest(rates: ArrayLike, losses: Sequence[float]) -> float:
    """Find the rate at which the loss falls fastest, before its lowest point.

    Parameters
    ----------
    rates : rising
    losses : smoothed, one for each rate

    Raises
    ------
    LearningRateError : the loss falls nowhere
    """
    begin = len(losses) // 5  # the first means are of few batches and jump
    end = begin + int(np.argmin(losses[begin:])) + 1 if losses else 0
    if end - begin < 3:
        seen = ", ".join(f"{loss:.3g}" for loss in losses[:5])
        raise LearningRateError(
            f"the search found no learning rate at which the training loss falls (it began with "
            f"{seen}): give training.learning_rate a number"
        )
    tried = np.asarray(rates, float)[begin:end]
    slope = np.gradient(np.asarray(losses)[begin:end], np.log(tried))
    return float(tried[np.argmin(slope)])
