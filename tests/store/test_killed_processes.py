"""Real processes: killed parents and workers, full disks, launchers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import SETTINGS, manifest_of, session_files

from depmm.config import SAMPLE_RATE
from depmm.corpora.manifest import write_manifest
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]
TIMEOUT_S = 120.0
UNSHARE = shutil.which("unshare")


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    """Write five recordings of noise and their manifest; the third is longer."""
    rng = np.random.default_rng(0)
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for number in range(1, 6):
        seconds = 1200 if number == 3 else 2
        sound = rng.uniform(-0.5, 0.5, seconds * SAMPLE_RATE)
        soundfile.write(recordings / f"{number}.wav", sound, SAMPLE_RATE)
    steps = {f"s{number}": [{"audio": f"{number}.wav"}] for number in range(1, 6)}
    write_manifest(manifest_of(steps), tmp_path / "manifest")
    return tmp_path


def command(folder: Path, *options: str, store: Path | None = None) -> list[str]:
    store = folder / "store" if store is None else store
    arguments = [folder / "manifest", folder / "recordings", "--out", store, *options]
    return [sys.executable, "-m", "depmm", "extract", *map(str, arguments)]


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def temporary_folders(store: Path) -> list[Path]:
    return list(store.glob(".depmm-*"))


def is_long_session_read(folder: Path) -> bool:
    """Check whether the long session has been read in part."""
    files = (folder / "store").glob(".depmm-*/*")
    return any(file.stat().st_size > 1_000_000 for file in files if file.exists())


def test_a_killed_command_leaves_no_process_and_is_continued(corpus_folder):
    store = corpus_folder / "store"
    process = subprocess.Popen(command(corpus_folder, "--workers", "2"), stdout=subprocess.DEVNULL)
    wait_for(lambda: is_long_session_read(corpus_folder))
    workers = children(process.pid)
    assert workers
    process.kill()
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert temporary_folders(store)
    again = run(command(corpus_folder, "--workers", "1"))
    assert again.returncode == 0, again.stderr
    assert not temporary_folders(store)  # with sound of the recordings
    complete = corpus_folder / "complete"
    assert run(command(corpus_folder, store=complete)).returncode == 0
    assert session_files(store) == session_files(complete)


def test_a_killed_worker_is_replaced(corpus_folder):
    process = subprocess.Popen(
        command(corpus_folder, "--workers", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    wait_for(lambda: is_long_session_read(corpus_folder))
    (folder,) = [
        folder for folder in temporary_folders(corpus_folder / "store")
        if any(file.stat().st_size > 1_000_000 for file in folder.iterdir())
    ]  # fmt: skip
    os.kill(int(folder.name.split("-")[2]), signal.SIGKILL)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "5 sessions extracted" in output
    assert not temporary_folders(corpus_folder / "store")


def unshared(size: str, where: Path, arguments: list[str]) -> list[str]:
    """Run a command with a small disk at a folder; skip if that is not allowed."""
    mount = f'mount -t tmpfs -o size={size} tmpfs "$1" && shift && exec "$@"'
    prefix = [str(UNSHARE), "-rm", "sh", "-c", mount, "sh", str(where)]
    if UNSHARE is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("mount namespaces are not allowed")
    return [*prefix, *arguments]


def test_a_full_disk_ends_the_command_and_the_same_command_continues(corpus_folder):
    store = corpus_folder / "disk" / "store"
    store.parent.mkdir()
    kept = corpus_folder / "kept"
    keep = f'"$@"; status=$?; cp -r "{store}" "{kept}"; exit $status'
    script = ["sh", "-c", keep, "sh", *command(corpus_folder, "--workers", "1", store=store)]
    done = run(unshared("20m", store.parent, script))
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert str(store) in done.stderr
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name.split(".")[0] for path in kept.rglob("*.safetensors")) == ["s1", "s2"]
    assert not temporary_folders(kept)
    again = run(command(corpus_folder, store=kept))
    assert again.returncode == 0, again.stderr
    assert "3 sessions extracted, 2 extracted before" in again.stdout
    complete = corpus_folder / "complete"
    assert run(command(corpus_folder, store=complete)).returncode == 0
    assert session_files(kept) == session_files(complete)


def test_a_full_folder_for_temporary_files_is_not_needed(corpus_folder):
    full = corpus_folder / "full"
    full.mkdir()
    fill = f'dd if=/dev/zero of="{full}/x" bs=64k 2> /dev/null; exec "$@"'
    script = ["sh", "-c", fill, "sh", *command(corpus_folder, "--workers", "1")]
    done = run(unshared("1m", full, script), TMPDIR=str(full))
    assert done.returncode == 0, done.stderr
    assert "5 sessions extracted" in done.stdout


def test_the_processes_of_a_launch_end_together_and_the_first_tells_the_status(corpus_folder):
    (corpus_folder / "recordings" / "1.wav").write_bytes(b"not a sound")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    arguments = command(corpus_folder, "--workers", "1")[1:]
    done = run([*launcher, "2", *arguments])
    assert done.returncode == 1
    assert "part 1/2" in done.stdout
    assert "part 2/2" in done.stdout
    store = SessionStore(corpus_folder / "store", SETTINGS)
    assert sorted(read_index(store)["session"]) == ["s2", "s3", "s4", "s5"]
    failures = pd.read_parquet(corpus_folder / "store" / "failures.parquet")
    assert failures["session"].tolist() == ["s1"]
    assert not list((corpus_folder / "store").glob("*-of-*"))
    assert not temporary_folders(corpus_folder / "store")


def test_a_process_of_a_launch_that_was_killed_is_not_waited_for(corpus_folder, monkeypatch):
    script = (
        "import sys; from depmm.store import launch; launch.SILENCE_S = 3.0; launch.BEAT_S = 0.5; "
        "from depmm.cli import main; sys.argv[0] = 'depmm'; main()"
    )
    arguments = [sys.executable, "-c", script, *command(corpus_folder, "--workers", "1")[3:]]
    second = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL,
        env={**os.environ, "RANK": "1", "WORLD_SIZE": "2"},
    )  # fmt: skip
    wait_for(lambda: any("launch" in p.name for p in temporary_folders(corpus_folder / "store")))
    second.kill()
    second.wait()
    first = run(arguments, RANK="0", WORLD_SIZE="2")
    assert first.returncode == 1
    assert "process 1 of 2 was ended" in first.stderr
    assert "Run the same command again" in first.stderr
    again = run(command(corpus_folder))
    assert again.returncode == 0, again.stderr
    assert len(session_files(corpus_folder / "store")) == 5
    assert read_failures(SessionStore(corpus_folder / "store", SETTINGS)).empty
