"""Copies of the workspace without the result of one command."""

import shutil
from pathlib import Path

# what the workspace has of the result of a command
RESULTS = {
    "index": "manifest",
    "extract": "store",
    "train": "runs/killed",
    "evaluate": "runs/finished/metrics.json",
}


class WorkspaceCopies:
    """Copy the workspace for one command after the other.

    Parameters
    ----------
    workspace : Path
        As :func:`faults.flip_checks.write_workspace` writes it.
    folder : Path
        The copy, always at the same path, because configs and reports contain it.
    """

    def __init__(self, workspace: Path, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder

    def __call__(self, command: str) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.workspace, self.folder, dirs_exist_ok=True)
        result = self.folder / RESULTS[command]
        if result.is_dir():
            shutil.rmtree(result)
        result.unlink(missing_ok=True)
        return self.folder
