"""Progress of long work: how much is done, at which rate, and how much time is left.

Progress is shown where the logger ``depmm`` shows messages of level INFO, as after
``depmm.cli.show_progress``. On a terminal, each running task has one line that is drawn again twice
a second; in a log or a pipe, a task writes a message at most every ``LOG_INTERVAL_S`` seconds.
Processes and inner runs whose logger shows warnings only are silent.

A task counts on the host. It never reads a value from a device, so that the work does not wait for
it.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

LOG_INTERVAL_S = 300.0  # between two messages of a task in a log
DRAWINGS_PER_S = 2

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


@dataclass
class Task:
    """A piece of work with a known number of parts.

    Attributes
    ----------
    name : str
        What is done, for example ``extract``.
    total : int
        Number of parts.
    unit : str
        What the parts are, plural, for example ``sessions``.
    done : int
        Number of parts that are done.
    note : str
        Further information, for example the validation metric of the last epoch.
    """

    name: str
    total: int
    unit: str
    done: int = 0
    note: str = ""
    _first: int = 0
    _began: float = field(default_factory=lambda: time.monotonic())
    _reported: float = field(default_factory=lambda: time.monotonic())
    _logs: bool = False

    def advance(self, n: int = 1, note: str | None = None) -> None:
        """Count parts that are done.

        Parameters
        ----------
        n : int, default 1
            Number of parts.
        note : str, optional
            New value of ``note``.
        """
        self.done += n
        if note is not None:
            self.note = note
        if self._logs and time.monotonic() - self._reported >= LOG_INTERVAL_S:
            self._reported = time.monotonic()
            logger.info("%s", str(self))  # of this moment, not of the time of formatting

    @property
    def rate(self) -> float:
        """Rate in parts per second since the start of the task; 0 before the first part is done."""
        seconds = time.monotonic() - self._began
        return (self.done - self._first) / seconds if seconds > 0 else 0.0

    def describe_rate(self) -> str:
        """Describe the rate and the time that is left at this rate.

        Returns
        -------
        str
            For example ``2.1 sessions/s, 3 min left``; empty before the first part is done.
        """
        if self.rate == 0:
            return ""
        speed = f"{self.rate:.1f} {self.unit}/s"
        for seconds, name in ((60, "min"), (3600, "h")):
            if self.rate * seconds / 60 < 1:
                speed = f"{self.rate * seconds:.1f} {self.unit}/{name}"
        left = (self.total - self.done) / self.rate
        return f"{speed}, {format_seconds(left)} left" if self.done < self.total else speed

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.total} {self.unit}", self.describe_rate(), self.note]
        return f"{self.name}: {', '.join(part for part in parts if part)}"


@contextmanager
def show(name: str, total: int, unit: str, done: int = 0) -> Iterator[Task]:
    """Show the progress of a piece of work while the ``with`` block runs; blocks can be nested.

    Parameters
    ----------
    name : str
        What is done.
    total : int
        Number of parts.
    unit : str
        What the parts are, plural.
    done : int, default 0
        Parts that were done before; they do not count for the rate.

    Yields
    ------
    Task
        Call its ``advance`` after each part.
    """
    task = Task(name, total, unit, done, _first=done)
    if total <= done or not logger.isEnabledFor(logging.INFO):
        yield task
    elif not sys.stderr.isatty():
        task._logs = True
        yield task
    else:
        with _SCREEN.showing(task):
            yield task


def track(items: Iterable[Item], name: str, unit: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over items and show the progress.

    Parameters
    ----------
    items : iterable
        The items.
    name : str
        What is done with them.
    unit : str
        What they are, plural.
    total : int, optional
        Their number; required if ``items`` has no length.

    Yields
    ------
    object
        The items; one is done when the next one is requested.
    """
    n_items = len(items) if isinstance(items, Sequence) and total is None else total or 0
    with show(name, n_items, unit) as task:
        for item in items:
            yield item
            task.advance()


def format_seconds(seconds: float) -> str:
    """Format a duration in the largest units that matter.

    Parameters
    ----------
    seconds : float
        The duration.

    Returns
    -------
    str
        For example ``40 s``, ``3 min`` or ``2 h 10 min``.

    Examples
    --------
    >>> format_seconds(40), format_seconds(200), format_seconds(7800)
    ('40 s', '3 min', '2 h 10 min')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class _Screen:
    """The lines of all running tasks on the terminal, the outermost task first."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._live: Live | None = None
        self._lock = threading.Lock()

    @contextmanager
    def showing(self, task: Task) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live

        with self._lock:
            self._tasks.append(task)
            if self._live is None:
                self._live = Live(
                    get_renderable=self._draw,
                    console=Console(stderr=True),
                    refresh_per_second=DRAWINGS_PER_S,
                    transient=True,
                    # a redirected standard output must not be written to the terminal
                    redirect_stdout=sys.stdout.isatty(),
                )
                self._live.start()
        try:
            yield
        finally:
            with self._lock:
                # a generator that was not exhausted ends late, and not in order
                self._tasks = [other for other in self._tasks if other is not task]
                if not self._tasks and self._live is not None:
                    self._live.stop()
                    self._live = None

    def _draw(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for task in list(self._tasks):
            bar = ProgressBar(task.total, min(task.done, task.total), width=20)
            count = f"{task.done}/{task.total}"
            known = ", ".join(part for part in (task.describe_rate(), task.note) if part)
            table.add_row(Text(task.name), bar, Text(count), Text(known, overflow="ellipsis"))
        return table


_SCREEN = _Screen()  # a process has one terminal
