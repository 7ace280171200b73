"""Locks between processes."""

import os
import socket
import subprocess
import sys
import time

import pytest

from depmm.files.locks import LockedError, locked, locked_folder

HOLD = """
import sys, time
from pathlib import Path
from depmm.files.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    {then}
"""


def start_holder(path, then="time.sleep(60)") -> subprocess.Popen:
    code = HOLD.format(then=then)
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    with process.stdout:
        assert process.stdout.readline() == b"held\n"
    return process


def test_a_lock_is_held_once_and_its_file_is_removed(tmp_path):
    path = tmp_path / ".lock"
    with locked(path):
        with pytest.raises(LockedError) as info, locked(path):
            pass
        assert info.value.file == tmp_path
        assert f"process {os.getpid()} on {socket.gethostname()}" in str(info.value)
    with locked(path), locked(tmp_path / ".other"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_no_lock(tmp_path):
    path = tmp_path / ".lock"
    holder = start_holder(path)
    with pytest.raises(LockedError) as info, locked(path):
        pass
    assert f"process {holder.pid} on" in str(info.value)
    holder.kill()
    holder.wait()
    assert path.exists()  # the file is left, but nothing holds it
    with locked(path):
        pass
    assert not path.exists()


def test_worker_processes_do_not_hold_the_lock_of_their_killed_parent(tmp_path):
    path, pid_file = tmp_path / ".lock", tmp_path / "pid"
    then = (
        "import os; child = os.fork(); "
        f"child and Path({str(pid_file)!r}).write_text(str(child)); time.sleep(60)"
    )
    holder = start_holder(path, then)
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    holder.kill()
    holder.wait()
    child = int(pid_file.read_text())
    try:
        os.kill(child, 0)  # it lives
        with locked(path, wait_s=10):  # the child closes the lock when it runs, after its start
            pass
    finally:
        os.kill(child, 9)


def test_a_lock_is_waited_for(tmp_path):
    path = tmp_path / ".lock"
    holder = start_holder(path, "time.sleep(0.3)")
    with locked(path, wait_s=60):
        pass
    assert holder.wait() == 0


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    target = tmp_path / "file"
    target.write_text("content")
    (tmp_path / ".lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / ".lock"):
        pass
    assert target.read_text() == "content"


def test_a_lock_that_is_a_hard_link_is_not_written(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    os.link(precious, tmp_path / "x.lock")
    with pytest.raises(OSError, match="link"), locked(tmp_path / "x.lock"):
        pass
    assert precious.read_text() == "mine"


def test_a_new_folder_that_stays_empty_is_removed(tmp_path):
    folder = tmp_path / "new"
    with pytest.raises(ValueError, match="stop"), locked_folder(folder, "test"):
        raise ValueError("stop")
    assert not folder.exists()
    with locked_folder(folder, "test"):
        (folder / "file").touch()
    assert [path.name for path in folder.iterdir()] == ["file"]
    with locked_folder(folder, "test"), locked_folder(folder, "other"):
        pass
