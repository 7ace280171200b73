"""Rendering of templates: Jinja environments, filters for numbers and text, and JSON values."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from depmm.evaluation.baselines import BASELINE_LABELS
from depmm.evaluation.stats.metrics import HEADLINE, METRICS

PACKAGE = "depmm.evaluation.reports"


def render(template: str, /, **values: Any) -> str:
    """Render a template of this package.

    Parameters
    ----------
    template : str
        File name of the template.
    **values
        Variables of the template, besides ``metrics``, ``headline`` and ``baseline_labels``.

    Returns
    -------
    str
        In HTML, every value is escaped unless the template marks it as safe.
    """
    shared = {"metrics": METRICS, "headline": HEADLINE, "baseline_labels": BASELINE_LABELS}
    return templates(PACKAGE).get_template(template).render(**shared, **values)


@cache
def templates(package: str) -> Environment:
    """Load the templates of a package, together with the layout that all pages share.

    Parameters
    ----------
    package : str
        Dotted name of the package.

    Returns
    -------
    Environment
        Jinja environment with the filters ``number``, ``p_value`` and ``markdown``. An undefined
        variable is an error. Values are escaped in all templates except Markdown templates.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (package, PACKAGE)]),
        autoescape=lambda name: not str(name).endswith(".md.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "p_value": p_value, "markdown": markdown_text}
    return environment


def number(value: float | None, digits: int = 3) -> str:
    """Format a number for display.

    Parameters
    ----------
    value : float, optional
        The number; None where undefined.
    digits : int, default 3
        Digits after the decimal point.

    Returns
    -------
    str
        The number, with a typographic minus sign; an en dash for None.
    """
    if value is None:
        return "\N{EN DASH}"
    if float(value).is_integer() and digits == 0:
        return str(int(value))
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_value(value: float | None) -> str:
    """Format a p value for display.

    Parameters
    ----------
    value : float, optional
        The p value; None where undefined.

    Returns
    -------
    str
        Three digits, ``<0.001`` below 0.0005.
    """
    return "<0.001" if value is not None and value < 0.0005 else number(value)


def markdown_text(text: str) -> str:
    """Escape text for Markdown and HTML.

    Parameters
    ----------
    text : str
        Any text; line breaks become spaces.

    Returns
    -------
    str
        One line of Markdown.
    """
    one_line = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Convert nested values to rows of a table.

    Parameters
    ----------
    values : mapping of str to object
        For example ``{"a": {"b": 1}}``.
    prefix : str, default ""
        Prefix of the keys.

    Returns
    -------
    list of tuple of str
        Dotted key and value, for example ``[("a.b", "1")]``.
    """
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(flatten(value, f"{prefix}{key}."))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((f"{prefix}{key}", text))
    return rows


def to_json_values(value: Any) -> Any:
    """Convert nested numpy values to JSON values.

    Parameters
    ----------
    value : object
        Numbers, text, or nested dicts, lists and tuples of them.

    Returns
    -------
    object
        The same structure of Python numbers, lists and dicts with text keys; None for numbers that
        are not finite.
    """
    if isinstance(value, dict):
        return {str(key): to_json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_values(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
