"""Software environment of a run: versions of the libraries, platform, commit and command."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "depmm",
    "torch",
    "torchaudio",
    "transformers",
    "accelerate",
    "numpy",
    "scikit-learn",
    "mediapipe",
    "av",
)


def describe_environment() -> dict[str, str]:
    """Describe the environment of this process.

    Returns
    -------
    dict of str to str
        Python, system, processors, GPU, the version of each library, commit, command and the time
        (UTC).
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {**_installed(), "started": started, "command": command}


@cache  # a nested cross-validation opens hundreds of runs
def _installed() -> dict[str, str]:
    torch = sys.modules.get("torch")  # a process without it uses no GPU
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": f"{platform.machine()}, {os.cpu_count()} logical processors",
        "gpu": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else "none",
        **{name: version(name) for name in LIBRARIES},
        "commit": commit.stdout.strip() or "unknown",
    }
