"""Rendering of the templates of reports, and JSON values."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from depmm.evaluation.baselines import BASELINE_LABELS
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.units import describe_unit
from depmm.pages.templates import templates

PACKAGE = "depmm.evaluation.reports"


def render(template: str, /, **values: Any) -> str:
    """Render a template of this package.

    Parameters
    ----------
    template : str
        File name of the template.
    **values
        Variables of the template, besides ``metrics``, ``headline``, ``baseline_labels`` and
        ``describe_unit``.

    Returns
    -------
    str
        In HTML, every value is escaped unless the template marks it as safe.
    """
    shared = {
        "metrics": METRICS,
        "headline": HEADLINE,
        "baseline_labels": BASELINE_LABELS,
        "describe_unit": describe_unit,
    }
    return templates(PACKAGE).get_template(template).render(**shared, **values)


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
