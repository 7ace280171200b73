"""Software environment of a run: versions of the libraries, platform, commit and command."""

import platform
import subprocess
import sys
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
        Python, system, processor, the version of each library, commit and command.
    """
    return {**_installed(), "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])}


@cache  # a nested cross-validation opens hundreds of runs
def _installed() -> dict[str, str]:
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
        "processor": platform.machine(),
        **{name: version(name) for name in LIBRARIES},
        "commit": commit.stdout.strip() or "unknown",
    }
