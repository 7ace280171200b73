"""Cores that a process may use: affinity and quotas of control groups."""

import os

import pytest

from depmm import cores
from depmm.cores import available_cores, cpu_quota, local_cores, worker_cores


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("lines", "files", "quota"),
    [
        ("0::/job/step", {"job/step": {"cpu.max": "max 100000\n"}}, None),
        ("0::/job/step", {"job/step": {"cpu.max": "250000 100000\n"}}, 2.5),
        # a limit of the job counts for its steps
        (
            "0::/job/step",
            {"job/step": {"cpu.max": "max 100000\n"}, "job": {"cpu.max": "400000 100000\n"}},
            4.0,
        ),
        # a container: the path of the host is not mounted, its own group is the root
        ("0::/docker/abc", {"": {"cpu.max": "150000 100000\n"}}, 1.5),
        (
            "9:cpu,cpuacct:/slurm\n4:memory:/slurm\n0::/",
            {"cpu/slurm": {"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"}},
            3.0,
        ),
        (
            "9:cpu,cpuacct:/slurm",
            {"cpu/slurm": {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}},
            None,
        ),
        ("0::/job", {"job": {"cpu.max": "damaged\n"}}, None),
        ("", {}, None),
    ],
)
def test_the_lowest_quota_of_the_groups_counts(lines, files, quota, tmp_path):
    for folder, content in files.items():
        write(tmp_path / "fs" / folder, content)
    (tmp_path / "cgroup").write_text(lines)
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "fs") == quota


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path / "missing", tmp_path) is None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
@pytest.mark.parametrize(("quota", "expected"), [(None, 6), (2.5, 2), (0.5, 1), (64.0, 6)])
def test_affinity_and_quota_limit_the_cores(quota, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cores.sys, "platform", "linux")
    assert available_cores() == expected
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert local_cores() == max(1, expected // 2)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
def test_workers_stay_on_cores_if_they_fill_all_of_them(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 2, 3})
    monkeypatch.setattr(cores, "cpu_quota", lambda: None)
    assert worker_cores(3) == [2, 3, 5]
    assert worker_cores(2) == worker_cores(4) == []
    monkeypatch.setattr(cores, "cpu_quota", lambda: 2.0)  # three workers share two cores
    assert worker_cores(2) == worker_cores(3) == []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4})
    assert worker_cores(1) == []
