"""Early stopping by the training loss."""

import math

from depmm.training.early_stopping import NO_LOSS, count_steps_without_decrease


def test_steps_without_decrease_by_hand():
    assert count_steps_without_decrease([3.0, 2.0, 2.5, 2.0], *NO_LOSS, 9) == (2.0, 2)
    # continued over an epoch; an equal loss is not lower
    assert count_steps_without_decrease([2.0, 1.0, 4.0], 2.0, 2, 9) == (1.0, 1)
    # after the patience is used up, a lower loss comes too late
    assert count_steps_without_decrease([5.0, 5.0, 5.0, 1.0], *NO_LOSS, 2) == (5.0, 2)
    assert count_steps_without_decrease([], *NO_LOSS, 2) == (math.inf, 0)
