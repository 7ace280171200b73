"""Index and extract a corpus with one mutated table, and compare with the undamaged corpus."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from faults.isolation import Output, call, extract_here
from faults.oracle import Verdict, is_explained, traceback_in
from faults.table_mutations import TableCase, mutate_table
from faults.table_samples import LABELS, spec_text, write_corpus

from depmm.config import ExtractConfig
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore


@dataclass(frozen=True)
class Content:
    """Manifest and store of a corpus.

    Attributes
    ----------
    outputs : dict of str to Output
        By command.
    texts : str
        All messages.
    sessions, steps : DataFrame
        Tables of the manifest, empty if it was not written.
    features : dict of str to ndarray
        Stored features by session.
    sound_s : dict of str to float
        Seconds of stored sound by session.
    """

    outputs: dict[str, Output]
    texts: str
    sessions: pd.DataFrame
    steps: pd.DataFrame
    features: dict[str, np.ndarray]
    sound_s: dict[str, float]


def run_pipeline(folder: Path, spec: str) -> Content:
    """Index and extract ``folder / "rec"`` with a spec, and audit the manifest."""
    (folder / "spec.yaml").write_text(spec)
    root, manifest, store = folder / "rec", folder / "manifest", folder / "store"
    outputs = {"index": call("index", folder / "spec.yaml", root, "--out", manifest)}
    texts, sessions, steps = [outputs["index"].text], pd.DataFrame(), pd.DataFrame()
    features, sound_s = {}, {}
    if outputs["index"].code != 2:
        sessions = pd.read_parquet(manifest / "sessions.parquet")
        steps = pd.read_parquet(manifest / "steps.parquet")
        report = json.loads((manifest / "index.json").read_text())
        texts += [" ".join(map(str, item.values())) for item in report.get("missing", [])]
        outputs["extract"] = extract_here(manifest, root, store)
        outputs["audit"] = call("audit", manifest, "--root", root)
        texts += [outputs["extract"].text, outputs["audit"].text]
        for name in ("failures", "warnings"):
            if (store / f"{name}.parquet").is_file():
                rows = pd.read_parquet(store / f"{name}.parquet").itertuples(index=False)
                texts += [" ".join(map(str, row)) for row in rows]
        if outputs["extract"].code != 2:
            opened = SessionStore(store, ExtractConfig())
            for key in read_index(opened)[["corpus", "subject", "session"]].itertuples(index=False):
                with opened.read(*key) as reader:
                    sound_s[key[2]] = reader.summary["audio_s"]
                    if "feature.openface.values" in reader.names:
                        features[key[2]] = reader.read_tensor("feature.openface.values")
    return Content(outputs, "\n".join(texts), sessions, steps, features, sound_s)


def compare(result: Content, reference: Content) -> list[str]:
    """List the sessions whose content differs, with the difference."""
    found = []
    for kind in ("sessions", "steps"):
        old, new = getattr(reference, kind), getattr(result, kind)
        columns = (
            ["label", "score", "gender"] if kind == "sessions" else ["start_s", "end_s", "text"]
        )
        for name, rows in old.groupby("session"):
            other = new[new["session"] == name] if len(new) else new
            if len(rows) != len(other):
                found.append(f"{name}: {len(other)} of {len(rows)} {kind}")
                continue
            for column in columns:
                if not _equal(rows[column], other[column]):
                    values = f"{other[column].tolist()} instead of {rows[column].tolist()}"
                    found.append(f"{name}: {column} {values}"[:200])
    for name, values in reference.features.items():
        other = result.features.get(name, np.zeros((0, 0)))
        # of a table that was cut, two rows (0.2 s) may be missing, and its last number is shorter
        missing = len(values) - len(other)
        whole = len(values) if missing == 0 else max(0, len(other) - 1)
        same = values.shape[1:] == other.shape[1:] and 0 <= missing <= 2
        if not same or _n_wrong(values[:whole], other[:whole]):
            found.append(
                f"{name}: features {other.shape} instead of {values.shape}, or other values"
            )
    for name, seconds in reference.sound_s.items():
        if abs(result.sound_s.get(name, 0.0) - seconds) > 0.01:
            found.append(f"{name}: {result.sound_s.get(name, 0.0):.2f} of {seconds:.2f} s of sound")
    return found


def _n_wrong(values: np.ndarray, other: np.ndarray) -> int:
    """Count other numbers; two values may be masked, because features have a few infinite ones."""
    masked = np.isnan(other) & ~np.isnan(values)
    wrong = ~np.isclose(values, other, atol=1e-4, equal_nan=True)
    return int((wrong & ~masked).sum() + max(0, masked.sum() - 2))


def _equal(old: pd.Series, new: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(old):
        new = pd.to_numeric(new, errors="coerce")
        return bool(np.allclose(old.astype(float), new.astype(float), atol=1e-6, equal_nan=True))
    text = [str(value).replace("ö", "o") for value in new]
    return [str(value) for value in old] == text


def judge_table(case: TableCase, result: Content, reference: Content) -> Verdict:
    """Decide whether a mutated table is handled."""
    name = str(case)
    if (trace := traceback_in(result.outputs.values())) is not None:
        return Verdict(name, "traceback", trace)
    said = is_explained(result.texts, [case.file])
    if result.outputs["index"].code == 2:
        if case.file not in LABELS:  # the table of one session
            return Verdict(name, "ended", result.outputs["index"].text[-300:])
        return Verdict(name, *(["handled"] if said else ["silent", result.texts[-300:]]))
    found = compare(result, reference)
    if found and not said:
        return Verdict(name, "silent", "; ".join(found[:4]))
    others = [text for text in found if case.file not in LABELS and not text.startswith("P1:")]
    if others:
        return Verdict(name, "ended", "; ".join(others[:4]))
    return Verdict(name, "handled")


class TableCheck:
    """Check cases against the results of the undamaged corpus."""

    def __init__(self) -> None:
        self.references: dict[str, Content] = {}

    def __call__(self, case: TableCase) -> Verdict:
        if case.labels not in self.references:
            self.references[case.labels] = self._try(case.labels, None)
        return judge_table(case, self._try(case.labels, case), self.references[case.labels])

    def _try(self, labels: str, case: TableCase | None) -> Content:
        folder = Path(tempfile.mkdtemp())
        try:
            root = write_corpus(folder / "rec", labels)
            if case is not None:
                data = mutate_table(case, (root / case.file).read_bytes())
                (root / case.file).write_bytes(data)
            return run_pipeline(folder, spec_text(labels))
        finally:
            shutil.rmtree(folder)
