"""Early stopping by the training loss, counted in optimizer steps."""

import math
from collections.abc import Iterable

NO_LOSS = (math.inf, 0)  # before the first step of a phase


def count_steps_without_decrease(
    losses: Iterable[float], lowest: float, waited: int, patience: int
) -> tuple[float, int]:
    """Count consecutive optimizer steps without a new lowest loss.

    Parameters
    ----------
    losses : iterable of float
        Loss of the batch of each optimizer step, in order.
    lowest : float
        Lowest loss before these steps.
    waited : int
        Number of steps since the lowest loss.
    patience : int
        Number of steps after which training stops; later losses are not counted.

    Returns
    -------
    lowest : float
        Lowest loss.
    waited : int
        Number of steps since the lowest loss, at most ``patience``.

    References
    ----------
    He et al., DepNet, section 5.2.1: the training stops "if the loss no longer decreased in two
    hundred consecutive iterations".
    """
    for loss in losses:
        if waited >= patience:
            break
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
    return lowest, waited
