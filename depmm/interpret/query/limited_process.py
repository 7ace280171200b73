"""Run a module in a process of its own, with limits of memory and time.

A limit inside the process that asks would not stop a library that allocates gigabytes for one value
or does not look at the time, and the process itself would be ended by the system.
"""

import os
import subprocess
import sys
from pathlib import Path

from depmm.interrupts import ended_with_parent

GRACE_S = 8.0  # for the start of the process, and for it to stop by itself


class LimitExceeded(Exception):
    """The process exceeded a limit.

    Parameters
    ----------
    limit : {"memory", "time"}
        The limit.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


def run_limited(module: str, request: bytes, seconds: float) -> bytes:
    """Run a module of this package in a new process.

    Parameters
    ----------
    module : str
        Name of the module, which calls `limit_memory` first, reads the request from its standard
        input and writes the answer to its standard output.
    request : bytes
        The request.
    seconds : float
        Time after which the module stops by itself; the process is ended `GRACE_S` later.

    Returns
    -------
    bytes
        The answer.

    Raises
    ------
    LimitExceeded
        If the process was ended because of its time, or failed to allocate memory.
    """
    folder = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", module],  # -P: no modules of the working directory
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        ended_with_parent.add(process)
        try:
            answer, _ = process.communicate(request, timeout=seconds + GRACE_S)
        except subprocess.TimeoutExpired:
            raise LimitExceeded("time") from None
        finally:
            process.kill()
            ended_with_parent.discard(process)
    if process.returncode != 0:  # ended by the system, or by the library
        raise LimitExceeded("memory")
    return answer


def limit_memory(n_bytes: int) -> None:
    """Limit the memory that this process can allocate, where the system supports it (Linux).

    Parameters
    ----------
    n_bytes : int
        The limit.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = n_bytes if hard == resource.RLIM_INFINITY else min(n_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
