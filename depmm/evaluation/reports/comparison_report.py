"""Compare several runs on one page: each with its baseline, every pair on the same subjects."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.evaluation.comparison import Adjustment, PairingError, compare_runs
from depmm.evaluation.predictions import Unit, prepare_predictions
from depmm.evaluation.reports import figures
from depmm.evaluation.reports.rendering import answers, plain, render, write_whole
from depmm.evaluation.reports.report import measure
from depmm.evaluation.reports.tables import comparison_table, runs_table
from depmm.evaluation.stats.metrics import HEADLINE, METRICS

SCHEMA_VERSION = 1  # of a comparison's metrics.json


def write_comparison(
    runs: Mapping[str, pd.DataFrame],
    out: Path,
    *,
    commands: Mapping[str, str | None],
    n_bootstrap: int,
    confidence: float,
    adjustment: Adjustment = "holm",
    unit: Unit = "session",
) -> dict[str, Any]:
    """Compare runs and write metrics.json, report.html, tables.md and tables.tex into a folder.

    Only the headline metrics (``HEADLINE``) are tested, so that the correction is for few tests.

    Parameters
    ----------
    runs : name -> predictions (see ``check_predictions``), of the same sessions and seeds
    out : folder, made if absent; files are replaced atomically
    commands : name -> the line that made the run, where it is known
    n_bootstrap, confidence : of the bootstrap and the permutation test
    adjustment : of the p values
    unit : ``session``, or ``subject`` for the mean of each subject's sessions

    Returns
    -------
    The content of ``metrics.json``: ``runs`` (name -> content of the run's own ``metrics.json``)
    and ``comparison`` (rows of ``compare_runs``)

    Raises
    ------
    PairingError : other sessions, another truth, other seeds, no target in common
    PredictionTableError : see ``evaluate``
    """
    found = {name: prepare_predictions(table, unit)[1] for name, table in runs.items()}
    targets = [target for target in HEADLINE if all(target in own for own in found.values())]
    if not targets:
        said = "; ".join(f"{name}: {', '.join(own)}" for name, own in found.items())
        raise PairingError(
            f"compare_runs: the runs have no target in common ({said}); compare runs of one target"
        )
    names = [name for target in targets for name in HEADLINE[target]]
    table = compare_runs(
        runs,
        names,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        adjustment=adjustment,
        unit=unit,
    )
    measured = {name: measure(own, n_bootstrap, confidence, 0, unit) for name, own in runs.items()}
    contents = {name: content for name, (content, _) in measured.items()}
    first = next(iter(contents.values()))
    content: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "comparison",
            "unit": unit,
            "targets": targets,
            "adjustment": adjustment.replace("_", "-"),
            "bootstrap": first["bootstrap"],
            "comparison": table.to_dict("records"),
            "runs": contents,
        }
    )
    roc = None
    if "binary" in targets:
        roc = figures.roc_overlay({name: answers(tested) for name, (_, tested) in measured.items()})
    page = render(
        "comparison.html.jinja",
        m=content,
        title=f"Comparison of {len(runs)} runs",
        names=names,
        roc=roc,
        commands=commands,
        differences=[row | {"words": _words(row)} for row in content["comparison"]],
    )
    tables = [runs_table(contents, names), comparison_table(content)]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    write_whole(out / "report.html", page)
    write_whole(out / "tables.md", "\n".join(table.markdown() for table in tables))
    write_whole(out / "tables.tex", "\n".join(table.latex() for table in tables))
    return content


def _words(row: Mapping[str, Any]) -> str:
    """Say in a few words which run is better, by the adjusted p and the interval together."""
    if row["p_adjusted"] is None or row["ci_low"] is None:
        return "undefined"
    if row["p_adjusted"] >= 0.05 or row["ci_low"] <= 0 <= row["ci_high"]:
        return "no difference shown"
    lower = METRICS[row["metric"]].lower_is_better
    better = row["run_b"] if (row["difference"] > 0) == lower else row["run_a"]
    return f"{better} is better"
