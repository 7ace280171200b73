"""Dot chart of a result: values with confidence intervals by word, branch or comparison."""

import warnings
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from depmm.evaluation.reports.figure_style import BLUE, GREY, STYLE
from depmm.interpret.errors import QuestionError

VALUES = {"effect": "Effect (Hedges' g)", "correlation": "Rank correlation"}
LABELS = [
    "encoder", "word", "valence", "branch", "modality", "region", "modalities", "over",
    "subjects",
]  # fmt: skip
ALPHA = 0.05


def draw_dot_chart(result: pd.DataFrame, suffix: str) -> tuple[bytes, list[str]]:
    """Draw a result as dots with intervals, one row below the other.

    Dots are filled if q < .05, or if the result has no test.

    Parameters
    ----------
    result : DataFrame
        Columns ``effect`` or ``correlation``, ``ci_low`` and ``ci_high``.
    suffix : {".svg", ".png"}
        Suffix of the file; an SVG contains text as text.

    Returns
    -------
    content : bytes
        Content of the file.
    notes : list of str
        Notes for the reader.

    Raises
    ------
    QuestionError
        If the result has no intervals or no rows.
    """
    value = next((name for name in VALUES if name in result), None)
    if value is None or "ci_low" not in result:
        raise QuestionError(
            "The result of this question has no intervals and cannot be drawn.",
            setting="format",
            value="figure",
            remedy="Use --format table, csv or json.",
        )
    if result.empty:
        raise QuestionError("The result has no rows to draw.", setting="format", value="figure")
    with mpl.rc_context(STYLE), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = BytesIO()
        # no date and version: the same result gives the same bytes
        metadata = dict.fromkeys(("Date", "Creator")) if suffix == ".svg" else {"Software": None}
        _draw(result, value).savefig(content, format=suffix[1:], dpi=200, metadata=metadata)
    notes = []
    if suffix == ".png" and any("missing from font" in str(w.message) for w in caught):
        notes = [
            "The font of the figure has no glyph for some letters. Use .svg, which contains text."
        ]
    return content.getvalue(), notes


def _draw(result: pd.DataFrame, value: str) -> Figure:
    figure = Figure(figsize=(5.2, 0.9 + 0.28 * len(result)), layout="constrained")
    axes = figure.subplots()
    x, low, high = (result[name].to_numpy(dtype=float) for name in (value, "ci_low", "ci_high"))
    y = np.arange(len(result))
    filled = result["q"].to_numpy() < ALPHA if "q" in result else np.full(len(result), True)
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.hlines(y, low, high, color=BLUE, linewidth=1.3)
    for rows, fill, label in (
        (filled, BLUE, "q < .05"),
        (~filled, "white", "q ≥ .05, or not tested"),
    ):
        if rows.any():
            axes.plot(
                x[rows], y[rows], "o", color=BLUE, markerfacecolor=fill, markersize=5, label=label
            )
    if "q" in result:
        axes.legend(loc="best")
    labels = result[[name for name in LABELS if name in result]].astype(object).fillna("")
    names = [" · ".join(filter(None, map(str, row))) for row in labels.to_numpy()]
    axes.set_yticks(y, names, parse_math=False)  # a word may contain a $
    axes.set(xlabel=f"{VALUES[value]} with its 95 % confidence interval over subjects")
    axes.set_ylim(len(result) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    return figure
