"""What the readers of the files of one session share: where rows, failures and warnings go."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from depmm.media.errors import MediaError, as_media_error
from depmm.media.warnings import MediaWarning, Warn
from depmm.store.errors import StoreWriteError
from depmm.store.failures import Failure
from depmm.store.session_job import SessionJob
from depmm.store.session_writer import SessionWriter
from depmm.store.worker_pool import Progress

Item = TypeVar("Item")


@dataclass
class SessionReading:
    """The reading of the files of one session.

    Attributes
    ----------
    job : SessionJob
        The session.
    writer : SessionWriter
        Receives the tensors.
    progress : callable
        Called for each decoded block or frame.
    failures : list of Failure
        What could not be read.
    warnings : list of dict of str to str
        Columns of ``warnings.parquet`` from ``stage`` on.
    """

    job: SessionJob
    writer: SessionWriter
    progress: Progress
    failures: list[Failure] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    @contextmanager
    def file(
        self, stage: str, path: str, steps: Sequence[int], ranges: np.ndarray
    ) -> Iterator[Warn]:
        """Read one file; on an error, everything from it is discarded, and it is a failure.

        Parameters
        ----------
        stage : str
            ``audio``, ``face`` or the name of a feature stream.
        path : str
            The file, relative to the root of the recordings.
        steps : sequence of int
            Indices of its steps.
        ranges : ndarray of int, shape (L, 2)
            First and end row of each step; zeros for those of a file that cannot be read.

        Yields
        ------
        callable
            Receives the warnings about the file, and keeps equal ones once.

        Raises
        ------
        StoreWriteError
            If the store cannot be written, which is not a fault of the file.
        """

        def warn(warning: MediaWarning) -> None:
            row = {
                "stage": stage,
                "file": path,
                "name": warning.name,
                "problem": warning.problem,
                "remedy": warning.remedy,
            }
            if row not in self.warnings:
                self.warnings.append(row)

        before = self.writer.mark()
        try:
            yield warn
        except StoreWriteError:
            raise
        except Exception as error:
            self.writer.rewind(before)
            ranges[steps] = 0
            self.fail(stage, path, as_media_error(path, error))

    def fail(self, stage: str, path: str, error: MediaError) -> None:
        """Record a failure.

        Parameters
        ----------
        stage : str
            ``audio``, ``face`` or the name of a feature stream.
        path : str
            The file, relative to the root of the recordings.
        error : MediaError
            What could not be read.
        """
        self.failures.append(Failure.from_error(self.job.key, stage, path, error))

    def watched(self, items: Iterable[Item]) -> Iterator[Item]:
        """Report the progress of a decoder.

        Parameters
        ----------
        items : iterable
            Its blocks or frames.

        Yields
        ------
        object
            The items, unchanged.
        """
        for item in items:
            self.progress()
            yield item
