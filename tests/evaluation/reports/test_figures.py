"""Figures as SVG."""

import numpy as np
import pandas as pd

from depmm.evaluation.reports.figures import (
    pr_figure,
    roc_comparison_figure,
    roc_figure,
    training_figures,
)
from depmm.evaluation.stats.weighted_sums import unit_weights

Y_TRUE, Y_PROB = np.array([0.0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.3])


def test_names_of_runs_are_escaped_and_shortened():
    runs = {
        "_a & b|<i>$x$": [(Y_TRUE, Y_PROB, unit_weights(4))],
        "b" * 50: [(Y_TRUE, Y_PROB, None)],
    }
    svg = roc_comparison_figure(runs)
    assert "_a &amp; b|&lt;i&gt;$x$" in svg
    assert "b" * 31 + "\N{HORIZONTAL ELLIPSIS}" in svg


def test_a_missing_class_gives_no_curve():
    negative = [(Y_TRUE * 0, Y_PROB, unit_weights(4))]
    assert roc_comparison_figure({"a": negative}) is None
    assert roc_figure(negative, 0.95) is None
    assert pr_figure([(Y_TRUE * 0 + 1, Y_PROB, unit_weights(4))], 0.95) is None


def test_the_same_data_give_the_same_bytes():
    seeds = [(Y_TRUE, Y_PROB, unit_weights(4))]
    assert roc_figure(seeds, 0.95) == roc_figure(seeds, 0.95)


def test_training_curves_are_drawn_for_known_columns():
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5], "val_auroc": [None, None]})
    assert [caption for caption, _ in training_figures(history)] == ["Loss"]
    (loss, _), (gradient, svg) = training_figures(history.assign(grad_norm=[3.0, 2.0]))
    assert (loss, gradient) == ("Loss", "Largest norm of the gradient")
    assert "<svg" in svg
