"""Flip one bit of a file that depmm wrote, and use the file."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import yaml
from faults.isolation import Output, call, extract_here
from faults.media_samples import write_sample
from faults.oracle import Verdict, is_explained, traceback_in

from depmm.config import load_config
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore

N_FLIPS = 40

# kind -> the folder of the workspace, and the file in it
FILES = {
    "store session": ("store", "*/*/*.safetensors"),
    "store index": ("store", "index.parquet"),
    "weights": ("runs/finished", "model.safetensors"),
    "config of the model": ("runs/finished", "config.json"),
    "predictions": ("runs/finished", "predictions.parquet"),
    "checksums of a run": ("runs/finished", "SHA256SUMS"),
    "facts for inference": ("runs/finished", "inference.json"),
    "checkpoint": ("runs/stopped", "checkpoints/last.safetensors"),
    "sessions of a manifest": ("manifest", "sessions.parquet"),
    "steps of a manifest": ("manifest", "steps.parquet"),
    "report of the index": ("manifest", "index.json"),
    "facts of a manifest": ("manifest", "corpora.json"),
}


@dataclass(frozen=True)
class FlipCase:
    """One flipped bit.

    Attributes
    ----------
    kind : str
        Key of ``FILES``.
    seed : int
        Seed of the position.
    """

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"bit flip in {self.kind}, seed {self.seed}"


class FlipCheck:
    """Compare what is read from a file with a flipped bit with what was written.

    Parameters
    ----------
    workspace : Path
        Recordings, manifest, store, and runs, as :func:`write_workspace` returns them.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.references: dict[str, str] = {}

    def __call__(self, case: FlipCase) -> Verdict:
        use = USES[case.kind]
        if case.kind not in self.references:
            output, result = self._try(use, None)
            assert output.code in (0, 1), output.text
            self.references[case.kind] = result
        output, result = self._try(use, case)
        if (trace := traceback_in([output])) is not None:
            return Verdict(str(case), "traceback", trace)
        _, pattern = FILES[case.kind]
        names = [Path(pattern).name.replace("*", ""), "SHA256SUMS"]
        if output.code == 2 or result != self.references[case.kind]:
            if is_explained(output.text, names):
                return Verdict(str(case), "handled")
            text = output.text[-300:] if output.code == 2 else "another result without a word"
            return Verdict(str(case), "silent", text)
        return Verdict(str(case), "handled")

    def _try(
        self, use: Callable[[Path], tuple[Output, str]], case: FlipCase | None
    ) -> tuple[Output, str]:
        copy = restore_workspace(self.workspace)
        if case is not None:
            place, pattern = FILES[case.kind]
            (path, *_) = sorted((copy / place).glob(pattern))
            flip_bit(path, case.seed)
        return use(copy)


def restore_workspace(original: Path) -> Path:
    """Copy the workspace to the path at which it was written, which its configs contain."""
    folder = original.with_name("data")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    return folder


def flip_bit(path: Path, seed: int) -> None:
    """Flip one bit of a file, without a change of its time."""
    data, rng, status = bytearray(path.read_bytes()), np.random.default_rng(seed), path.stat()
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _extract_again(folder: Path) -> tuple[Output, str]:
    """Extract again: a damaged session is repaired, and a good one is kept."""
    output = extract_here(folder / "manifest", folder / "rec", folder / "store")
    if output.code == 0:  # what is read now is what was extracted at first
        return Output(0, ""), _read_store(folder)
    return output, ""


def _read_store(folder: Path) -> str:
    config = load_config(folder / "config.yaml")
    store, content = SessionStore(folder / "store", config.extract), []
    for key in read_index(store)[["corpus", "subject", "session"]].itertuples(index=False):
        with store.read(*key) as reader:
            content += [f"{name} {reader.read_tensor(name).tobytes()!r}" for name in reader.names]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _predict(folder: Path) -> tuple[Output, str]:
    out = folder / "predictions"
    run, file = folder / "runs" / "finished", folder / "rec" / "P1.wav"
    output = call("predict", run, file, "--window", 1, "--out", out)
    path = out / "P1.json"
    return output, path.read_text() if path.is_file() else ""


def _evaluate(folder: Path) -> tuple[Output, str]:
    output = call("evaluate", folder / "runs" / "finished")
    path = folder / "runs" / "finished" / "metrics.json"
    return output, path.read_text() if path.is_file() else ""


def _resume(folder: Path) -> tuple[Output, str]:
    """Continue the training, which was stopped before its predictions."""
    output = call("train", folder / "config.yaml", "name=stopped", *_places(folder))
    path = folder / "runs" / "stopped" / "predictions.parquet"
    return output, pd.read_parquet(path)["y_prob"].to_json() if path.is_file() else ""


def _places(folder: Path) -> list[str]:
    names = {"data.manifest": "manifest", "data.store": "store", "out": "runs"}
    return [f"{setting}={folder / name}" for setting, name in names.items()]


def _audit(folder: Path) -> tuple[Output, str]:
    output = call("audit", folder / "manifest", "--root", folder / "rec")
    path = folder / "manifest" / "audit.json"
    if not path.is_file():
        return output, ""
    return output, path.read_text().replace(str(folder), "")


USES: dict[str, Callable[[Path], tuple[Output, str]]] = {
    "store session": _extract_again,
    "store index": _extract_again,
    "weights": _predict,
    "config of the model": _predict,
    "predictions": _evaluate,
    "checksums of a run": _predict,
    "facts for inference": _predict,
    "checkpoint": _resume,
    "sessions of a manifest": _audit,
    "steps of a manifest": _audit,
    "report of the index": _audit,
    "facts of a manifest": _audit,
}


def write_workspace(folder: Path, spec: str, config: str) -> Path:
    """Index, extract and train: one run that is finished, and one that was interrupted.

    Returns
    -------
    Path
        The folder under another name; :func:`restore_workspace` copies it back.
    """
    root = folder / "rec"
    root.mkdir(parents=True)
    for number in range(1, 9):
        write_sample(root / f"P{number}.wav", seconds=2.0 + number / 4)
    labels = "\n".join(
        f"P{number},{number % 2 * 12},{SPLITS[number - 1]}" for number in range(1, 9)
    )
    (root / "labels.csv").write_text(f"id,score,split\n{labels}\n")
    (folder / "spec.yaml").write_text(spec)
    (folder / "config.yaml").write_text(config)
    assert yaml.safe_load(config)["training"]["epochs"] == 2
    steps: list[tuple[object, ...]] = [
        ("index", folder / "spec.yaml", root, "--out", folder / "manifest"),
        ("extract", folder / "manifest", root, "--out", folder / "store", "--workers", 1),
        ("train", folder / "config.yaml", "name=finished", *_places(folder)),
    ]
    for step in steps:
        output = call(*step)
        assert output.code == 0, output.text
    stopped = ("train", folder / "config.yaml", "name=stopped", *_places(folder))
    assert _train_without_predictions(stopped).code == 130
    return Path(folder.rename(folder.with_name("original")))


def _train_without_predictions(arguments: tuple[object, ...]) -> Output:
    """Train, and end like Ctrl-C before the predictions are written."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with mock.patch("depmm.training.loop.save_and_predict", interrupt):
        return call(*arguments)


SPLITS = ["train", "train", "train", "train", "validation", "validation", "test", "test"]
SPEC = """\
name: faults
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{subject}.wav"
    modalities: [audio]
session: "{subject}"
steps:
  windows: {length_s: 1.0}
tables:
  - file: labels.csv
    join: {id: subject}
    fields: {score: score, split: split}
label: {instrument: PHQ-8, score: score, cut_off: 10, required: true}
"""
CONFIG = """\
name: tried
split: {kind: official}
data: {manifest: m, store: s, modalities: [audio], max_audio_s: 0.5}
model:
  encoders:
    audio: {kind: mfcc_cnn, n_mfcc: 8, n_mels: 16, channels: [8], embed_dim: 8, dropout: 0.0}
  fusion: {kind: mean_pool, dropout: 0.0}
training: {epochs: 2, batch_size: 4, learning_rate: 0.01}
evaluation: {n_bootstrap: 100}
"""
