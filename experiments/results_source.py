"""Source of measured results: commit, date, machine and versions."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MEASURED = ("depmm", "experiments", "data_specs")  # folders whose changes can change a result


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


def merge_sources(sources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge the sources of parts that were measured one after another.

    Parameters
    ----------
    sources : sequence of dict
        From :func:`describe_source`, the earliest first.

    Returns
    -------
    dict
        All commits, machines and versions, and the latest date.
    """
    return {
        "commits": list(dict.fromkeys(c for source in sources for c in source["commits"])),
        "uncommitted_changes": any(source["uncommitted_changes"] for source in sources),
        "date": max(source["date"] for source in sources),
        "machine": _join("; ", (source["machine"] for source in sources)),
        "versions": {
            name: _join(" or ", (source["versions"][name] for source in sources))
            for name in sources[-1]["versions"]
        },
    }


def _join(separator: str, texts: Iterable[str]) -> str:
    """Join texts, which may be joined ones, without repeating a part."""
    return separator.join(dict.fromkeys(part for text in texts for part in text.split(separator)))


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


def describe_origin(runs: Sequence[Path]) -> dict[str, Any]:
    """Describe commits, date, machine and versions of trainings.

    Folds are read as well: a cross-validation may have been continued at another commit.

    Parameters
    ----------
    runs : sequence of Path
        Folders of the runs, each with ``environment.json``, or of cross-validations.

    Returns
    -------
    dict
        See ``origin`` of :func:`experiments.results.record`.
    """
    files = [file for run in runs for file in sorted(run.rglob("environment.json"))]
    environments = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    environments.sort(key=lambda environment: str(environment["started"]))
    here = f"{platform.machine()}, {os.cpu_count()} logical processors"
    machine = describe_machine()
    sources = [
        {
            "commits": [environment["commit"]],
            "uncommitted_changes": False,
            "date": environment["started"][:10],
            "machine": machine if environment["processor"] == here else environment["processor"],
            "versions": {name: environment[name] for name in ("python", "torch", "numpy")},
        }
        for environment in environments
    ]
    return merge_sources(sources) | {"uncommitted_changes": None}  # a run does not record them
