"""Commands that are killed at a seeded moment, and repeated."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from faults.isolation import PRELOADED, Output, call
from faults.oracle import Verdict, traceback_in

N_KILLS = 12
COMMANDS = ("index", "extract", "train", "evaluate")
END_LIMIT_S = 20.0  # after the signal, for the process and its workers


@dataclass(frozen=True)
class KillCase:
    """One killed command.

    Attributes
    ----------
    command : str
        One of ``COMMANDS``.
    signal : int
        SIGKILL or SIGINT.
    share : float
        Moment, as a share of the time that the command takes.
    """

    command: str
    signal: int
    share: float

    def __str__(self) -> str:
        name = signal.Signals(self.signal).name
        return f"{name} after {self.share:.0%} of {self.command}"


def kill_cases(n: int = N_KILLS) -> list[KillCase]:
    """List ``n`` cases, all commands with both signals in turn."""
    rng = np.random.default_rng(0)
    signals = (signal.SIGKILL, signal.SIGINT)
    return [
        KillCase(COMMANDS[i % 4], signals[i // 4 % 2], float(rng.uniform(0.05, 1.0)))
        for i in range(n)
    ]


def arguments_of(command: str, folder: Path) -> tuple[Any, ...]:
    """Return the arguments of a command in a copy of the workspace."""
    root, manifest, store = folder / "rec", folder / "manifest", folder / "store"
    return {
        "index": ("index", folder / "spec.yaml", root, "--out", manifest),
        "extract": ("extract", manifest, root, "--out", store, "--workers", 2),
        "train": ("train", folder / "config.yaml", "name=killed", f"out={folder / 'runs'}",
                  f"data.manifest={manifest}", f"data.store={store}", "training.epochs=6"),
        "evaluate": ("evaluate", folder / "runs" / "finished"),
    }[command]  # fmt: skip


def result_of(command: str, folder: Path) -> dict[str, bytes]:
    """Return the content that the command writes, by file."""
    if command == "index":
        names = ("sessions.parquet", "steps.parquet", "corpora.json", "index.json")
        return {name: (folder / "manifest" / name).read_bytes() for name in names}
    if command == "extract":
        paths = sorted((folder / "store").rglob("*.safetensors"))
        return {path.name: path.read_bytes() for path in paths}
    if command == "evaluate":
        return {"metrics.json": (folder / "runs" / "finished" / "metrics.json").read_bytes()}
    run = folder / "runs" / "killed"
    weights = (run / "model.safetensors").read_bytes()
    predictions = pd.read_parquet(run / "predictions.parquet")["y_prob"].to_json()
    return {"model.safetensors": weights, "predictions.parquet": predictions.encode()}


def _run(pipe: Any, arguments: tuple[Any, ...]) -> None:
    os.setsid()  # its workers are in its group
    pipe.send("started")
    pipe.send(call(*arguments))


def run_and_kill(arguments: tuple[Any, ...], number: int | None, after_s: float) -> Output | None:
    """Run a command in a process group, and send it a signal.

    Returns
    -------
    Output or None
        None after SIGKILL, or if a process of the group does not end.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    pipe, other = context.Pipe()
    process = context.Process(target=_run, args=(other, arguments))
    process.start()
    other.close()
    assert pipe.recv() == "started"
    output = None
    if number is None or not pipe.poll(after_s):
        if number is not None:
            os.kill(process.pid, number)
        try:
            output = pipe.recv() if pipe.poll(END_LIMIT_S * 3) else None
        except EOFError:
            output = None
    else:
        output = pipe.recv()
    ended = _wait_for_group(process.pid)
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return output if ended or number is None else Output(-1, "a process of the command goes on")


def _wait_for_group(group: int) -> bool:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + END_LIMIT_S
    while time.monotonic() < deadline:
        if not any(_group_of(entry) == group for entry in os.listdir("/proc") if entry.isdigit()):
            return True
        time.sleep(0.1)
    return False


def _group_of(entry: str) -> int | None:
    try:
        fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[2])


def judge_kill(
    case: KillCase, copy: Callable[[str], Path], reference: dict[str, bytes], took_s: float
) -> Verdict:
    """Kill a command, repeat it, and compare its result with that of a command that was not."""
    folder, name = copy(case.command), str(case)
    arguments = arguments_of(case.command, folder)
    killed = run_and_kill(arguments, case.signal, case.share * took_s)
    if killed is not None and killed.code == -1:
        return Verdict(name, "hang", killed.text)
    if killed is not None and (trace := traceback_in([killed])) is not None:
        return Verdict(name, "traceback", trace)
    again = run_and_kill(arguments, None, 0.0)
    if again is None:
        return Verdict(name, "hang", "the repeated command did not end")
    if (trace := traceback_in([again])) is not None:
        return Verdict(name, "traceback", trace)
    if again.code != 0:
        return Verdict(name, "silent", f"repeated: status {again.code}: {again.text[-300:]}")
    result = result_of(case.command, folder)
    if different := [key for key in reference if result.get(key) != reference[key]]:
        return Verdict(name, "silent", f"{different[0]} differs")
    leftovers = [path for path in folder.rglob(".depmm-*") if "lock" not in path.name]
    if leftovers:
        return Verdict(name, "silent", f"{leftovers[0]} is left")
    return Verdict(name, "handled")
