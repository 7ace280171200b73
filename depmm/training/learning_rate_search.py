"""Learning-rate range test: search a learning rate on training data.

References
----------
Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.
Lu et al., "Speech depression recognition based on attentional residual network", Front. Biosci.
2021, use it in their training.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from depmm.errors import DepmmError

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0
N_STEPS = 60  # optimizer steps of a search
N_FIRST = N_STEPS // 5  # steps with rates so low that the loss changes only with the batch
SMOOTHING = 0.8  # weight of the previous value in the exponential moving average of the loss
DIVERGENCE = 3.0  # the loss diverges above this multiple of the largest of the first N_FIRST losses


class LearningRateError(DepmmError):
    """No learning rate was found by the search."""


def search_learning_rate(take_step: Callable[[float], float]) -> float:
    """Raise the learning rate step by step until the loss diverges.

    Parameters
    ----------
    take_step : callable
        Function that takes one optimizer step at a given learning rate and returns the loss before
        the step. The caller restores the weights after the search.

    Returns
    -------
    float
        The learning rate at which the loss falls fastest.

    Raises
    ------
    LearningRateError
        If the loss falls at no learning rate.
    """
    rates = np.geomspace(LOWEST_RATE, HIGHEST_RATE, N_STEPS)
    losses: list[float] = []
    mean = 0.0
    for count, rate in enumerate(rates, start=1):
        loss = take_step(float(rate))
        if not np.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        losses.append(mean / (1 - SMOOTHING**count))
        if losses[-1] > DIVERGENCE * max(losses[:N_FIRST]):
            break
    return find_steepest_rate(rates[: len(losses)], losses)


def find_steepest_rate(rates: ArrayLike, losses: Sequence[float]) -> float:
    """Find the learning rate at which the loss falls fastest, before its minimum.

    Parameters
    ----------
    rates : array_like, shape (N,)
        Increasing learning rates.
    losses : sequence of float
        Smoothed loss at each learning rate.

    Returns
    -------
    float
        The learning rate.

    Raises
    ------
    LearningRateError
        If the loss falls at no learning rate.
    """
    begin = len(losses) // 5  # the first smoothed losses are averages of few batches
    end = begin + int(np.argmin(losses[begin:])) + 1 if losses else 0
    if end - begin < 3:
        first = ", ".join(f"{loss:.3g}" for loss in losses[:5])
        raise LearningRateError(
            "the training loss does not fall at any learning rate of the search (first losses: "
            f"{first}).",
            setting="training.learning_rate",
            value="find",
            remedy="Set training.learning_rate (or that of the phase) to a number.",
        )
    searched = np.asarray(rates, float)[begin:end]
    slope = np.gradient(np.asarray(losses)[begin:end], np.log(searched))
    return float(searched[np.argmin(slope)])
