"""Rows of results files from evaluated runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from experiments.results import RESULTS, interval, record
from experiments.results_source import describe_origin
from experiments.results_tables import heading


def read_run(
    folder: Path, metrics: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Read an evaluated run.

    Parameters
    ----------
    folder : Path
        Folder of the run, with ``config.yaml``, ``environment.json`` and ``metrics.json``.
    metrics : sequence of str
        Columns: keys of the metrics in ``metrics.json``.

    Returns
    -------
    row : dict
        ``config``, ``split``, ``subjects`` (tested) and the metrics.
    content : dict
        Content of ``metrics.json``.
    environment : dict of str to str
        Software environment of the run.
    """
    if not (folder / "metrics.json").is_file():
        raise SystemExit(f"{folder} has no metrics.json: run depmm evaluate {folder}.")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    row = {
        "config": config["name"],
        "split": describe_split(config["split"]),
        "subjects": content["counts"]["test"]["subjects"],
        **metric_cells(content, metrics),
    }
    return row, content, environment


def describe_split(split: Mapping[str, Any]) -> str:
    """Describe the section ``split`` of a config in two words.

    Parameters
    ----------
    split : dict
        The section.
    """
    if split["kind"] != "k_fold":
        return {"file": "split file"}.get(split["kind"], str(split["kind"]).replace("_", " "))
    repeats = split.get("repeats") or 1
    return f"{split['folds']} folds" + (f", {repeats} times" if repeats > 1 else "")


def metric_cells(content: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """Return the cells of metrics of a run.

    Parameters
    ----------
    content : dict
        Content of ``metrics.json``, or one of the runs in that of a comparison.
    metrics : sequence of str
        Keys of the metrics; ``METRIC.seeds`` lists the values of the seeds.
    """
    cells: dict[str, Any] = {}
    for metric in metrics:
        name, _, part = metric.partition(".")
        entry = content["metrics"][name]
        if part == "seeds":
            seeds = entry["per_seed"] or {"0": entry["value"]}
            cells[f"{name} of each seed"] = ", ".join(f"{v:.3f}" for v in seeds.values())
        elif entry["value"] is None or entry["ci_low"] is None:
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
    for metric in dict.fromkeys(metric.partition(".")[0] for metric in metrics):
        found = {content["metrics"][metric]["method"] for content in contents}
        stems = sorted({method.removesuffix(", with training variance") for method in found})
        methods.append(f"{heading(metric)} by {' or '.join(stems)}")
    trained = any(content["bootstrap"]["n_trainings"] > 1 for content in contents)
    level = contents[0]["bootstrap"]["confidence"]
    unit = contents[0]["bootstrap"]["unit"] + ("s and seeds" if trained else "s")
    return f"{level:.0%} over {unit}: {', '.join(methods)}".replace("%", " %")


def record_runs(
    name: str,
    runs: Sequence[tuple[str | None, Path]],
    metrics: Sequence[str],
    *,
    command: str,
    notes: str | None = None,
    out: Path = RESULTS,
) -> Path:
    """Write a results file of evaluated runs.

    Parameters
    ----------
    name : str
        Name of the table.
    runs : sequence of (str or None, Path)
        Label of the row (None: the name of the config) and folder of the run.
    metrics : sequence of str
        Columns: keys of the metrics in ``metrics.json``.
    command : str
        Command that trains the runs.
    notes : str, optional
        Shown below the table.
    out : Path, optional
        Folder of the file.

    Returns
    -------
    Path
        The file.
    """
    read = [read_run(folder, metrics) for _, folder in runs]
    rows = [
        row | ({} if label is None else {"config": label})
        for (label, _), (row, _, _) in zip(runs, read, strict=True)
    ]
    seeds = sorted({seed for _, content, _ in read for seed in content["seeds"] or [0]})
    return record(
        name,
        rows,
        command=command,
        seeds=seeds,
        interval=describe_intervals([content for _, content, _ in read], metrics),
        notes=notes,
        out=out,
        origin=describe_origin([environment for _, _, environment in read]),
    )
