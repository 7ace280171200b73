"""Batches that are read in worker processes, and what happens if these fail."""

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from depmm.data import batch
from depmm.data.batch import SessionLoader
from depmm.data.epoch_plan import MicroBatch
from depmm.data.errors import DataError
from depmm.data.session_item import SessionItem
from depmm.store.errors import StoreError

CPU = torch.device("cpu")
PLAN = [MicroBatch([2 * n, 2 * n + 1], [0.5, 0.5], last=True) for n in range(6)]


class Sessions:
    """Sessions of one step whose waveform is their epoch, their index and the process id."""

    def __init__(self, workers: int, length: int = 3, kill: int | None = None):
        self.settings = SimpleNamespace(workers=workers)
        self.length, self.kill = length, kill

    def __len__(self):
        return 12

    def __getitem__(self, epoch_and_index):
        epoch, index = epoch_and_index
        if index == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        waveform = np.zeros(self.length, np.float32)
        waveform[:3] = -1 if epoch is None else epoch, index, os.getpid()
        return SessionItem(index, {"audio": [waveform]})


def read_all(loader: SessionLoader, epoch: int | None) -> np.ndarray:
    """Read a plan; return epoch, index and process of each session."""
    rows = []
    for index, inputs in loader.read(PLAN, epoch):
        rows += inputs["audio"].values[:, 0, :3].tolist()
        assert [row[1] for row in rows[-2:]] == index.tolist()
    return np.array(rows)


def test_worker_processes_serve_every_epoch_and_change_nothing():
    loader, own = SessionLoader(Sessions(workers=2), CPU), SessionLoader(Sessions(workers=0), CPU)
    state = torch.get_rng_state()
    epochs = [read_all(loader, epoch) for epoch in (0, 1, None)]
    assert torch.equal(torch.get_rng_state(), state)  # that of dropout
    processes = {int(process) for rows in epochs for process in rows[:, 2]}
    assert len(processes) == 2
    assert os.getpid() not in processes
    for rows, epoch in zip(epochs, (0, 1, None), strict=True):
        np.testing.assert_array_equal(rows[:, :2], read_all(own, epoch)[:, :2])
    assert [len(index) for index, _ in loader.evaluate([1, 3, 4], 2)] == [2, 1]


def test_a_plan_can_be_replaced_before_its_end():
    loader = SessionLoader(Sessions(workers=2), CPU)
    next(loader.read(PLAN, 0))
    rows = read_all(loader, 1)
    np.testing.assert_array_equal(rows[:, 0], np.ones(12))
    np.testing.assert_array_equal(rows[:, 1], np.arange(12))


def test_batches_for_a_gpu_are_pinned():
    # not iterated, which requires a GPU
    assert SessionLoader(Sessions(workers=2), torch.device("cuda"))._loader.pin_memory
    assert not SessionLoader(Sessions(workers=2), CPU)._loader.pin_memory


def test_without_shared_memory_the_batches_are_read_in_this_process(monkeypatch, caplog):
    share = torch.Tensor.share_memory_

    def share_some(tensor):
        if tensor.ndim == 3 and tensor[0, 0, 1] >= 6:
            raise RuntimeError("unable to allocate shared memory")
        return share(tensor)

    monkeypatch.setattr(torch.Tensor, "share_memory_", share_some)  # in the workers
    loader = SessionLoader(Sessions(workers=2), CPU)
    with caplog.at_level(logging.WARNING, logger="depmm"):
        rows = read_all(loader, 0)
    np.testing.assert_array_equal(rows[:, 1], np.arange(12))  # each session once
    assert (rows[:6, 2] != os.getpid()).all()
    assert (rows[6:, 2] == os.getpid()).all()
    assert len(caplog.messages) == 1
    assert "--shm-size" in caplog.messages[0]
    assert (read_all(loader, 1)[:, 2] == os.getpid()).all()
    assert len(caplog.messages) == 1


SMALL = """
import logging, sys
sys.path.insert(0, sys.argv[1])
import torch
from test_session_loader import CPU, PLAN, Sessions
from depmm.data.batch import SessionLoader

logging.basicConfig(format="%(message)s")
loader = SessionLoader(Sessions(workers=2, length=1_000_000), CPU)
print([index.tolist() for epoch in range(2) for index, _ in loader.read(PLAN, epoch)])
"""


@pytest.mark.slow
def test_training_goes_on_in_a_container_with_little_shared_memory(tmp_path):
    unshare = shutil.which("unshare")
    mount = ["-rm", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"', "sh"]
    if unshare is None or subprocess.run([unshare, *mount, "true"], check=False).returncode:
        pytest.skip("mount namespaces are not allowed")
    script = tmp_path / "small.py"
    script.write_text(SMALL)
    done = subprocess.run(
        [unshare, *mount, sys.executable, str(script), os.path.dirname(__file__)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == str([[2 * n, 2 * n + 1] for _ in range(2) for n in range(6)])
    assert done.stderr.count("--shm-size") == 1


# the first batch; a later one, while batches before it are on their way
@pytest.mark.slow
@pytest.mark.parametrize("kill", [1, 7])
def test_a_worker_process_that_is_ended_is_an_error(kill):
    loader = SessionLoader(Sessions(workers=1, kill=kill), CPU)
    # PyTorch raises its error when the signal arrives: a deque runs no code between the batches
    with pytest.raises(DataError) as info:
        deque(loader.read(PLAN, 0), maxlen=0)
    assert (info.value.setting, info.value.value) == ("data.workers", 1)


class Unreachable(Sessions):
    """Sessions of a store that cannot be reached."""

    def __getitem__(self, epoch_and_index):
        raise ConnectionError("the store does not answer")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_reading_is_not_that_of_an_ended_process(workers):
    with pytest.raises(ConnectionError, match="the store does not answer"):
        read_all(SessionLoader(Unreachable(workers), CPU), 0)


class Damaged(Sessions):
    """Sessions of which one is damaged."""

    def __getitem__(self, epoch_and_index):
        if epoch_and_index[1] == 3:
            raise StoreError("it is damaged.", file="s.safetensors", session="s3", remedy="Again.")
        return super().__getitem__(epoch_and_index)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_process_keeps_its_attributes(workers):
    with pytest.raises(StoreError) as info:
        read_all(SessionLoader(Damaged(workers), CPU), 0)
    assert str(info.value) == "it is damaged. Again."
    assert (str(info.value.file), info.value.session) == ("s.safetensors", "s3")


@pytest.mark.slow
def test_a_worker_process_that_ends_between_batches_does_not_interrupt_other_code():
    loader = SessionLoader(Sessions(workers=1), CPU)
    batches = loader.read(PLAN * 20, 0)
    _, inputs = next(batches)
    os.kill(int(inputs["audio"].values[0, 0, 2]), signal.SIGKILL)
    end = time.monotonic() + 1
    while time.monotonic() < end:  # code of the training; PyTorch would raise its error here
        pass
    with pytest.raises(DataError) as info:
        deque(batches, maxlen=0)
    assert info.value.setting == "data.workers"


class Blocked(Sessions):
    """Sessions of a store that does not answer."""

    store = SimpleNamespace(url="/store")

    def __getitem__(self, epoch_and_index):
        if epoch_and_index[1] == 3:
            time.sleep(1000)
        return super().__getitem__(epoch_and_index)


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(batch, "BATCH_LIMIT_S", 3.0)
    with pytest.raises(DataError) as info:
        read_all(SessionLoader(Blocked(workers=1), CPU), 0)
    assert (info.value.setting, info.value.value) == ("data.store", "/store")


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from test_session_loader import CPU, PLAN, Blocked
from depmm.data.batch import SessionLoader

batches = SessionLoader(Blocked(workers=1), CPU).read(PLAN, 0)
_, inputs = next(batches)
print(int(inputs["audio"].values[0, 0, 2]), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_worker_processes_end_with_a_killed_training(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    with subprocess.Popen(
        [sys.executable, str(script), os.path.dirname(__file__)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        worker = Path(f"/proc/{int(process.stdout.readline())}")
        assert worker.exists()
        process.kill()
    end = time.monotonic() + 10
    while worker.exists() and " Z " not in (worker / "stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


class Scaled(Sessions):
    """Sessions that are read while the parent's garbage is collected."""

    def __getitem__(self, epoch_and_index):
        gc.collect()
        return super().__getitem__(epoch_and_index)


def leave_garbage(path) -> None:
    """Decode a frame, and leave its scaler, which has threads, to the garbage collector."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    frame.to_ndarray(format="rgb24")
    cycle = [frame]
    cycle.append(cycle)


@pytest.mark.slow
def test_worker_processes_do_not_collect_the_garbage_of_the_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "BATCH_LIMIT_S", 30.0)
    from recordings import write_video  # the scripts above do not have its folder

    path = write_video(tmp_path / "1.mp4", sound=False)
    loader = SessionLoader(Scaled(workers=1), CPU)
    gc.disable()
    try:
        leave_garbage(path)
        assert len(read_all(loader, 0)) == 12
    finally:
        gc.enable()
        gc.collect()
