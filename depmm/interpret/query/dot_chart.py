"""Draw an answer: a dot and its confidence interval for each word, branch or comparison."""

import warnings
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from depmm.evaluation.reports.figure_style import BLUE, GREY, STYLE
from depmm.interpret.errors import QuestionError

VALUES = {"effect": "Effect (Hedges' g)", "correlation": "Rank correlation"}
LABELS = ["encoder", "word", "valence", "branch", "modality", "region", "over", "subjects"]
ALPHA = 0.05


def draw_dot_chart(answer: pd.DataFrame, suffix: str) -> tuple[bytes, list[str]]:
    """Draw an answer as dots with intervals, in its order from top to bottom.

    Dots are filled if q < .05, or if the answer has no test.

    Parameters
    ----------
    answer : DataFrame
        Columns ``effect`` or ``correlation``, ``ci_low`` and ``ci_high``.
    suffix : {".svg", ".png"}
        Suffix of the file; text stays text in SVG.

    Returns
    -------
    content : bytes
        Content of the file.
    notes : list of str
        Notes for the reader.

    Raises
    ------
    QuestionError
        If the answer has no intervals or no rows.
    """
    value = next((name for name in VALUES if name in answer), None)
    if value is None or "ci_low" not in answer:
        raise QuestionError(
            "this question has no figure, because its answer has no intervals.",
            setting="format",
            value="figure",
            remedy="Use --format table, csv or json.",
        )
    if answer.empty:
        raise QuestionError("the answer has no rows to draw.", setting="format", value="figure")
    with mpl.rc_context(STYLE), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = BytesIO()
        # without a date and version, the same answer gives the same bytes
        metadata = dict.fromkeys(("Date", "Creator")) if suffix == ".svg" else {"Software": None}
        _draw(answer, value).savefig(content, format=suffix[1:], dpi=200, metadata=metadata)
    notes = []
    if suffix == ".png" and any("missing from font" in str(each.message) for each in caught):
        notes = [
            "The font of the figure has no glyph for some letters; an .svg keeps them as text."
        ]
    return content.getvalue(), notes


def _draw(answer: pd.DataFrame, value: str) -> Figure:
    figure = Figure(figsize=(5.2, 0.9 + 0.28 * len(answer)), layout="constrained")
    axes = figure.subplots()
    x, low, high = (answer[name].to_numpy(dtype=float) for name in (value, "ci_low", "ci_high"))
    y = np.arange(len(answer))
    filled = answer["q"].to_numpy() < ALPHA if "q" in answer else np.full(len(answer), True)
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
    if "q" in answer:
        axes.legend(loc="best")
    labels = answer[[name for name in LABELS if name in answer]].astype(object).fillna("")
    names = [" · ".join(filter(None, map(str, row))) for row in labels.to_numpy()]
    axes.set_yticks(y, names, parse_math=False)  # a word may contain a $
    axes.set(xlabel=f"{VALUES[value]} with its 95 % confidence interval over subjects")
    axes.set_ylim(len(answer) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    return figure
