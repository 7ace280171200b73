"""Cells and interval methods of results files from evaluated runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.results import interval
from experiments.results_tables import heading


def metric_cells(content: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """Return the cells of metrics of a run.

    Parameters
    ----------
    content : dict
        Content of ``metrics.json``, or one of the runs in that of a comparison.
    metrics : sequence of str
        Keys of the metrics.
    """
    cells: dict[str, Any] = {}
    for name in metrics:
        entry = content["metrics"][name]
        if entry["value"] is None or entry["ci_low"] is None:
            cells[name] = entry["value"]
        else:
            cells[name] = interval(entry["value"], entry["ci_low"], entry["ci_high"])
    return cells


def describe_intervals(contents: Iterable[Mapping[str, Any]], metrics: Sequence[str]) -> str:
    """Describe level, unit and methods of the intervals of evaluated runs.

    Parameters
    ----------
    contents : iterable of dict
        Contents of ``metrics.json``.
    metrics : sequence of str
        Keys of the metrics.
    """
    contents = list(contents)
    methods = []
    for metric in metrics:
        found = {content["metrics"][metric]["method"] for content in contents}
        stems = sorted({method.removesuffix(", with training variance") for method in found})
        methods.append(f"{heading(metric)} by {' or '.join(stems)}")
    trained = any(content["bootstrap"]["n_trainings"] > 1 for content in contents)
    level = contents[0]["bootstrap"]["confidence"]
    unit = contents[0]["bootstrap"]["unit"] + ("s and seeds" if trained else "s")
    return f"{level:.0%} over {unit}: {', '.join(methods)}".replace("%", " %")
