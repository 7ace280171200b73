"""The one error of this package: a recording (or face model) that cannot be used."""

from pathlib import Path


class MediaError(ValueError):
    """A file that cannot be decoded as asked; the message names it, the fault and the remedy.

    Parameters
    ----------
    path : the file, first in the message
    problem : what is wrong with it and what to do, one or two sentences
    """

    def __init__(self, path: Path | str, problem: str):
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple[type["MediaError"], tuple[Path, str]]:
        """Rebuild from both parts: an error raised in a worker process keeps its message."""
        return type(self), (self.path, self.problem)
