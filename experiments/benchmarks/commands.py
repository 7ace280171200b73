"""Commands of depmm in processes of their own, and what they cost."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a command needed.

    Attributes
    ----------
    seconds : float
        Time of the clock.
    processor_s : float
        Time of all its threads and processes.
    memory_mib : float
        Largest memory of one process.
    """

    seconds: float
    processor_s: float
    memory_mib: float


def depmm(*arguments: object, cwd: Path) -> None:
    """Run a command of depmm; its output is appended to ``log.txt`` in the folder ``cwd``."""
    log = cwd / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        subprocess.run(
            [sys.executable, "-m", "depmm", *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=True,
        )


def measure_depmm(
    *arguments: object, cwd: Path | None = None, allowed: Collection[int] = (0,)
) -> Cost:
    """Run a command of depmm and measure it, its workers included in the processor time.

    Parameters
    ----------
    *arguments : object
        Arguments of depmm.
    cwd : Path, optional
        Folder in which the command runs; by default that of this process.
    allowed : collection of int, default (0,)
        Exit statuses that are no failure.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "depmm", *words],
            cwd=cwd,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"ACCELERATE_USE_CPU": "true"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in allowed:
            log.seek(0)
            raise RuntimeError(
                f"depmm {' '.join(words)}: status {process.returncode}\n{log.read()}"
            )
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
