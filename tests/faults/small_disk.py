"""Commands on a full disk, in a mount namespace of their own."""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.isolation import Output, call
from faults.killed_commands import arguments_of, result_of
from faults.oracle import Verdict, is_explained, traceback_in

_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE, _MS_REMOUNT = 0x4000, 1 << 18, 32
# command -> sizes of the disk in kB that are too small for its result
SIZES = {"index": (8, 16), "extract": (64, 400), "train": (16, 64), "evaluate": (16, 64)}
# command -> folder that it writes
FOLDERS = {"index": "manifest", "extract": "store", "train": "runs", "evaluate": "out"}


@dataclass(frozen=True)
class DiskCase:
    """A command on a disk that is too small.

    Attributes
    ----------
    command : str
        One of ``SIZES``, or ``shared memory``.
    size_kb : int
        Size of the disk.
    """

    command: str
    size_kb: int

    def __str__(self) -> str:
        return f"{self.command} with {self.size_kb} kB"


def _mount(target: Path, options: str, flags: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    source = b"tmpfs"
    if libc.mount(source, os.fsencode(target), b"tmpfs", flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def isolate_mounts() -> None:
    """Move this process to a mount namespace of its own.

    Raises
    ------
    OSError
        If the process may not do this.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def can_mount(folder: Path) -> str:
    """Return why no small disk can be made; empty if it can."""
    try:
        isolate_mounts()
        _mount(folder, "size=16k")
    except (OSError, AttributeError) as error:
        return f"a small disk needs the right to mount ({error})"
    return ""


class DiskCheck:
    """Run commands on a disk that is too small, and again when it is large enough.

    Parameters
    ----------
    copy : callable
        Takes a command and returns a copy of the workspace without its result.
    references : dict of str to dict of str to bytes
        Result of each command on a large disk.
    """

    def __init__(
        self, copy: Callable[[str], Path], references: dict[str, dict[str, bytes]]
    ) -> None:
        self.copy, self.references = copy, references
        self.isolated = False

    def __call__(self, case: DiskCase) -> Verdict:
        if not self.isolated:
            isolate_mounts()
            self.isolated = True
        if case.command == "shared memory":
            return self._train_with_workers(case)
        folder = self.copy(case.command)
        arguments = _arguments(case.command, folder)
        disk = folder / FOLDERS[case.command]
        disk.mkdir(exist_ok=True)
        _mount(disk, f"size={case.size_kb}k")
        full = call(*arguments)
        if (trace := traceback_in([full])) is not None:
            return Verdict(str(case), "traceback", trace)
        if full.code == 0:
            return Verdict(str(case), "silent", "status 0 although the result has no room")
        if not is_explained(full.text, [str(disk), FOLDERS[case.command]], ["space"]):
            return Verdict(str(case), "silent", full.text[-300:])
        _mount(disk, "size=100m", _MS_REMOUNT)
        again = call(*arguments)
        if again.code != 0:
            return Verdict(
                str(case), "silent", f"with room, status {again.code}: {again.text[-200:]}"
            )
        result = result_of(case.command, folder) if case.command != "evaluate" else {}
        reference = self.references[case.command] if result else {}
        if different := [name for name in reference if result.get(name) != reference[name]]:
            return Verdict(str(case), "silent", f"with room, {different[0]} differs")
        return Verdict(str(case), "handled")

    def _train_with_workers(self, case: DiskCase) -> Verdict:
        folder = self.copy("train")
        _mount(Path("/dev/shm"), f"size={case.size_kb}k")
        output = call(*arguments_of("train", folder), "data.workers=2")
        _mount(Path("/dev/shm"), "size=1g", _MS_REMOUNT)
        if (trace := traceback_in([output])) is not None:
            return Verdict(str(case), "traceback", trace)
        if output.code == 0:
            same = result_of("train", folder) == self.references["train"]
            return Verdict(str(case), "handled" if same else "silent", "another result")
        said = is_explained(output.text, ["/dev/shm", "data.workers"])
        return Verdict(str(case), "handled" if said else "silent", output.text[-300:])


def _arguments(command: str, folder: Path) -> tuple[Any, ...]:
    arguments = arguments_of(command, folder)
    if command == "evaluate":
        return (*arguments, "--out", folder / FOLDERS["evaluate"])
    return tuple(1 if name == 2 else name for name in arguments)  # one worker


def run_all(commands: tuple[str, ...], copy: Callable[[str], Path]) -> dict[str, dict[str, bytes]]:
    """Return the results of commands on a large disk."""
    results = {}
    for command in commands:
        folder = copy(command)
        output: Output = call(*_arguments(command, folder))
        assert output.code == 0, output.text
        results[command] = result_of(command, folder) if command != "evaluate" else {}
    return results
