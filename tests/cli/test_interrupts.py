"""Ctrl-C and SIGTERM at any moment, and a reader of the output that ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_results import make_predictions, write_attributions

from depmm.interrupts import interrupts_for_parent_only

ROOT = Path(__file__).parents[2]
N_MOMENTS = 6


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def list_running(group: int) -> list[str]:
    """List the processes of a group, without those that have ended."""
    running = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state not in "ZX":
            running.append(status.parent.name)
    return running


def wait_for_end_of_workers(group: int) -> None:
    deadline = time.monotonic() + 10
    while list_running(group):
        assert time.monotonic() < deadline, "worker processes outlive their parent"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "command",
    [
        "-m depmm audit {corpus}/manifest --root {corpus}/recordings --out {tmp}/audit",
        "-m depmm evaluate {tmp}/table.csv --out {tmp}/report",
        "-m depmm extract {corpus}/manifest {corpus}/recordings --out {tmp}/store --workers 2",
        "-m depmm simulate {tmp}/simulated --subjects 6 --steps 3 --workers 2",
        "-m depmm index ewre_simulated {corpus}/recordings --out {tmp}/manifest",
        "-m depmm ask {tmp}/run words-by-label",
        "-m depmm train {corpus}/tiny.yaml out={tmp}/runs training.epochs=9 data.workers=2",
        "experiments/train_fusion.py {corpus}/tiny.yaml out={tmp}/runs training.epochs=9",
        "experiments/cross_validate.py {corpus}/tiny.yaml out={tmp}/runs training.epochs=9",
    ],
)
@pytest.mark.parametrize("to_all", [False, True], ids=["to the parent", "to all processes"])
def test_ctrl_c_at_any_moment(corpus, tmp_path, command, to_all):
    make_predictions(n_subjects=40).to_csv(tmp_path / "table.csv", index=False)
    write_attributions(tmp_path / "run")
    arguments = command.format(corpus=corpus.folder.parent, tmp=tmp_path).split()
    arguments[0] = str(ROOT / arguments[0]) if arguments[0].endswith(".py") else arguments[0]
    began = time.monotonic()
    start("-c", "import depmm.interrupts").communicate()
    earliest = 1.5 * (time.monotonic() - began)  # before, Python itself prints a traceback
    began = time.monotonic()
    start(*arguments).communicate()
    latest = max(earliest, time.monotonic() - began)
    moments = np.random.default_rng(0).uniform(earliest, latest, N_MOMENTS // 2)
    for moment in moments:
        process = start(*arguments)
        time.sleep(moment)
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode in (0, 130), (moment, err)  # 0: it had ended
        assert "Traceback" not in out + err, (moment, err)
        assert ("same command" in err) == (process.returncode == 130), (moment, err)
        wait_for_end_of_workers(process.pid)


WAIT = """
import sys, time
from depmm.interrupts import exit_on_signals
exit_on_signals()
{setup}
print("ready", flush=True)
try:
    while True:
        time.sleep(0.01)
except BaseException:
    print("caught")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_process_with_a_message_and_its_status(number, code):
    process = start("-c", WAIT.format(setup=""))
    process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err.count("\n") == 1
    assert "same command" in err


def test_temporary_files_are_removed_before_the_end(tmp_path):
    setup = (
        "from pathlib import Path; from depmm.files.writing import replacing, temporary_folder\n"
        f"file = replacing(Path({str(tmp_path / 'a.json')!r})); file.__enter__()\n"
        f"folder = temporary_folder(Path({str(tmp_path)!r})); folder.__enter__()"
    )
    process = start("-c", WAIT.format(setup=setup))
    process.stdout.readline()
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert list(tmp_path.iterdir()) == []


def test_a_second_ctrl_c_does_not_wait_for_the_cleanup():
    # os.write: print fails if the signal arrives while the program is still in its own print
    setup = (
        "import os; import depmm.files.writing as f\n"
        "f.remove_own_temporaries = lambda: (os.write(1, b'cleaning\\n'), time.sleep(60))"
    )
    process = start("-c", WAIT.format(setup=setup))
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 3
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_cleanup_that_hangs_is_limited():
    setup = "import depmm.files.writing as f; f.remove_own_temporaries = lambda: time.sleep(60)"
    process = start(
        "-c", WAIT.format(setup=f"import depmm.interrupts as i; i.CLEANUP_S = 1; {setup}")
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_signals_that_are_ignored_stay_ignored():
    setup = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); exit_on_signals()"
    process = start("-c", WAIT.format(setup=setup))
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143


def test_processes_started_for_the_parent_only_do_not_receive_sigint():
    with interrupts_for_parent_only():
        process = start("-c", "import time; print('ready', flush=True); time.sleep(60)")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with interrupts_for_parent_only():
        worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
        worker.start()
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    worker.join()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_signal_during_the_start_of_processes_is_handled_after_it():
    setup = (
        "import os, signal; from depmm.interrupts import interrupts_for_parent_only\n"
        "with interrupts_for_parent_only():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(0.1)\n"
        "    print('started', flush=True)\n"
        "print('not reached', flush=True)"
    )
    out, _ = (process := start("-c", WAIT.format(setup=setup))).communicate(timeout=20)
    assert (process.returncode, out) == (143, "started\n")


@pytest.mark.parametrize("command", ["specs", "configs", "specs daic_woz", "--help"])
def test_a_reader_that_ends_is_not_an_error_message(command):
    process = start("-m", "depmm", *command.split())
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) in (1, 141)
    process.stderr.close()


def test_the_log_ends_with_its_reader():
    code = (
        "import logging, os, sys; from depmm.cli import reporting_errors, show_progress\n"
        "show_progress()\n"
        "with reporting_errors():\n"
        "    for n in range(100_000): logging.getLogger('depmm').info('%d', n)\n"
    )
    process = start("-c", code)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


@pytest.mark.parametrize(
    ("program", "code", "error"),
    [
        ("lambda: None", 0, ""),
        ("lambda: sys.exit(3)", 3, ""),
        ("lambda: sys.exit('Name a config.')", 1, "Name a config.\n"),
        ("lambda: atexit.register(os.kill, os.getpid(), signal.SIGINT)", 130, "interrupted"),
    ],
)
def test_a_program_ends_with_its_status_and_on_ctrl_c_until_its_end(program, code, error):
    setup = "import atexit, os, signal, sys; from depmm.interrupts import run_as_program"
    process = start("-c", f"{setup}; run_as_program({program})")
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.startswith(error)
    assert "Traceback" not in err
