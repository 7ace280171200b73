"""Threads of OpenCV in worker processes, in loader workers, and in the process of the user."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import pytest

from depmm.media.video.opencv import use_one_opencv_thread


@pytest.mark.parametrize(
    ("initializer", "own", "expected"),
    [
        (use_one_opencv_thread, None, 1),
        (use_one_opencv_thread, "3", 3),  # a number that the user sets is kept
    ],
)
def test_opencv_has_one_thread_in_workers_only(
    initializer: Callable[[], None],
    own: str | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = cv2.getNumThreads()
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM", raising=False)
    if own is not None:
        monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", own)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer) as pool:
        assert pool.submit(cv2.getNumThreads).result() == expected
    assert cv2.getNumThreads() == before


DECODE = """
from pathlib import Path
import cv2
import numpy as np
from depmm.media.video.face_alignment import decode_jpeg, encode_jpeg
cv2.setNumThreads(8)
def count_threads():
    status = Path("/proc/self/status").read_text()
    return int(status.split("Threads:")[1].split()[0])
crop = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
before = count_threads()
for size in (16, 56, 64, 112, 200, 224):
    decode_jpeg(encode_jpeg(crop, 90), size)
print(count_threads() - before, cv2.getNumThreads())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts the threads")
def test_reading_crops_starts_no_thread_and_changes_no_setting() -> None:
    done = subprocess.run([sys.executable, "-c", DECODE], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["0", "8"], "")
