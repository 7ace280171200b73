"""A process that tries one input after another and is ended if an input takes too long."""

import contextlib
import io
import multiprocessing
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

TIME_LIMIT_S = 60.0
PRELOADED = [
    "depmm.cli",
    "depmm.training.experiment",
    "depmm.inference.predictor",
    "depmm.audit.audit",
]
MEMORY_LIMIT_KB = 2 * 1024**2  # above what the process has when it starts


class Output(NamedTuple):
    """Exit status and output of a command; status 70 after an exception that main() lets pass."""

    code: int
    text: str

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.text


def call(*arguments: object) -> Output:
    """Run a command of depmm in this process, like the installed program."""
    from depmm.cli import main

    argv, sys.argv = sys.argv, ["depmm", *map(str, arguments)]
    text, code = io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
            except BaseException:
                traceback.print_exc()
                code = 70
    finally:
        sys.argv = argv
    return Output(code, text.getvalue())


def extract_here(manifest: Path, root: Path, store: Path) -> Output:
    """Extract like ``depmm extract``, but in this process: starting another one takes seconds."""
    from depmm.cli.application import reporting_errors
    from depmm.config import ExtractConfig
    from depmm.corpora.manifest import read_manifest
    from depmm.store.extract import extract

    text, code = io.StringIO(), 0
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            with reporting_errors():
                report = extract(
                    read_manifest(manifest), root, store, ExtractConfig(), workers=0,
                )  # fmt: skip
                code = int(len(report.failures) > 0)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc()
            code = 70
    return Output(code, text.getvalue())


def _serve(pipe: Any, function: Callable[[Any], Any]) -> None:
    warnings.simplefilter("ignore")  # users do not see them as errors
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while True:
        case = pipe.recv()
        try:
            result = "", function(case)
        except BaseException:
            result = f"the check failed:\n{traceback.format_exc()}", None
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        if used > MEMORY_LIMIT_KB:
            result = f"{used / 1024**2:.1f} GB of memory", None
            pipe.send(result)
            return  # the peak of a process never falls
        pipe.send(result)


class IsolatedProcess:
    """Calls of a function in another process.

    Parameters
    ----------
    function : callable
        Takes a case and returns a result; both can be pickled.
    limit_s : float
        Time after which a call counts as a hang.
    """

    def __init__(self, function: Callable[[Any], Any], limit_s: float = TIME_LIMIT_S) -> None:
        self.function, self.limit_s = function, limit_s
        self._process: Any = None

    def __call__(self, case: Any) -> tuple[str, Any]:
        """Return the fault of the process (empty: none), such as ``hang``, and the result."""
        if self._process is None or not self._process.is_alive():
            # a fork of this process could inherit a lock that a thread of Arrow or torch holds
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(PRELOADED)
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, self.function))
            self._process.start()
            other.close()
        self._pipe.send(case)
        try:
            if self._pipe.poll(self.limit_s):
                result: tuple[str, Any] = self._pipe.recv()
                return result
        except EOFError:
            self._process.join()
            return f"crash (exit code {self._process.exitcode})", None
        self.close()
        return "hang", None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
