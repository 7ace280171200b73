"""Run the pipeline on a mutated recording beside a good one, and compare with the undamaged."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from faults.isolation import Output, call, extract_here
from faults.media_mutations import KINDS, MediaCase, mutate_media
from faults.media_samples import FORMATS
from faults.oracle import Verdict, is_explained, traceback_in

from depmm.config import SAMPLE_RATE, ExtractConfig
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore

SPEC = """\
name: faults
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{{subject}}.{suffix}"
    modalities: {modalities}
session: "{{subject}}"
faces: aligned
steps:
  windows: {{length_s: 1.0}}
"""
BLOCK_S = 0.25
MAX_LAG_S = 0.06  # a lost frame of a compressed sound moves the later ones by less
MAX_BAD_BLOCKS = 2  # half a second; uncompressed sound has no checksum that could tell
MAX_BAD_FRAMES = 2
MAX_LENGTH_S = 0.15  # padding of codecs
MAX_PROBABILITY = 0.02


@dataclass(frozen=True)
class Result:
    """What the pipeline makes of the recording ``P1``, and of the good one ``P2``.

    Attributes
    ----------
    outputs : dict of str to Output
        By command.
    texts : str
        All messages: outputs, failures, warnings and the report of the index.
    sound : ndarray, shape (T,)
        Stored sound of P1.
    frames : dict of float to ndarray
        Stored frames of P1 by time, reduced to 16 x 16.
    good : bytes
        Digest of the stored session of P2; empty if it is not stored.
    prediction : dict or None
        JSON of the prediction of P1.
    """

    outputs: dict[str, Output]
    texts: str
    sound: np.ndarray
    frames: dict[float, np.ndarray]
    good: bytes
    prediction: dict[str, Any] | None


def run_pipeline(folder: Path, suffix: str, run: Path) -> Result:
    """Index, extract, audit and predict the recordings of ``folder / "rec"``."""
    modalities = "[audio, face]" if FORMATS[suffix][0] else "[audio]"
    (folder / "spec.yaml").write_text(SPEC.format(suffix=suffix, modalities=modalities))
    root, manifest, store = folder / "rec", folder / "manifest", folder / "store"
    outputs = {"index": call("index", folder / "spec.yaml", root, "--out", manifest)}
    texts = [outputs["index"].text]
    sound, frames, good = np.zeros(0, np.float32), {}, b""
    if outputs["index"].code != 2:
        report = json.loads((manifest / "index.json").read_text())
        texts += _rows(pd.DataFrame(report.get("missing", [])))
        outputs["extract"] = extract_here(manifest, root, store)
        outputs["audit"] = call("audit", manifest, "--root", root)
        texts += [outputs["extract"].text, outputs["audit"].text]
        for name in ("failures", "warnings"):
            if (store / f"{name}.parquet").is_file():
                texts += _rows(pd.read_parquet(store / f"{name}.parquet"))
        sessions = SessionStore(store, ExtractConfig())
        stored = set(read_index(sessions)["session"]) if outputs["extract"].code != 2 else set()
        if "P1" in stored:
            sound, frames = _read_session(sessions, "P1")
        if "P2" in stored:
            good = np.concatenate(
                [_read_session(sessions, "P2")[0], [len(_read_session(sessions, "P2")[1])]]
            ).tobytes()
    arguments = ("--aligned", "--out", folder / "predictions", "--window", 1)
    outputs["predict"] = call("predict", run, root / f"P1.{suffix}", *arguments)
    prediction = folder / "predictions" / "P1.json"
    content = json.loads(prediction.read_text()) if prediction.is_file() else None
    return Result(outputs, "\n".join(texts), sound, frames, good, content)


def _rows(table: pd.DataFrame) -> list[str]:
    return [" ".join(map(str, row)) for row in table.itertuples(index=False)]


def _read_session(store: SessionStore, name: str) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    with store.read("faults", name, name) as reader:
        steps = range(reader.summary["n_steps"])
        sound = [np.zeros(0, np.float32)]
        if "audio.waveform" in reader.names:
            sound += [reader.read_waveform(step) for step in steps]
        times = reader.read_tensor("face.time_s") if "face.time_s" in reader.names else []
        frames = {
            float(times[index]): reader.read_crop(int(index), 16).astype(float)
            for step in steps
            for index in reader.face_frames(step)
        }
    return np.concatenate(sound), frames


def differences(result: Result, reference: Result, repeats: int = 1) -> list[str]:
    """List the differences of the stored data above the tolerances."""
    found = []
    expected = np.tile(reference.sound, repeats)
    length = (len(result.sound) - len(expected)) / SAMPLE_RATE
    if abs(length) > MAX_LENGTH_S * repeats:
        found.append(f"sound is {length:+.2f} s long")
    if (bad := _bad_blocks(result.sound, expected)) > MAX_BAD_BLOCKS * repeats:
        found.append(f"{bad} blocks of {BLOCK_S} s differ")
    wrong = 0
    for time_s, frame in reference.frames.items():
        near = [other for other in result.frames if abs(other - time_s) <= 0.06]
        same = [np.abs(result.frames[other] - frame).mean() < 12 for other in near]
        wrong += not any(same)
    if wrong > MAX_BAD_FRAMES:
        found.append(f"{wrong} of {len(reference.frames)} frames are missing or differ")
    if len(result.frames) > repeats * len(reference.frames) + MAX_BAD_FRAMES:
        found.append(f"{len(result.frames)} frames instead of {len(reference.frames)}")
    return found


def _bad_blocks(sound: np.ndarray, expected: np.ndarray) -> int:
    """Count the blocks of the expected sound that are not at their place."""
    size, lag = round(BLOCK_S * SAMPLE_RATE), round(MAX_LAG_S * SAMPLE_RATE)
    padded = np.pad(sound, (lag, lag + size))
    bad = 0
    for start in range(0, len(expected) - size + 1, size):
        block, near = expected[start : start + size], padded[start : start + size + 2 * lag]
        if len(near) < size:
            bad += 1
            continue
        products = np.correlate(near, block, "valid")
        place = int(products.argmax())
        error = near[place : place + size] - block
        bad += bool(np.sqrt(np.mean(error**2)) > 0.2 * np.sqrt(np.mean(block**2)) + 0.005)
    return bad


def judge_media(case: MediaCase, result: Result, references: Mapping[str, Result]) -> Verdict:
    """Decide whether a mutated recording is handled by extraction and by prediction."""
    good, reference = references[case.suffix].good, references[case.content]
    if FORMATS[case.suffix][0] is None:  # the spec asks for the sound only
        reference = replace(reference, frames={})
    name, kind = str(case), KINDS[case.kind]
    if (trace := traceback_in(result.outputs.values())) is not None:
        return Verdict(name, "traceback", trace)
    if result.outputs["index"].code == 2 or result.good != good:
        return Verdict(name, "ended", result.outputs["index"].text[-300:])
    repeats = 2 if case.kind == "join" and len(result.sound) > 1.5 * len(reference.sound) else 1
    found = differences(result, reference, repeats)
    if not kind.lossless and not found:
        found = ["it is read as if it were good"]
    said = is_explained(result.texts, [f"P1.{case.suffix}"])
    if found and not said:
        return Verdict(name, "silent", "; ".join(found))
    predicted = result.outputs["predict"]
    if predicted.code == 2:
        said = is_explained(predicted.text, [f"P1.{case.suffix}"])
        return Verdict(name, *(["handled"] if said else ["silent", predicted.text[-300:]]))
    if found and result.prediction is not None:
        before = {warning["name"] for warning in reference.prediction["warnings"]}
        new = {warning["name"] for warning in result.prediction["warnings"]} - before
        change = abs(
            result.prediction["prediction"]["probability"]
            - reference.prediction["prediction"]["probability"]
        )
        if not new and change > MAX_PROBABILITY:
            return Verdict(name, "silent", f"prediction: {'; '.join(found)}; no warning")
    return Verdict(name, "handled")


class MediaCheck:
    """Check cases against the results of the undamaged recordings.

    Parameters
    ----------
    samples : Path
        Folder with one undamaged recording per format.
    run : Path
        Folder of a trained run.
    """

    def __init__(self, samples: Path, run: Path) -> None:
        self.samples, self.run = samples, run
        self.references: dict[str, Result] = {}

    def __call__(self, case: MediaCase) -> Verdict:
        for suffix in {case.suffix, case.content}:
            if suffix not in self.references:
                self.references[suffix] = self._try(None, self.samples / f"sample.{suffix}")
        result = self._try(case, self.samples / f"sample.{case.suffix}")
        return judge_media(case, result, self.references)

    def _try(self, case: MediaCase | None, sample: Path) -> Result:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "rec").mkdir()
            for subject in ("P1", "P2"):
                shutil.copy(sample, folder / "rec" / f"{subject}{sample.suffix}")
            if case is not None:
                content = sample.with_suffix(f".{case.content}")
                mutate_media(case, content, folder / "rec" / f"P1{sample.suffix}")
            return run_pipeline(folder, sample.suffix[1:], self.run)
