"""Figures of the report as inline SVG: the same input gives the same bytes.

Colours are from the palette of Okabe and Ito, told apart by every common form of colour vision;
lines also differ by their dashes. Text stays text, so that it can be searched and read aloud.
"""

import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from depmm.evaluation.metrics import Array, Weights, roc_curve, unit_weights

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5f6670"
GRID = np.linspace(0, 1, 201)  # false positive rates at which ROC curves are compared

# upper bounds (exclusive) and names of the bands of an instrument
BANDS: dict[str, tuple[tuple[int, str], ...]] = {
    "BDI-II": ((14, "minimal"), (20, "mild"), (29, "moderate"), (64, "severe")),
    "PHQ-8": ((5, "none"), (10, "mild"), (15, "moderate"), (20, "mod. severe"), (25, "severe")),
}

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


def roc_figure(seeds: Sequence[tuple[Array, Array, Weights]], confidence: float) -> str | None:
    """ROC curve with a pointwise band from the bootstrap over persons.

    Parameters
    ----------
    seeds : per seed y_true [N], y_prob [N] and bootstrap weights [D, N]; curves of several seeds
        are averaged over true positive rates
    confidence : of the band, e.g. 0.95

    Returns
    -------
    SVG, or None when a class is missing
    """
    curves = np.stack([roc_curve(y, p, unit_weights(len(y)), GRID)[0] for y, p, _ in seeds])
    if not np.isfinite(curves).all():
        return None
    draws = np.mean([roc_curve(y, p, w, GRID) for y, p, w in seeds], axis=0)
    draws = draws[np.isfinite(draws).all(axis=1)]
    with mpl.rc_context(STYLE):
        figure, axes = _axes("False positive rate (1 - specificity)", "True positive rate (recall)")
        if len(draws):
            tail = (1 - confidence) / 2
            low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
            label = f"{confidence:.0%} band over persons"
            axes.fill_between(GRID, low, high, color=BLUE, alpha=0.15, linewidth=0, label=label)
        if len(seeds) > 1:
            for number, curve in enumerate(curves):
                label = "single seeds" if number == 0 else "_"
                axes.plot(GRID, curve, color=BLUE, linewidth=0.7, alpha=0.6, label=label)
        label = "model" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"
        # from (0, 0), also where the first sessions are all positives
        axes.plot(np.append(0, GRID), np.append(0, curves.mean(axis=0)), color=BLUE, label=label)
        axes.plot(
            [0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="floor: no ranking"
        )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(loc="lower right")
        return _svg(figure, "roc", "ROC curve of the model with its band, above the diagonal floor")


def severity_figure(score_true: Array, score: Array, instrument: str | None) -> str:
    """Predicted against measured severity; lines at the bands of BDI-II and PHQ-8.

    Parameters
    ----------
    score_true, score : [N], in points of the instrument
    instrument : its name; bands are drawn where they are known
    """
    bands = BANDS.get(instrument or "", ())
    unit = f"{instrument} points" if bands else "points"
    with mpl.rc_context(STYLE):
        figure, axes = _axes(f"Measured severity ({unit})", f"Predicted severity ({unit})")
        low = min(0.0, float(score_true.min()), float(score.min()))
        high = max(float(score_true.max()), float(score.max()), low + 1)
        start = low
        for stop, name in bands:
            if stop < high:
                axes.axvline(stop - 0.5, color=GREY, linewidth=0.6, linestyle=":")
                axes.axhline(stop - 0.5, color=GREY, linewidth=0.6, linestyle=":")
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
        axes.scatter(score_true, score, s=18, color=BLUE, alpha=0.6, linewidth=0)
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
            low = [entry["value"] - entry["low"] for entry in share]
            high = [entry["high"] - entry["value"] for entry in share]
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
            risk[-1], color=GREY, linestyle="--", linewidth=1, label="floor: left out at random"
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
