"""An answer drawn: a dot and its interval for each word, branch or comparison."""

import warnings
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from depmm.evaluation.reports.figure_style import BLUE, GREY, STYLE

DRAWN = {"effect": "Effect (Hedges' g)", "correlation": "Rank correlation"}
LABELS = ["encoder", "word", "valence", "branch", "over", "people"]
SIGNIFICANT = 0.05


def as_figure(answer: pd.DataFrame, suffix: str) -> tuple[bytes, list[str]]:
    """Draw an answer as dots with intervals, in its order from top to bottom.

    Full dots have a q below .05, or no test.

    Parameters
    ----------
    answer : with ``effect`` or ``correlation``, ``low`` and ``high``
    suffix : ``.svg`` (text stays text) or ``.png``

    Returns
    -------
    the file's bytes, and notes for the reader

    Raises
    ------
    ValueError : an answer without intervals, or without rows
    """
    value = next((name for name in DRAWN if name in answer), None)
    if value is None or "low" not in answer:
        raise ValueError(
            "this question has no figure (it has no intervals): take --format table, csv or json"
        )
    if answer.empty:
        raise ValueError("the answer has no rows: there is nothing to draw")
    with mpl.rc_context(STYLE), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = BytesIO()
        empty = dict.fromkeys(("Date", "Creator")) if suffix == ".svg" else {"Software": None}
        _dots(answer, value).savefig(content, format=suffix[1:], dpi=200, metadata=empty)
    notes = []
    if suffix == ".png" and any("missing from font" in str(each.message) for each in caught):
        notes = ["the font of the figure lacks some letters: an .svg keeps them as text"]
    return content.getvalue(), notes


def _dots(answer: pd.DataFrame, value: str) -> Figure:
    figure = Figure(figsize=(5.2, 0.9 + 0.28 * len(answer)), layout="constrained")
    axes = figure.subplots()
    x, low, high = (answer[name].to_numpy(dtype=float) for name in (value, "low", "high"))
    place = np.arange(len(answer))
    sure = answer["q"].to_numpy() < SIGNIFICANT if "q" in answer else np.full(len(answer), True)
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.hlines(place, low, high, color=BLUE, linewidth=1.3)
    for chosen, fill, label in (
        (sure, BLUE, "q < .05"),
        (~sure, "white", "q ≥ .05, or not tested"),
    ):
        if chosen.any():
            axes.plot(
                x[chosen], place[chosen], "o", color=BLUE, markerfacecolor=fill, markersize=5,
                label=label,
            )  # fmt: skip
    if "q" in answer:
        axes.legend(loc="best")
    labels = answer[[name for name in LABELS if name in answer]].astype(object).fillna("")
    names = [" · ".join(filter(None, map(str, row))) for row in labels.to_numpy()]
    axes.set_yticks(place, names, parse_math=False)  # a word may hold a $
    axes.set(xlabel=DRAWN[value] + " with its 95 % interval over people")
    axes.set_ylim(len(answer) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    return figure
