"""Figures of calibration and of decisions as inline SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

from depmm.evaluation.reports.figure_style import (
    BLUE,
    DASHED,
    ORANGE,
    STYLE,
    UNIT_LIMITS,
    new_axes,
    to_svg,
)
from depmm.evaluation.stats.weighted_sums import Array


def reliability_figure(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]] | None
) -> str:
    """Draw the share of positives against the mean probability by bin, with Wilson intervals.

    Parameters
    ----------
    before : sequence of mapping
        Bins of the uncalibrated probabilities, from
        :func:`~depmm.evaluation.stats.reliability.reliability`.
    after : sequence of mapping, optional
        Bins after logistic calibration; None where it cannot be fitted.

    Returns
    -------
    str
        SVG.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes("Mean probability in the bin", "Share of positives")
        axes.plot([0, 1], [0, 1], label="calibrated", **DASHED)
        series = [
            (before, BLUE, "o-", "uncalibrated"),
            (after, ORANGE, "s--", "logistic calibration"),
        ]
        for bins, color, line, label in series:
            if not bins:
                continue
            share = [entry["positives"] for entry in bins]
            value = [entry["value"] for entry in share]
            below = [entry["value"] - entry["ci_low"] for entry in share]
            above = [entry["ci_high"] - entry["value"] for entry in share]
            axes.errorbar(
                [entry["mean"] for entry in bins], value, yerr=[below, above], fmt=line,
                color=color, label=label, linewidth=1.3, elinewidth=0.8, markersize=4, capsize=2,
            )  # fmt: skip
        axes.set(**UNIT_LIMITS)
        axes.legend(loc="upper left")
        return to_svg(figure, "reliability", "Share of positives against mean probability, by bin")


def risk_coverage_figure(coverage: Array, risk: Array) -> str:
    """Draw the share of wrong decisions among the most confident sessions.

    Parameters
    ----------
    coverage : ndarray, shape (K,)
        Shares of the sessions that are decided.
    risk : ndarray, shape (K,)
        Shares of wrong decisions among them.

    Returns
    -------
    str
        SVG.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(
            "Coverage (share of sessions decided)", "Risk (share decided wrong)"
        )
        axes.axhline(risk[-1], label="random rejection", **DASHED)
        axes.plot(coverage, risk, color=BLUE, label="least confident rejected first")
        axes.set(xlim=(0, 1.01), ylim=(-0.01, max(0.1, 1.15 * float(risk.max()))))
        axes.legend(loc="best")
        return to_svg(figure, "risk", "Risk of the most confident sessions, by coverage")


def decision_figure(curve: Sequence[Mapping[str, Any]]) -> str:
    """Draw the net benefit by threshold, beside that of deciding all or none positive.

    Parameters
    ----------
    curve : sequence of mapping
        From :func:`~depmm.evaluation.stats.decision_curve.measure_decision_curve`.

    Returns
    -------
    str
        SVG.
    """
    threshold = np.array([entry["threshold"] for entry in curve])
    all_positive = np.array([entry["treat_all"] for entry in curve])
    value, low, high = (
        np.array([entry["net_benefit"][key] for entry in curve], dtype=float)
        for key in ("value", "ci_low", "ci_high")
    )
    with mpl.rc_context(STYLE):
        figure, axes = new_axes("Threshold of the probability", "Net benefit")
        axes.fill_between(threshold, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(threshold, value, color=BLUE, linewidth=1.3, label="model")
        axes.plot(threshold, all_positive, color=ORANGE, linestyle="-.", label="all positive")
        axes.plot(threshold, np.zeros(len(curve)), label="none positive", **DASHED)
        top = max(0.05, float(np.nanmax([*value, *high, all_positive[0]])))
        axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.1 * top))
        axes.legend(loc="upper right")
        return to_svg(figure, "decision", "Net benefit by threshold, with all and none positive")
