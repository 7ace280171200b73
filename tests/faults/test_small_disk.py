"""Full disk and small shared memory: a message with the remedy, and the same command repairs."""

import sys
from pathlib import Path

import pytest
from faults.isolation import IsolatedProcess
from faults.small_disk import SIZES, DiskCase, DiskCheck, can_mount, run_all
from faults.workspace_copies import WorkspaceCopies


def run_undisturbed(copy: WorkspaceCopies) -> dict[str, dict[str, bytes]]:
    return run_all(("index", "extract", "train"), copy)


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_same_command_repairs(workspace, tmp_path, try_cases):
    if sys.platform != "linux":
        pytest.skip("a small disk is made by a mount of Linux")
    (tmp_path / "disk").mkdir()
    process = IsolatedProcess(can_mount)
    reason = process(tmp_path / "disk")[1]
    process.close()
    if reason:
        pytest.skip(reason)
    process = IsolatedProcess(run_undisturbed)
    fault, references = process(WorkspaceCopies(workspace, tmp_path / "data"))
    process.close()
    assert not fault, fault
    cases = [DiskCase(command, size) for command, sizes in SIZES.items() for size in sizes]
    cases.append(DiskCase("shared memory", 64))
    check = DiskCheck(Copies(workspace, tmp_path), references)
    try_cases("full disks", check, cases)


class Copies:
    """Copies at paths of the same length; a mounted disk cannot be removed."""

    def __init__(self, workspace: Path, folder: Path) -> None:
        self.workspace, self.folder, self.n = workspace, folder, 0

    def __call__(self, command: str) -> Path:
        self.n += 1
        return WorkspaceCopies(self.workspace, self.folder / f"dat{self.n}")(command)
