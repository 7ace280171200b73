"""Style of the figures, and their deterministic export as inline SVG.

The colours are those of Okabe and Ito (2008, "Color Universal Design"), which remain
distinguishable for all common types of colour vision; lines also differ in their dashes. Text is
exported as text, which can be searched and read by screen readers.
"""

import re
from html import escape
from io import StringIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5f6670"

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "depmm",
    "font.family": "DejaVu Sans",  # part of matplotlib: the layout is the same on every machine
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
DASHED: Any = {"color": GREY, "linestyle": "--", "linewidth": 1}  # baselines
UNIT_LIMITS: Any = {"xlim": (-0.01, 1.01), "ylim": (-0.01, 1.01)}
SIZE = (4.6, 3.5)  # inches; shown at about this size on a phone


def new_axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Create a figure with one pair of labelled axes.

    Parameters
    ----------
    x_label : str
        Label of the horizontal axis.
    y_label : str
        Label of the vertical axis.

    Returns
    -------
    figure : Figure
        The figure.
    axes : Axes
        Its axes.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    return figure, axes


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Convert a figure to an ``<svg>`` element for an HTML page with several figures.

    Parameters
    ----------
    figure : Figure
        The figure.
    name : str
        Prefix of the ids inside the element, unique in the page.
    description : str
        Alternative text for screen readers.

    Returns
    -------
    str
        The element; the same figure gives the same bytes.
    """
    buffer = StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # inline SVG needs no namespaces, and a page without them contains no external address
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    # matplotlib's ids are unique within a figure only
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Arial, sans-serif")
    label = escape(description, quote=True)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
