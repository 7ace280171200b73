"""The commands of ``make demo``."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def demo_commands() -> list[list[str]]:
    """List the ``depmm`` commands of ``make demo``, as words, in the order of one job."""
    recipe = subprocess.run(
        ["make", "--dry-run", "--jobs", "1", "demo"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.replace("\\\n", " ")  # fmt: skip
    marker = "/bin/depmm "
    return [line.partition(marker)[2].split() for line in recipe.splitlines() if marker in line]
