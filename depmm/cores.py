"""The number of processor cores that this process may use."""

import os
import sys
from contextlib import suppress
from pathlib import Path

_PROCESS_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Count the cores that this process may use, not those that the computer has.

    The affinity of the process (set by SLURM, ``taskset`` or Docker's ``--cpuset-cpus``) and the
    quota of its control groups (Docker's ``--cpus``, the limits of Kubernetes and of some
    schedulers) are respected. More processes or threads than that would wait for each other.

    Returns
    -------
    int
        At least 1; a quota of 2.5 cores counts as 2.

    References
    ----------
    Linux kernel documentation, "Control Group v2", section "CPU Interface Files" (``cpu.max``), and
    "CFS Bandwidth Control" (``cpu.cfs_quota_us``, version 1).
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = cpu_quota() if sys.platform == "linux" else None
    return max(1, cores if quota is None else min(cores, int(quota)))


def local_cores() -> int:
    """Count the cores per process of a launcher that starts several processes on this computer.

    Returns
    -------
    int
        ``available_cores`` divided by ``LOCAL_WORLD_SIZE``, which torchrun and accelerate set; at
        least 1.
    """
    size = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, available_cores() // max(1, int(size) if size.isdecimal() else 1))


def worker_cores(n_workers: int) -> list[int]:
    """List the cores on which worker processes stay if together they fill all cores.

    A worker whose decoder and face model hand each frame from thread to thread needs more time if
    these threads move between cores. Where fewer workers run than there are cores, the choice is
    left to the kernel, because another program may use the same cores.

    Parameters
    ----------
    n_workers : int
        Number of worker processes that run at a time.

    Returns
    -------
    list of int
        A core for each worker; empty where workers are not bound to cores.
    """
    if n_workers < 2 or not hasattr(os, "sched_getaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    return cores if n_workers == len(cores) == available_cores() else []


def stay_on_core(core: int) -> None:
    """Let this process, and threads that it starts from now on, use one core.

    Parameters
    ----------
    core : int
        A core of :func:`worker_cores`.
    """
    with suppress(OSError):  # the core was taken from the container meanwhile
        os.sched_setaffinity(0, {core})


def limit_threads() -> None:
    """Limit the threads of numerical libraries to the quota of the control groups.

    OpenMP and BLAS respect the affinity of the process, but not a quota: with 4 of 128 cores they
    would start 128 threads, which the kernel stops most of the time. A variable that is set is not
    changed. The libraries read the variables when they are loaded.
    """
    cores = available_cores()
    if hasattr(os, "sched_getaffinity") and cores < len(os.sched_getaffinity(0)):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(local_cores()))


def cpu_quota(process_groups: Path = _PROCESS_GROUPS, groups: Path = _GROUPS) -> float | None:
    """Read the quota of the control groups of this process.

    Parameters
    ----------
    process_groups : Path, optional
        File with the control groups of the process.
    groups : Path, optional
        Folder where the control groups are mounted.

    Returns
    -------
    float or None
        Cores; the lowest value of the group and of those above it. None without a quota.
    """
    try:
        lines = process_groups.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            mount = groups
        elif "cpu" in controllers.split(","):
            mount = groups / "cpu"
        else:
            continue
        # in a container, the path is often that of the host, which is not mounted: its own group is
        folder = mount / path.strip("/")
        while True:
            quotas.append(_quota_of(folder))
            if folder == mount:
                break
            folder = folder.parent
    known = [quota for quota in quotas if quota is not None]
    return min(known, default=None)


def _quota_of(folder: Path) -> float | None:
    """Read the quota of one control group, of version 2 or 1."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        if quota == "max" or int(quota) <= 0 or int(period) <= 0:
            return None
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None
