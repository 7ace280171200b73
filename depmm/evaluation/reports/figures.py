"""Figures of the reports as inline SVG; the same input gives the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from depmm.corpora.instruments import find_scale, short_name
from depmm.evaluation.reports.calibration_figures import (
    decision_figure,
    reliability_figure,
    risk_coverage_figure,
)
from depmm.evaluation.reports.figure_style import (
    BLUE,
    DASHED,
    GREY,
    ORANGE,
    STYLE,
    UNIT_LIMITS,
    new_axes,
    to_svg,
)
from depmm.evaluation.stats.curves import pr_curve, roc_curve
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.weighted_sums import Array, Weights, unit_weights

GRID = np.linspace(0, 1, 201)  # false positive rates or recalls at which curves are evaluated

# y_true [N], y_prob [N] and bootstrap weights [D, N] of each seed
CurveData = Sequence[tuple[Array, Array, Weights]]
Curve = Callable[[Array, Array, Weights, Array], Array]

# the palette of Okabe and Ito without yellow, which is too pale for a line
RUN_COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RUN_DASHES = ("-", "--", "-.", ":")
FIGURES = ("roc", "pr", "severity", "reliability", "risk", "decision")
MAX_NAME = 32  # characters of the name of a run that fit into a legend


def report_figures(
    content: Mapping[str, Any], resampled: ResampledSessions
) -> dict[str, str | None]:
    """Draw the figures of the targets of a run.

    Parameters
    ----------
    content : mapping of str to object
        The content of ``metrics.json``.
    resampled : ResampledSessions
        Test sessions with their bootstrap weights.

    Returns
    -------
    dict of str to str or None
        SVG of each of ``FIGURES``; None where the targets
        or the data do not allow the figure.
    """
    figures: dict[str, str | None] = dict.fromkeys(FIGURES)
    if "binary" in content["targets"]:
        seeds = curve_data(resampled)
        calibration = content["calibration"]["binary"]
        curve = calibration["risk_coverage"]["curve"]
        figures |= {
            "roc": roc_figure(seeds, resampled.confidence),
            "pr": pr_figure(seeds, resampled.confidence),
            "reliability": reliability_figure(
                calibration["before"]["reliability"], calibration["logistic"].get("reliability")
            ),
            "risk": risk_coverage_figure(np.array(curve["coverage"]), np.array(curve["risk"])),
            "decision": decision_figure(calibration["decision_curve"]),
        }
    if "severity" in content["targets"]:
        rows = pd.concat(resampled.seeds.values())
        figures["severity"] = severity_figure(
            rows["score"].to_numpy(float), rows["score_pred"].to_numpy(float), content["instrument"]
        )
    return figures


def curve_data(resampled: ResampledSessions) -> CurveData:
    """Select label, probability and bootstrap weights of each seed.

    Parameters
    ----------
    resampled : ResampledSessions
        Test sessions of a run with a binary target.

    Returns
    -------
    list of tuple of ndarray
        ``y_true`` of shape (N,), ``y_prob`` of shape (N,) and weights of shape (D, N).
    """
    return [
        (
            rows["y_true"].to_numpy(float),
            rows["y_prob"].to_numpy(float),
            resampled.get_weights(seed),
        )
        for seed, rows in resampled.seeds.items()
    ]


def roc_figure(seeds: CurveData, confidence: float) -> str | None:
    """Draw the ROC curve with a pointwise confidence band from the bootstrap over subjects.

    Parameters
    ----------
    seeds : sequence of tuple
        See :func:`curve_data`; the curves of several seeds are averaged over true positive rates.
    confidence : float
        Level of the band, for example 0.95.

    Returns
    -------
    str or None
        SVG; None when a class is missing.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(
            "False positive rate (1 - specificity)", "True positive rate (recall)"
        )
        if not _draw_curve(axes, roc_curve, GRID, seeds, confidence):
            return None
        axes.plot([0, 1], [0, 1], label="chance", **DASHED)
        axes.legend(loc="lower right")
        return to_svg(figure, "roc", "ROC curve of the model with its confidence band, and chance")


def pr_figure(seeds: CurveData, confidence: float) -> str | None:
    """Draw the precision-recall curve with a pointwise confidence band.

    Parameters
    ----------
    seeds : sequence of tuple
        See :func:`curve_data`; the curves of several seeds are averaged over precisions.
    confidence : float
        Level of the band, for example 0.95.

    Returns
    -------
    str or None
        SVG; None when a class is missing.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes("Recall", "Precision")
        positives = float(np.mean([y.mean() for y, _, _ in seeds]))
        if positives == 1 or not _draw_curve(axes, pr_curve, GRID[1:], seeds, confidence):
            return None
        axes.axhline(positives, label="chance: share of positives", **DASHED)
        axes.legend(loc="best")
        return to_svg(
            figure, "pr", "Precision-recall curve of the model with its confidence band, and chance"
        )


def _draw_curve(axes: Axes, curve: Curve, grid: Array, seeds: CurveData, confidence: float) -> bool:
    """Draw the mean curve, those of the seeds and the band; False where one is undefined."""
    curves = np.stack([curve(y, p, unit_weights(len(y)), grid)[0] for y, p, _ in seeds])
    if not np.isfinite(curves).all():
        return False
    # a ROC curve starts at (0, 0); the precision at a recall of 0 is undefined
    is_roc = curve is roc_curve
    start = [0.0] if is_roc else []
    steps: dict[str, Any] = {} if is_roc else {"drawstyle": "steps-pre"}
    draws = np.mean([curve(y, p, weights, grid) for y, p, weights in seeds], axis=0)
    draws = draws[np.isfinite(draws).all(axis=1)]
    if len(draws):
        tail = (1 - confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
        axes.fill_between(
            grid, low, high, color=BLUE, alpha=0.15, linewidth=0,
            label=f"{confidence:.0%} confidence band", step=None if is_roc else "pre",
        )  # fmt: skip
    if len(seeds) > 1:
        for index, values in enumerate(curves):
            label = "single seeds" if index == 0 else "_"
            axes.plot(grid, values, color=BLUE, linewidth=0.7, alpha=0.6, label=label, **steps)
    label = "model" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"
    mean = np.append(start, curves.mean(axis=0))
    axes.plot(np.append(start, grid), mean, color=BLUE, label=label, **steps)
    axes.set(**UNIT_LIMITS)
    return True


def roc_comparison_figure(runs: Mapping[str, CurveData]) -> str | None:
    """Draw the ROC curves of several runs, each the mean over its seeds.

    Parameters
    ----------
    runs : mapping of str to sequence of tuple
        Name of the run and its :func:`curve_data`.

    Returns
    -------
    str or None
        SVG; None when a class is missing.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(
            "False positive rate (1 - specificity)", "True positive rate (recall)"
        )
        for index, seeds in enumerate(runs.values()):
            curves = [roc_curve(y, p, unit_weights(len(y)), GRID)[0] for y, p, _ in seeds]
            mean = np.append(0, np.mean(curves, axis=0))
            if not np.isfinite(mean).all():
                return None
            axes.plot(
                np.append(0, GRID),
                mean,
                color=RUN_COLORS[index % len(RUN_COLORS)],
                linestyle=RUN_DASHES[index % len(RUN_DASHES)],
                label=f"run {index}",
            )
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="chance")
        axes.set(**UNIT_LIMITS)
        # set afterwards: matplotlib hides labels that start with _ and parses $ as mathematics
        texts = axes.legend(loc="lower right", fontsize=8).get_texts()
        for text, name in zip(texts, runs, strict=False):
            text.set_parse_math(False)
            short = f"{name[: MAX_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
            text.set_text(name if len(name) <= MAX_NAME else short)
        return to_svg(figure, "overlay", "ROC curves of the runs, and chance")


def severity_figure(score: Array, score_pred: Array, instrument: str | None) -> str:
    """Draw predicted against measured severity, with lines at the levels of the instrument.

    Parameters
    ----------
    score : ndarray, shape (N,)
        Measured scores, in points of the instrument.
    score_pred : ndarray, shape (N,)
        Predicted scores.
    instrument : str, optional
        Name of the instrument; levels are drawn where they are agreed on.

    Returns
    -------
    str
        SVG.
    """
    scale = find_scale(instrument)
    ends = (*scale.levels, (scale.highest or 0) + 1)
    levels = list(zip(ends, scale.level_names, strict=False))
    unit = f"{short_name(instrument)} points" if instrument and levels else "points"
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(f"Measured severity ({unit})", f"Predicted severity ({unit})")
        low = min(0.0, float(score.min()), float(score_pred.min()))
        high = max(float(score.max()), float(score_pred.max()), low + 1)
        _draw_levels(axes, levels, low, high)
        axes.plot([low, high], [low, high], **DASHED)
        axes.scatter(score, score_pred, s=18, color=BLUE, alpha=0.6, linewidth=0)
        margin = 0.02 * (high - low)
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
        return to_svg(
            figure, "severity", "Predicted against measured severity, one point per session"
        )


def _draw_levels(axes: Axes, levels: Sequence[tuple[float, str]], low: float, high: float) -> None:
    """Draw lines between the severity levels and their names above the axes."""
    start = low
    for end, name in levels:
        if end < high:
            axes.axvline(end - 0.5, color=GREY, linewidth=0.6, linestyle=":")
            axes.axhline(end, color=GREY, linewidth=0.6, linestyle=":")
        if start < high:
            axes.annotate(
                name,
                ((max(start, low) + min(end, high)) / 2, 1.01),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                color=GREY,
                fontsize=7.5,
            )
        start = end


def training_figures(history: pd.DataFrame) -> list[tuple[str, str]]:
    """Draw loss, validation metric, learning rate and gradient over the epochs, one figure each.

    Parameters
    ----------
    history : DataFrame
        Column epoch and any of train_loss, val_loss, val_auroc, val_rmse, learning_rate and
        grad_norm. If there are several folds or seeds, each training is drawn as a thin line and
        the mean as a thick one.

    Returns
    -------
    list of tuple of str
        Caption and SVG of each figure that the columns allow.
    """
    known = [
        ("loss", "Loss", {"train_loss": "training", "val_loss": "validation"}),
        ("auroc", "AUROC on validation sessions", {"val_auroc": "validation"}),
        ("rmse", "RMSE on validation sessions (points)", {"val_rmse": "validation"}),
        ("rate", "Learning rate", {"learning_rate": "learning rate"}),
        ("gradient", "Largest norm of the gradient", {"grad_norm": "before clipping"}),
    ]
    figures = []
    for key, label, columns in known:
        present = {
            column: name
            for column, name in columns.items()
            if column in history and history[column].notna().any()
        }
        if present:
            figures.append((label, _training_figure(history, key, label, present)))
    return figures


def _training_figure(history: pd.DataFrame, key: str, label: str, columns: dict[str, str]) -> str:
    from matplotlib.ticker import MaxNLocator

    runs = [name for name in ("fold", "seed") if name in history and len(set(history[name])) > 1]
    lines = [(BLUE, "-"), (ORANGE, "--")] if len(columns) > 1 else [(ORANGE, "-")]
    with mpl.rc_context(STYLE):
        figure, axes = new_axes("Epoch", label)
        for (column, name), (color, dashes) in zip(columns.items(), lines, strict=True):
            known = history[history[column].notna()]
            mean = known.groupby("epoch")[column].mean()
            for _, run in known.groupby(runs) if runs else ():
                axes.plot(
                    run["epoch"], run[column], color=color, alpha=0.25, linewidth=0.8,
                    linestyle=dashes,
                )  # fmt: skip
            marker = "o" if len(mean) == 1 else None  # a line needs two epochs
            axes.plot(
                mean.index, mean, color=color, linestyle=dashes, marker=marker,
                label=f"{name}, mean" if runs else name,
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if key != "rate":
            axes.legend(loc="best")
        return to_svg(figure, key, f"{label} over epochs")
