"""Figures of the report as inline SVG: the same input gives the same bytes.

Colours are from the palette of Okabe and Ito, told apart by every common form of colour vision;
lines also differ by their dashes. Text stays text, so that it can be searched and read aloud.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from depmm.corpora.instruments import INSTRUMENTS
from depmm.evaluation.stats.curves import pr_curve, roc_curve
from depmm.evaluation.stats.weighted_sums import Array, Weights, unit_weights

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5f6670"
GRID = np.linspace(0, 1, 201)  # false positive rates or recalls at which curves are compared

Answers = Sequence[tuple[Array, Array, Weights]]  # per seed y_true [N], y_prob [N], weights [D, N]

# of runs in one figure: Okabe and Ito without yellow, which is too pale for a line
RUN_COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LONG_NAME = 32  # letters of a run's name that fit into a figure
RUN_DASHES = ("-", "--", "-.", ":")

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "depmm",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same everywhere
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#24292f",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
SIZE = (4.6, 3.5)  # inches; shown at about this size on a phone


def roc_figure(seeds: Answers, confidence: float) -> str | None:
    """ROC curve with a pointwise band from the bootstrap over subjects.

    Parameters
    ----------
    seeds : curves of several seeds are averaged over true positive rates
    confidence : of the band, e.g. 0.95

    Returns
    -------
    SVG, or None when a class is missing
    """
    with mpl.rc_context(STYLE):
        figure, axes = _axes("False positive rate (1 - specificity)", "True positive rate (recall)")
        if not _draw_curve(axes, roc_curve, GRID, seeds, confidence):
            return None
        axes.plot(
            [0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="baseline: no ranking"
        )
        axes.legend(loc="lower right")
        return _svg(
            figure, "roc", "ROC curve of the model with its band, above the diagonal baseline"
        )


def pr_figure(seeds: Answers, confidence: float) -> str | None:
    """Precision-recall curve with a pointwise band; parameters and result as ``roc_figure``."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Recall", "Precision")
        positives = float(np.mean([y.mean() for y, _, _ in seeds]))
        if positives == 1 or not _draw_curve(axes, pr_curve, GRID[1:], seeds, confidence):
            return None
        axes.axhline(
            positives, color=GREY, linestyle="--", linewidth=1, label="baseline: share of positives"
        )
        axes.legend(loc="best")
        return _svg(figure, "pr", "Precision-recall curve of the model with its band and baseline")


def _draw_curve(
    axes: Axes,
    curve: Callable[[Array, Array, Weights, Array], Array],
    grid: Array,
    seeds: Answers,
    confidence: float,
) -> bool:
    """Draw the mean curve, those of single seeds and the band; False where one is undefined."""
    curves = np.stack([curve(y, p, unit_weights(len(y)), grid)[0] for y, p, _ in seeds])
    if not np.isfinite(curves).all():
        return False
    # from (0, 0), also where the first sessions are all positives; precision has no such point
    start = [0.0] if curve is roc_curve else []
    look: dict[str, Any] = {} if curve is roc_curve else {"drawstyle": "steps-pre"}
    draws = np.mean([curve(y, p, w, grid) for y, p, w in seeds], axis=0)
    draws = draws[np.isfinite(draws).all(axis=1)]
    if len(draws):
        tail = (1 - confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
        label = f"{confidence:.0%} band over subjects"
        axes.fill_between(
            grid, low, high, color=BLUE, alpha=0.15, linewidth=0, label=label,
            step=None if curve is roc_curve else "pre",
        )  # fmt: skip
    if len(seeds) > 1:
        for number, own in enumerate(curves):
            label = "single seeds" if number == 0 else "_"
            axes.plot(grid, own, color=BLUE, linewidth=0.7, alpha=0.6, label=label, **look)
    label = "model" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"
    mean = np.append(start, curves.mean(axis=0))
    axes.plot(np.append(start, grid), mean, color=BLUE, label=label, **look)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return True


def roc_overlay(runs: Mapping[str, Answers]) -> str | None:
    """ROC curves of several runs, each the mean over its seeds; None when a class is missing."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes("False positive rate (1 - specificity)", "True positive rate (recall)")
        for number, seeds in enumerate(runs.values()):
            curves = [roc_curve(y, p, unit_weights(len(y)), GRID)[0] for y, p, _ in seeds]
            mean = np.append(0, np.mean(curves, axis=0))
            if not np.isfinite(mean).all():
                return None
            axes.plot(
                np.append(0, GRID),
                mean,
                color=RUN_COLORS[number % len(RUN_COLORS)],
                linestyle=RUN_DASHES[number % len(RUN_DASHES)],
                label=f"run {number}",
            )
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="baseline: no ranking")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        # the names come after: as a label _a would be left out, and $ be mathematics
        texts = axes.legend(loc="lower right", fontsize=8).get_texts()
        for text, name in zip(texts, runs, strict=False):
            text.set_parse_math(False)
            text.set_text(
                name
                if len(name) <= LONG_NAME
                else f"{name[: LONG_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
            )
        return _svg(figure, "overlay", "ROC curves of the runs, above the diagonal baseline")


def severity_figure(score: Array, score_pred: Array, instrument: str | None) -> str:
    """Predicted against measured severity; lines at the levels of the instrument.

    Parameters
    ----------
    score, score_pred : [N], in points of the instrument
    instrument : its name; levels are drawn where they are agreed on
    """
    scale = INSTRUMENTS.get(instrument or "", INSTRUMENTS["group"])
    ends = (*scale.levels, (scale.highest or 0) + 1)
    bands = list(zip(ends, scale.level_names, strict=False))
    unit = f"{instrument} points" if bands else "points"
    with mpl.rc_context(STYLE):
        figure, axes = _axes(f"Measured severity ({unit})", f"Predicted severity ({unit})")
        low = min(0.0, float(score.min()), float(score_pred.min()))
        high = max(float(score.max()), float(score_pred.max()), low + 1)
        start = low
        for stop, name in bands:
            if stop < high:
                axes.axvline(stop - 0.5, color=GREY, linewidth=0.6, linestyle=":")
                axes.axhline(stop, color=GREY, linewidth=0.6, linestyle=":")
            if start < high:
                axes.annotate(
                    name,
                    ((max(start, low) + min(stop, high)) / 2, 1.01),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    va="bottom",
                    color=GREY,
                    fontsize=7.5,
                )
            start = stop
        axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1)
        axes.scatter(score, score_pred, s=18, color=BLUE, alpha=0.6, linewidth=0)
        margin = 0.02 * (high - low)
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
        return _svg(figure, "severity", "Predicted against measured severity, one point a session")


def reliability_figure(before: Sequence[Any], after: Sequence[Any] | None) -> str:
    """Share of positives against mean probability, by bin, with Wilson's intervals.

    Parameters
    ----------
    before, after : bins from ``reliability``, of stored and of temperature-scaled probabilities
        (None where no temperature could be fitted)
    """
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Mean probability in the bin", "Share of positives")
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
        looks = [(before, BLUE, "o-", "as predicted"), (after, ORANGE, "s--", "temperature-scaled")]
        for bins, color, look, label in looks:
            if not bins:
                continue
            mean = [entry["mean"] for entry in bins]
            share = [entry["positives"] for entry in bins]
            low = [entry["value"] - entry["ci_low"] for entry in share]
            high = [entry["ci_high"] - entry["value"] for entry in share]
            value = [entry["value"] for entry in share]
            axes.errorbar(
                mean, value, yerr=[low, high], fmt=look, color=color, label=label, linewidth=1.3,
                elinewidth=0.8, markersize=4, capsize=2,
            )  # fmt: skip
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(loc="upper left")
        return _svg(figure, "reliability", "Share of positives against mean probability, by bin")


def risk_figure(coverage: Array, risk: Array) -> str:
    """Share of wrong decisions among the most confident sessions; [K] each."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Coverage (share of sessions decided)", "Risk (share decided wrong)")
        axes.axhline(
            risk[-1], color=GREY, linestyle="--", linewidth=1, label="baseline: left out at random"
        )
        axes.plot(coverage, risk, color=BLUE, label="least sure left out first")
        axes.set(xlim=(0, 1.01), ylim=(-0.01, max(0.1, 1.15 * float(risk.max()))))
        axes.legend(loc="best")
        return _svg(figure, "risk", "Risk of the most confident sessions, by coverage")


def training_figures(history: pd.DataFrame) -> list[tuple[str, str]]:
    """Loss, validation metric and learning rate over epochs, one figure each.

    Parameters
    ----------
    history : column epoch and any of train_loss, val_loss, val_auroc, val_rmse, learning_rate;
        with columns fold or seed every training is a thin line and their mean a thick one

    Returns
    -------
    caption and SVG of each figure that the columns allow
    """
    wanted = [
        ("loss", "Loss", {"train_loss": "training", "val_loss": "validation"}),
        ("auroc", "AUROC on validation sessions", {"val_auroc": "validation"}),
        ("rmse", "RMSE on validation sessions (points)", {"val_rmse": "validation"}),
        ("rate", "Learning rate", {"learning_rate": "learning rate"}),
    ]
    figures = []
    for key, label, columns in wanted:
        present = {
            column: name
            for column, name in columns.items()
            if column in history and history[column].notna().any()
        }
        if present:
            figures.append((label, _training_figure(history, key, label, present)))
    return figures


def _training_figure(history: pd.DataFrame, key: str, label: str, columns: dict[str, str]) -> str:
    runs = [
        name for name in ("fold", "seed") if name in history and len(history[name].unique()) > 1
    ]
    looks = [(BLUE, "-"), (ORANGE, "--")] if len(columns) > 1 else [(ORANGE, "-")]
    with mpl.rc_context(STYLE):
        figure, axes = _axes("Epoch", label)
        for (column, name), (color, dashes) in zip(columns.items(), looks, strict=True):
            known = history[history[column].notna()]
            mean = known.groupby("epoch")[column].mean()
            if runs:
                for _, run in known.groupby(runs):
                    axes.plot(
                        run["epoch"], run[column], color=color, alpha=0.25, linewidth=0.8,
                        linestyle=dashes,
                    )  # fmt: skip
                name += ", mean"
            marker = "o" if len(mean) == 1 else None  # a single epoch draws no line
            axes.plot(mean.index, mean, color=color, linestyle=dashes, label=name, marker=marker)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if key != "rate":
            axes.legend(loc="best")
        return _svg(figure, key, f"{label} over epochs")


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    return figure, axes


def _svg(figure: Figure, name: str, description: str) -> str:
    """Write a figure as an ``<svg>`` that can stand in a page beside others."""
    buffer = StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # inside HTML these are not needed, and a page without them refers to no other address at all
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    # ids are unique in a figure only: in a page they need its name
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Arial, sans-serif")
    label = escape(description, quote=True)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
