"""The methods of the intervals of a report, as a sentence."""

from collections.abc import Mapping
from typing import Any

from depmm.evaluation.stats.metrics import METRICS


def describe_interval_methods(content: Mapping[str, Any]) -> str:
    """List the method of the interval of each metric.

    Parameters
    ----------
    content : mapping of str to object
        The content of ``metrics.json``.

    Returns
    -------
    str
        Methods with their metrics, without a full stop; ``none`` if no metric has bounds.
    """
    methods: dict[str, list[str]] = {}
    for name, entry in content["metrics"].items():
        if entry["ci_low"] is not None:
            methods.setdefault(entry["method"], []).append(METRICS[name].label)
    listed = "; ".join(f"{method} ({', '.join(labels)})" for method, labels in methods.items())
    return listed or "none"
