"""The progress bar of an extraction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[bool], None]
"""Called after each session, with whether a part of it failed."""


@contextmanager
def extraction_progress(total: int) -> Iterator[Advance]:
    """Draw a bar with rate, remaining time and the number of sessions with failures.

    Parameters
    ----------
    total : int
        Number of sessions.

    Yields
    ------
    callable
        To be called after each session with True if it has failures.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("extract"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    n_failed = 0
    with Progress(*columns) as progress:
        task = progress.add_task("extract", total=total, rate="", state="")

        def advance(failed: bool) -> None:
            nonlocal n_failed
            n_failed += failed
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed or 0.0
            progress.update(
                task,
                advance=1,
                rate=f"{speed:.1f} sessions/s",
                state=f"{n_failed} with failures" if n_failed else "",
            )

        yield advance
