"""Pages: figures and numbers into a template, and files that nobody ever sees half written."""

import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from depmm.evaluation.baselines import LABELS
from depmm.evaluation.reports import figures
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.metrics import HEADLINE, METRICS


def report_figures(content: dict[str, Any], tested: ResampledSessions) -> dict[str, str | None]:
    """Draw what the targets of a run allow: name -> SVG, or None."""
    roc = pr = severity = reliability = risk = None
    if "binary" in content["targets"]:
        seeds = answers(tested)
        roc = figures.roc_figure(seeds, tested.confidence)
        pr = figures.pr_figure(seeds, tested.confidence)
        calibration = content["calibration"]["binary"]
        reliability = figures.reliability_figure(
            calibration["before"]["reliability"], calibration["temperature"].get("reliability")
        )
        curve = calibration["risk_coverage"]["curve"]
        risk = figures.risk_figure(np.array(curve["coverage"]), np.array(curve["risk"]))
    if "severity" in content["targets"]:
        rows = pd.concat(tested.seeds.values())
        severity = figures.severity_figure(
            rows["score"].to_numpy(float), rows["score_pred"].to_numpy(float), content["instrument"]
        )
    return {"roc": roc, "pr": pr, "severity": severity, "reliability": reliability, "risk": risk}


def answers(tested: ResampledSessions) -> figures.Answers:
    """Truth, probability and bootstrap weights of each seed, as curves are drawn from them."""
    return [
        (rows["y_true"].to_numpy(float), rows["y_prob"].to_numpy(float), tested.weights_of(seed))
        for seed, rows in tested.seeds.items()
    ]


def render(template: str, /, **values: Any) -> str:
    """Fill a template of this package; in HTML everything but the figures is escaped."""
    known = {"metrics": METRICS, "headline": HEADLINE, "baseline_labels": LABELS}
    return templates("depmm.evaluation.reports").get_template(template).render(**known, **values)


@cache
def templates(package: str) -> Environment:
    """Templates of a package, beside the layout that all pages share."""
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(name, "") for name in (package, "depmm.evaluation.reports")]
        ),
        autoescape=lambda name: not str(name).endswith(".md.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "p_value": p_value, "markdown": markdown_text}
    return environment


def number(value: float | None, digits: int = 3) -> str:
    """Format a number for a reader: a true minus, a dash where undefined."""
    if value is None:
        return "\N{EN DASH}"
    if float(value).is_integer() and digits == 0:
        return str(int(value))
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_value(value: float | None) -> str:
    """Format a p value for a reader: nothing is ever certain to 0.000."""
    return "<0.001" if value is not None and value < 0.0005 else number(value)


def markdown_text(text: str) -> str:
    """Escape what Markdown or HTML would read as more than text."""
    one_line = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Make rows of nested values: ``{"a": {"b": 1}}`` becomes ``("a.b", "1")``."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(flatten(value, f"{prefix}{key}."))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((f"{prefix}{key}", text))
    return rows


def plain(value: Any) -> Any:
    """Turn numpy values into JSON values, NaN into None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
