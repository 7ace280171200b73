"""Checksums of the files of a folder: format, damage, crashes and concurrent writers."""

import hashlib
import multiprocessing
import os
import random
import subprocess
from pathlib import Path

import pandas as pd
import pytest

import depmm.files.writing
from depmm.files.checksums import (
    check,
    read_bytes,
    read_json,
    read_table,
    read_text,
    remove,
    replacing,
    write_bytes,
    write_table,
    write_text,
)
from depmm.files.damage import SUMS_FILE, DamagedFileError

# Python 3.12 warns of every fork of a process with threads, such as those of pyarrow
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def lines(folder: Path) -> list[str]:
    return (folder / SUMS_FILE).read_text().splitlines()


def test_the_format_is_that_of_sha256sum(tmp_path):
    write_text(tmp_path / "a.txt", "é")
    write_table(tmp_path / "b.parquet", pd.DataFrame({"x": [1]}))
    digest = hashlib.sha256("é".encode()).hexdigest()
    assert lines(tmp_path)[0] == f"{digest}  a.txt"
    command = ["sha256sum", "--strict", "--check", SUMS_FILE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a.txt: OK", "b.parquet: OK"]
    assert sorted(os.listdir(tmp_path)) == [SUMS_FILE, "a.txt", "b.parquet"]


def test_a_moved_folder_stays_valid(tmp_path):
    (tmp_path / "old").mkdir()
    write_text(tmp_path / "old" / "a.txt", "text")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_text(tmp_path / "new" / "a.txt") == "text"


def test_a_file_that_is_written_again_has_one_line(tmp_path):
    for text in ("one", "two", "two"):
        write_text(tmp_path / "a.txt", text)
        assert read_text(tmp_path / "a.txt") == text
    assert len(lines(tmp_path)) == 1
    remove(tmp_path / "a.txt")
    remove(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == []


def test_files_and_lines_of_other_programs_are_accepted_and_kept(tmp_path):
    foreign = "# comment\nSHA256 (c.txt) = 00\nzz  a.txt\n"
    (tmp_path / SUMS_FILE).write_text(foreign)
    (tmp_path / "a.txt").write_text("of another program")
    assert read_text(tmp_path / "a.txt") == "of another program"
    check(tmp_path / "a.txt")
    write_text(tmp_path / "a.txt", "ours")
    assert (tmp_path / SUMS_FILE).read_text().startswith(foreign)
    remove(tmp_path / "a.txt")
    assert (tmp_path / SUMS_FILE).read_text() == foreign


def test_every_flipped_bit_is_found_and_named(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_table(path, pd.DataFrame({"x": [0.5, 0.25]}))
    content = bytearray(path.read_bytes())
    for bit in random.Random(0).sample(range(8 * len(content)), 200):
        damaged = content.copy()
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        for read in (read_bytes, read_table, check):
            with pytest.raises(DamagedFileError) as info:
                read(path)
            assert info.value.file == path
            assert "train it again" in info.value.remedy
            assert str(path.with_name(SUMS_FILE)) in info.value.remedy
    path.write_bytes(content)
    assert read_table(path)["x"].tolist() == [0.5, 0.25]


def test_a_flipped_bit_of_the_sums_never_gives_other_values(tmp_path):
    write_text(tmp_path / "a.txt", "one")
    write_text(tmp_path / "b.txt", "two")
    sums = tmp_path / SUMS_FILE
    content = bytearray(sums.read_bytes())
    refused: list[Path] = []
    for bit in range(8 * len(content)):
        damaged = content.copy()
        damaged[bit // 8] ^= 1 << bit % 8
        sums.write_bytes(damaged)
        for name, text in (("a.txt", "one"), ("b.txt", "two")):
            try:
                assert read_text(tmp_path / name) == text
            except DamagedFileError as error:
                refused.append(error.file)
    # each digit has flips that give another digit
    assert all(refused.count(tmp_path / name) > 64 for name in ("a.txt", "b.txt"))


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("steps.parquet", "depmm index"),
        ("index.json", "depmm index"),
        ("audit.json", "depmm audit"),
        ("metrics.json", "depmm evaluate"),
        ("attributions.parquet", "depmm explain"),
        ("last.safetensors", "checkpoints"),
        ("model.safetensors", "train it again"),
    ],
)
def test_the_remedy_is_that_of_the_file(tmp_path, name, again):
    write_text(tmp_path / name, "one")
    (tmp_path / name).write_text("two")
    with pytest.raises(DamagedFileError) as info:
        check(tmp_path / name)
    assert again in info.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"[]",
        b"3",
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": \xff}',
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_json_that_cannot_be_used_is_refused(tmp_path, content):
    path = tmp_path / "environment.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError) as info:
        read_json(path)
    assert info.value.file == path
    assert info.value.remedy


def test_folders_pipes_and_huge_files_are_refused(tmp_path):
    folder, pipe, huge = tmp_path / "folder", tmp_path / "pipe", tmp_path / "huge.json"
    folder.mkdir()
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(2**40)  # takes no space
    for path in (folder, pipe, huge):
        with pytest.raises(DamagedFileError) as info:
            read_json(path)
        assert info.value.file == path
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")
    (tmp_path / SUMS_FILE).mkdir()
    write = tmp_path / "a.txt"
    write.write_text("text")
    with pytest.raises(DamagedFileError) as info:
        read_text(write)
    assert info.value.file == tmp_path / SUMS_FILE


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path, content):
    path = tmp_path / "predictions.parquet"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError) as info:
        read_table(path)
    assert info.value.file == path


def killed_at(step: int, write) -> bool:
    """Run ``write`` in a process that ends before its rename number ``step``."""
    pid = os.fork()
    if pid == 0:
        renames = [0]
        rename = depmm.files.writing._rename

        def counted(*arguments):
            if renames[0] == step:
                os._exit(9)  # as kill -9: nothing is cleaned up
            renames[0] += 1
            rename(*arguments)

        depmm.files.writing._rename = counted
        write()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize("origin", ["depmm", "another program", "nothing"])
def test_a_process_that_is_killed_never_damages_a_file(tmp_path, origin):
    path, other = tmp_path / "a.txt", tmp_path / "b.txt"
    write_text(other, "other")
    step, seen = 0, set()
    while True:
        if origin == "nothing":
            remove(path)
        elif origin == "depmm":
            write_text(path, "old")
        else:
            remove(path)
            path.write_text("old")
        was_killed = killed_at(step, lambda: write_text(path, "new"))
        if path.exists():
            check(path)
            seen.add(read_text(path))
        assert read_text(other) == "other"
        if not was_killed:
            break
        step += 1
    assert step == (2 if origin == "nothing" else 3)  # the renames of one write
    assert seen == ({"new"} if origin == "nothing" else {"old", "new"})
    assert len(lines(tmp_path)) == 2
    for again in range(3):  # killed at several steps one after the other
        killed_at(again, lambda: write_text(path, "again"))
        read_text(path)


def write_many(folder: Path, name: str) -> None:
    for number in range(40):
        write_bytes(folder / name, f"{name} {number}".encode())
        read_bytes(folder / name)


def test_processes_that_write_and_read_one_folder_lose_no_line(tmp_path):
    names = ["a.txt", "b.txt", "shared.txt", "shared.txt"]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_many, args=(tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert sorted(line[66:] for line in lines(tmp_path)) == ["a.txt", "b.txt", "shared.txt"]
    assert sorted(os.listdir(tmp_path)) == [SUMS_FILE, "a.txt", "b.txt", "shared.txt"]


def test_a_failed_write_changes_nothing(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    before = lines(tmp_path)

    def interrupted() -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (lines(tmp_path), read_text(tmp_path / "a.txt")) == (before, "old")
    assert sorted(os.listdir(tmp_path)) == [SUMS_FILE, "a.txt"]


def test_damage_that_keeps_the_time_of_a_file_is_found(tmp_path):
    path = tmp_path / "big.parquet"
    write_text(path, "one")
    os.utime(path, (1e9, 1e9))
    check(path)
    path.write_text("two")
    os.utime(path, (1e9, 1e9))
    with pytest.raises(DamagedFileError):
        check(path)
