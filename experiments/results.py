"""Results files: measured rows with command, commit, seeds, interval method and machine.

    python experiments/results.py runs NAME RUN... --metrics balanced_accuracy,auroc --command "..."

A benchmark calls :func:`record`, which writes ``experiments/results/NAME.json``. ``runs`` makes the
rows from finished runs (or comparisons) that ``depmm evaluate`` (``depmm compare``) has evaluated;
``LABEL=RUN`` replaces the name in the first column. The commits, the date and the versions of such
a file are those of the trainings.

Record after the measured code is on the main branch: a commit that was rebased afterwards is
unknown to other clones.
"""

import argparse
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from depmm.files.writing import write_text

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_suffix("")
MEASURED = ("depmm", "experiments", "data_specs")  # folders whose changes can change a result
Row = Mapping[str, Any]


def interval(value: float, low: float, high: float) -> dict[str, float]:
    """Return the cell of a measured value with its interval or range.

    Parameters
    ----------
    value, low, high : float
        Estimate and bounds.
    """
    return {"value": float(value), "low": float(low), "high": float(high)}


def aim(
    column: str = "ratio", *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, float | str]:
    """Return the cell of an aim, with which the page states whether the row meets it.

    Parameters
    ----------
    column : str, default "ratio"
        Column of the measured value.
    at_most, at_least : float, optional
        Limit of the value; exactly one of them.

    Raises
    ------
    ValueError
        If not exactly one limit is given.
    """
    if (at_most is None) == (at_least is None):
        raise ValueError("aim: give at_most or at_least.")
    limits = {"at_most": at_most, "at_least": at_least}
    return {"of": column} | {name: value for name, value in limits.items() if value is not None}


def record(
    name: str,
    rows: Iterable[Row],
    *,
    command: str,
    seeds: Sequence[int] | str | None = None,
    interval: str | None = None,
    notes: str | None = None,
    out: Path = RESULTS,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write a results file.

    Parameters
    ----------
    name : str
        Name of the table: lower-case letters, digits and underscores.
    rows : iterable of dict
        Column -> cell, in the order in which they are shown. A cell is a text, a number, None, a
        value with bounds (:func:`interval`) or an aim (:func:`aim`).
    command : str
        Command that measures these rows, from the root of a checkout; several are separated by
        line ends.
    seeds : sequence of int or str, optional
        Seeds of corpora and trainings; None where nothing is drawn.
    interval : str, optional
        What the bounds are: level, method and unit; None if no cell has bounds.
    notes : str, optional
        What a reader has to know: Markdown, shown below the table.
    out : Path, optional
        Folder of the file.
    origin : dict, optional
        ``commits``, ``date``, ``machine`` and ``versions`` of a measurement that was made earlier.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name or a cell has another form, or bounds have no interval method.
    """
    rows = [dict(row) for row in rows]
    if re.fullmatch("[a-z0-9_]+", name) is None:
        raise ValueError(f"record: the name {name!r} must consist of a-z, 0-9 and underscores.")
    if not rows:
        raise ValueError(f"record: {name} has no rows.")
    for row in rows:
        for column, cell in row.items():
            check_cell(f"{name}, {column}", cell, interval)
    content = {
        "name": name,
        **(describe_source() | dict(origin or {})),
        "command": command,
        "seeds": list(seeds) if seeds is not None and not isinstance(seeds, str) else seeds,
        "interval": interval,
        "notes": notes,
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def check_cell(place: str, cell: object, method: str | None) -> None:
    """Check that a cell is a text, a number, None, a value with bounds, or an aim.

    Parameters
    ----------
    place : str
        Name of the table and column, for the message.
    cell : object
        The cell.
    method : str or None
        Interval method of the table.

    Raises
    ------
    ValueError
        If the cell has another form, or has bounds while the table has no interval method.
    """
    if cell is None or isinstance(cell, str | int | float):
        return
    keys = set(cell) if isinstance(cell, Mapping) else set()
    if keys == {"value", "low", "high"}:
        if method is None:
            raise ValueError(f"record: {place} has bounds. Give interval=, what the bounds are.")
        return
    if keys not in ({"of", "at_most"}, {"of", "at_least"}):
        raise ValueError(
            f"record: {place} is {cell!r}. Give a text, a number (not of numpy), None, "
            "interval(...) or aim(...)."
        )


def describe_source() -> dict[str, Any]:
    """Describe commit, date, machine and versions of a measurement that is made now.

    Returns
    -------
    dict
        ``commits``, ``uncommitted_changes``, ``date``, ``machine`` and ``versions``.
    """
    tracked = ["--", *MEASURED, ":!experiments/results", ":!*.md", ":!*.jinja"]
    return {
        "commits": [git("rev-parse", "HEAD") or "unknown"],
        "uncommitted_changes": bool(git("status", "--porcelain", *tracked)),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(),
        "versions": {
            "python": platform.python_version(),
            "torch": version("torch"),
            "numpy": version("numpy"),
        },
    }


def git(*arguments: str) -> str:
    """Return the output of git in this checkout, empty if it fails or is not installed.

    Parameters
    ----------
    *arguments : str
        Arguments of git.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def describe_machine() -> str:
    """Describe processor, cores and memory, for example ``AMD EPYC, 2 cores, 8 GiB``."""
    processor = platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        match = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        processor = match[1].strip() if match else processor
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB"


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
        methods.append(f"{metric.replace('_', ' ')} by {' or '.join(stems)}")
    trained = any(content["bootstrap"]["n_trainings"] > 1 for content in contents)
    level = contents[0]["bootstrap"]["confidence"]
    unit = contents[0]["bootstrap"]["unit"] + ("s and seeds" if trained else "s")
    return f"{level:.0%} over {unit}: {', '.join(methods)}".replace("%", " %")


def describe_origin(environments: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Describe commits, date, machine and versions of trainings.

    Parameters
    ----------
    environments : sequence of dict of str to str
        Contents of ``environment.json``.

    Returns
    -------
    dict
        See ``origin`` of :func:`record`.
    """
    here = f"{platform.machine()}, {os.cpu_count()} logical processors"
    processors = {environment["processor"] for environment in environments}
    machine = describe_machine() if processors == {here} else "; ".join(sorted(processors))
    versions = {
        name: " or ".join(sorted({environment[name] for environment in environments}))
        for name in ("python", "torch", "numpy")
    }
    return {
        "commits": list(dict.fromkeys(environment["commit"] for environment in environments)),
        "uncommitted_changes": None,  # a run does not record them
        "date": max(environment["started"] for environment in environments)[:10],
        "machine": machine,
        "versions": versions,
    }


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


def main() -> None:
    """Write a results file of evaluated runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    runs = parts.add_parser("runs", help="write a results file of evaluated runs")
    runs.add_argument("name")
    runs.add_argument("runs", nargs="+", metavar="[LABEL=]RUN")
    runs.add_argument("--metrics", default="balanced_accuracy,auroc")
    runs.add_argument("--command", required=True)
    runs.add_argument("--notes")
    arguments = parser.parse_args()
    pairs = [text.rpartition("=")[::2] for text in arguments.runs]
    path = record_runs(
        arguments.name,
        [(label or None, Path(folder)) for label, folder in pairs],
        arguments.metrics.split(","),
        command=arguments.command,
        notes=arguments.notes,
    )
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
