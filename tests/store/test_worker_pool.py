"""Worker processes: the cores on which they run, and their end."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from depmm.cores import available_cores
from depmm.store.worker_pool import Progress, run_in_processes


def cores_of_process(job: int, progress: Progress) -> set[int]:
    return os.sched_getaffinity(0)


@pytest.mark.skipif(available_cores() < 2, reason="needs two cores")
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
def test_workers_that_fill_all_cores_stay_on_one_each(request):
    cores = os.sched_getaffinity(0)
    request.addfinalizer(lambda: os.sched_setaffinity(0, cores))
    two = set(sorted(cores)[:2])
    os.sched_setaffinity(0, two)
    used = [core for _, core in run_in_processes(cores_of_process, range(8), 2, 60.0)]
    assert all(len(core) == 1 and core <= two for core in used)
    assert os.sched_getaffinity(0) == two  # of this process
    ((_, alone),) = run_in_processes(cores_of_process, [0], 2, 60.0)
    assert alone == two  # one job needs one worker, which may use both


def make_temporary_folder(job: int, progress: Progress) -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


def test_a_worker_removes_its_temporary_folders_at_its_end():
    ((_, folder),) = run_in_processes(make_temporary_folder, [0], 1, 60.0)
    assert not folder.exists()
