"""Source of measured results: commit, date, machine and versions."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
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

    Parameters
    ----------
    runs : sequence of Path
        Folders of the runs, each with ``environment.json``.

    Returns
    -------
    dict
        See ``origin`` of :func:`experiments.results.record`.
    """
    files = [run / "environment.json" for run in runs]
    environments = [json.loads(file.read_text(encoding="utf-8")) for file in files]
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
