"""Progress: quiet in logs, counted with rate and time left, drawn on a terminal only."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depmm import progress
from depmm.progress import Task, format_seconds, show, track

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that only moves when it is set."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_every_five_minutes_at_most(caplog, clock):
    caplog.set_level(logging.INFO, "depmm")
    for _ in track(range(100), "extract", "sessions"):
        clock[0] += 10.0
    assert progress.LOG_INTERVAL_S == 300.0
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("extract: 30 of 100 sessions, 6.0 sessions/min, 12 min")


def test_short_work_is_not_logged(caplog, clock):
    caplog.set_level(logging.INFO, "depmm")
    assert list(track(iter("abc"), "extract", "sessions", 3)) == ["a", "b", "c"]
    assert caplog.messages == []


def test_without_a_log_nothing_is_written(caplog, clock):
    caplog.set_level(logging.WARNING, "depmm")
    with show("train", 3, "epochs") as task:
        clock[0] += 1000.0
        task.advance(note="rmse 4.2")
    assert caplog.messages == []
    assert task.done == 1


def test_parts_that_were_done_before_do_not_count_for_the_rate(clock):
    task = Task("train", 30, "epochs", done=20, _first=20)
    clock[0] += 60.0
    task.advance(5, note="auroc 0.700")
    assert task.rate == pytest.approx(5 / 60)
    assert str(task) == "train: 25 of 30 epochs, 5.0 epochs/min, 60 s left, auroc 0.700"
    task.advance(5)
    assert "left" not in str(task)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (150, "2 min"), (7800, "2 h 10 min")]
)
def test_durations_are_readable(seconds, text):
    assert format_seconds(seconds) == text


def test_a_task_ends_with_its_iteration(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "depmm")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with show("train", 2, "epochs") as outer:
        for item in track([1, 2, 3], "epoch 1", "steps"):
            assert [task.name for task in progress._SCREEN._tasks] == ["train", "epoch 1"]
            if item == 2:
                break
        outer.advance()
    assert progress._SCREEN._tasks == []
    assert progress._SCREEN._live is None


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_a_terminal_shows_all_running_tasks_and_the_pipe_gets_no_line():
    code = (
        "import time\nfrom depmm.cli import show_progress\nfrom depmm.progress import show\n"
        "show_progress()\nwith show('train', 4, 'epochs') as outer:\n"
        "    outer.advance(note='auroc 0.7')\n"
        "    with show('epoch 2', 8, 'steps') as inner:\n"
        "        inner.advance()\n        time.sleep(.7)\nprint('end')\n"
    )
    master, slave = pty.openpty()
    # a width at which nothing is cut
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=slave, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    os.close(slave)
    output, _ = process.communicate(timeout=60)
    drawn = b""
    while True:
        try:
            part = os.read(master, 10_000)
        except OSError:
            break
        if not part:
            break
        drawn += part
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    assert output == b"end\n"
    assert re.search(r"train +\S+ +1/4 .*auroc 0.7", text)
    assert re.search(r"epoch 2 +\S+ +1/8 .*steps/", text)


def test_counting_costs_less_than_a_hundredth_of_a_millisecond():
    task = Task("epoch 1", 10_000, "steps", _logs=True)
    began = time.perf_counter()
    for _ in range(10_000):
        task.advance()
    assert (time.perf_counter() - began) / 10_000 < 1e-5 * 5  # five times: a busy computer
