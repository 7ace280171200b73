"""The processes of one launch end together, and the first one tells the exit status.

Launchers such as torchrun end all processes when one exits with another status than 0. Therefore
the others report in the store that they are done, exit with 0, and the first one waits for them. It
waits only while they show signs of life.
"""

import hashlib
import json
import logging
import os
import threading
import time
from types import TracebackType
from typing import Any, Self

from depmm.errors import DepmmError
from depmm.files.writing import TEMPORARY_PREFIX
from depmm.shards import Shard
from depmm.store.errors import StoreError
from depmm.store.sessions import SessionStore

logger = logging.getLogger(__name__)

BEAT_S = 5.0  # between two signs of life of a process
SILENCE_S = 180.0  # after which a process counts as ended; some file systems show changes late
POLL_S = 0.5
EARLIER_LAUNCH_S = 600.0  # an older sign of life is that of an earlier launch with the same name
_LAUNCH_VARIABLES = (
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT",
    "SLURM_JOB_ID", "SLURM_STEP_ID",
)  # fmt: skip


class Launch:
    """The signs of life of the processes of one launch, a context manager.

    Parameters
    ----------
    store : SessionStore
        Store that all processes share.
    shard : Shard
        The part of this process, with its rank.
    """

    def __init__(self, store: SessionStore, shard: Shard) -> None:
        self._store, self._shard = store, shard
        names = [os.environ.get(name, "") for name in _LAUNCH_VARIABLES]
        if os.environ.get("LOCAL_WORLD_SIZE") == str(shard.world_size):
            names.append(str(os.getppid()))  # the launcher; of one computer only
        digest = hashlib.sha256("\0".join(names).encode()).hexdigest()[:12]
        self._prefix = f"{store.root}/{TEMPORARY_PREFIX}launch-{digest}-{shard.world_size}"
        self._start = time.time()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.unfinished: list[str] = []

    def __enter__(self) -> Self:
        if self._shard.rank > 0:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shard.world_size == 1 or not (error is None or isinstance(error, Exception)):
            self._ended.set()  # interrupted: nothing is waited for
            return
        if self._shard.rank == 0:
            self.wait()
        else:
            self._ended.set()
            self._thread.join()
            self._report("done" if error is None else f"error: {error}")

    def wait(self) -> None:
        """Wait for the other processes; list in ``unfinished`` those that have not succeeded."""
        others = dict.fromkeys(range(1, self._shard.world_size))
        beats: dict[int, tuple[Any, float]] = {rank: (None, time.monotonic()) for rank in others}
        while beats:
            for rank in list(beats):
                row = self._read(rank)
                state, count = row.get("state", ""), row.get("count")
                if state == "done" or state.startswith("error"):
                    del beats[rank]
                    if state != "done":
                        self.unfinished.append(f"process {rank} ended: {state}")
                elif count != beats[rank][0]:
                    beats[rank] = (count, time.monotonic())
                elif time.monotonic() - beats[rank][1] > SILENCE_S:
                    del beats[rank]
                    self.unfinished.append(
                        f"process {rank} of {self._shard.world_size} was ended, or has not started"
                    )
            if beats:
                time.sleep(POLL_S)
        for rank in others:
            try:
                self._store.filesystem.rm(self._path(rank))
            except (OSError, DepmmError):
                logger.debug("%s cannot be removed", self._path(rank))

    def _beat(self) -> None:
        count = 0
        while not self._ended.is_set():
            self._report("running", count)
            count += 1
            self._ended.wait(BEAT_S)

    def _report(self, state: str, count: int = 0) -> None:
        row = {"state": state, "count": count, "time": time.time()}
        try:
            self._store.put_bytes(json.dumps(row).encode(), self._path(self._shard.rank))
        except StoreError as error:  # the first process then counts this one as ended
            logger.debug("%s", error)

    def _read(self, rank: int) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(self._store.filesystem.cat_file(self._path(rank)))
            return row if row["time"] > self._start - EARLIER_LAUNCH_S else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _path(self, rank: int) -> str:
        return f"{self._prefix}-{rank}"
