"""Atomic writes: links, permissions, leftovers of killed processes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from depmm.files import writing

ANOTHER_HOST = ".depmm-0-1-ab.json"  # no process space is the digest "0"


@pytest.fixture
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def test_a_link_is_replaced_and_the_file_behind_it_is_kept(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    for name, target in (("page.html", precious), ("dangling.html", tmp_path / "new.txt")):
        link = tmp_path / name
        link.symlink_to(target)
        writing.write_text(link, "page")
        assert not link.is_symlink()
        assert link.read_text() == "page"
    assert precious.read_text() == "mine"
    assert not (tmp_path / "new.txt").exists()


def test_a_link_with_the_name_of_the_temporary_file_is_not_followed(tmp_path, monkeypatch):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    planted = tmp_path / ".depmm-planted.html"
    planted.symlink_to(precious)
    monkeypatch.setattr(writing, "temporary_path", lambda folder, suffix="": planted)
    with pytest.raises(FileExistsError):
        writing.write_text(tmp_path / "page.html", "page")
    assert precious.read_text() == "mine"
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002], indirect=True)
def test_permissions_follow_the_umask(tmp_path, umask):
    writing.write_text(tmp_path / "page.html", "page")
    with writing.replacing(tmp_path / "table.parquet") as temporary:
        pd.DataFrame({"a": [1]}).to_parquet(temporary)
    with writing.replacing(tmp_path / "weights.safetensors") as temporary:
        save_file({"a": torch.zeros(2)}, temporary)  # creates files of mode 0600
    written = sorted(tmp_path.iterdir())
    assert len(written) == 3
    assert {path.stat().st_mode & 0o777 for path in written} == {0o666 & ~umask}


@pytest.mark.parametrize("umask", [0o002], indirect=True)
def test_a_temporary_folder_can_be_read_by_the_user_only(tmp_path, umask):
    with writing.temporary_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())


def test_an_error_keeps_the_previous_file_and_no_temporary_file(tmp_path):
    path = tmp_path / "page.html"
    writing.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), writing.replacing(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "old"


def test_leftovers_of_ended_processes_are_removed_and_others_are_kept(tmp_path):
    code = (
        "import pathlib, sys; from depmm.files.writing import temporary_path; "
        "folder = pathlib.Path(sys.argv[1]); "
        "temporary_path(folder, '.json').touch(); temporary_path(folder).mkdir()"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    assert len(list(tmp_path.iterdir())) == 2
    running = writing.temporary_path(tmp_path, ".json")
    running.touch()
    fresh = tmp_path / ANOTHER_HOST
    fresh.touch()
    old = tmp_path / f"{ANOTHER_HOST}.old"
    old.touch()
    os.utime(old, (0, 0))
    writing.remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {running, fresh}


@pytest.mark.skipif(sys.platform != "linux", reason="zombies are found in /proc")
def test_leftovers_of_a_process_whose_exit_status_nobody_read_are_removed(tmp_path):
    code = (
        "import pathlib, sys; from depmm.files.writing import temporary_path; "
        "temporary_path(pathlib.Path(sys.argv[1])).mkdir()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert len(list(tmp_path.iterdir())) == 1
    writing.remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())
    process.wait()


def test_a_leftover_that_is_a_link_is_removed_without_its_target(tmp_path):
    precious: Path = tmp_path / "precious"
    precious.mkdir()
    (precious / "mine.txt").touch()
    link = tmp_path / "folder" / ANOTHER_HOST
    link.parent.mkdir()
    link.symlink_to(precious)
    os.utime(link, (0, 0), follow_symlinks=False)
    writing.remove_leftovers(link.parent)
    assert not link.is_symlink()
    assert (precious / "mine.txt").is_file()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_an_error_of_the_disk_names_the_file(error, tmp_path):
    with pytest.raises(OSError, match="No space") as info, writing.replacing(tmp_path / "a.bin"):
        raise error
    assert (info.value.errno, info.value.filename) == (errno.ENOSPC, str(tmp_path / "a.bin"))
    assert not list(tmp_path.iterdir())
