"""Learning-rate search on known losses."""

import numpy as np
import pytest

from depmm.training.learning_rate_search import (
    LearningRateError,
    find_steepest_rate,
    search_learning_rate,
)


def test_the_steepest_rate_by_hand():
    rates = np.geomspace(1e-6, 1, 61)
    falling = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # a sigmoid around 1e-3
    losses = np.where(rates > 0.1, 5.0, falling).tolist()
    assert np.log10(find_steepest_rate(rates, losses)) == pytest.approx(-3, abs=0.06)


@pytest.mark.parametrize("losses", [[1.0, 2, 3, 4, 5, 6, 7, 8], []])
def test_losses_that_do_not_fall_are_an_error(losses):
    with pytest.raises(LearningRateError) as info:
        find_steepest_rate(np.geomspace(1e-6, 1e-5, len(losses)), losses)
    assert info.value.setting == "training.learning_rate"


def test_search_on_a_parabola_finds_a_rate_with_falling_loss():
    # loss x^2 / 2: a step multiplies x by 1 - rate; it diverges at rates above 2
    x = [1.0]

    def take_step(rate: float) -> float:
        loss = x[0] ** 2 / 2
        x[0] -= 1000 * rate * x[0]  # curvature 1000: diverges from 2e-3 on
        return loss

    rate = search_learning_rate(take_step)
    assert 1e-5 < rate < 2e-3


def test_an_easy_first_batch_does_not_end_the_search():
    # as of a trained model, whose loss depends on the batch at any rate
    x, count = [1.0], [0]

    def take_step(rate: float) -> float:
        loss = 0.05 * x[0] ** 2 + (0.03 if count[0] == 0 else 0.3)
        count[0] += 1
        x[0] -= 1000 * rate * x[0]
        return loss

    assert 1e-5 < search_learning_rate(take_step) < 2e-3
    assert count[0] > 30
