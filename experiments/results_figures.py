"""Figures in the text of a page that look as if they were measured."""

import re

UNITS = r"(?:%|times|s|ms|min|minutes|seconds|hours|h|MiB|GiB|MB|GB|frames/s)"
# a number with decimals, or with a unit of time, size or ratio
MEASURED_FIGURE = re.compile(rf"(?<![\w.])(?:\d[\d,]*)?\.\d+\b|(?<![\w.])\d[\d,]*\s?{UNITS}(?!\w)")


def stray_figures(template: str) -> list[str]:
    """Find what looks like a measured figure and comes from no results file.

    A figure is a number with decimals or with a unit (:data:`MEASURED_FIGURE`), outside code,
    links and expressions of the template. The rows of a table that is written by hand count too.

    Parameters
    ----------
    template : str
        Text of the template.

    Returns
    -------
    list of str
        The figures, each with the text around it.
    """
    text = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", "", template, flags=re.DOTALL)
    return [
        "..." + text[max(match.start() - 30, 0) : match.end() + 10].replace("\n", " ") + "..."
        for text in [strip_code(text)]
        for match in MEASURED_FIGURE.finditer(text)
    ] + [line for line in text.splitlines() if line.startswith("|")]


def strip_code(markdown: str) -> str:
    """Remove code and the targets of links from Markdown.

    Parameters
    ----------
    markdown : str
        The text.
    """
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`|(?<=\])\([^)]*\)", "", text)
