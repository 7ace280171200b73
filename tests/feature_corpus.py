"""A small corpus of feature files: data spec, files and a config for training."""

from pathlib import Path

import numpy as np

from depmm.config import ExtractConfig, StreamConfig
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import write_manifest
from depmm.corpora.spec import parse_spec
from depmm.media.features.feature_files import read_features
from depmm.store.extract import extract

SPEC = """
name: toy
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{subject}_voice.csv"
    modalities: [audio]
    features: {name: voice, rate_hz: 100, header: false, columns: [f0, vuv, energy],
               valid: [{column: vuv, at_least: 1, columns: [f0]}]}
  - pattern: "{subject}_face.txt"
    modalities: [face]
    features: {name: units, rate_hz: 10, time: timestamp, drop: [frame, timestamp, success],
               valid: [{column: success, at_least: 1}]}
session: "{subject}"
required_modalities: [audio, face]
required_features: [voice, units]
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {phq: score, split: split}
steps:
  table:
    file: "{subject}_turns.csv"
    sep: "\\t"
    join: {subject: subject}
    fields: {start: start_time, end: stop_time, text: value}
    keep: {speaker: [Participant]}
    order: [start_time]
label: {instrument: PHQ-8, score: phq}
"""


def write_feature_corpus(root: Path, subjects: int = 12, effect: float = 2.0) -> Path:
    """Write 4 s of features per subject; positive ones (odd numbers) have lower values."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels = []
    for number in range(subjects):
        name, shift = f"{300 + number}", effect * (number % 2)
        voice = rng.normal([120, 1, 60 - shift], [10, 0, 1], (400, 3))
        voice[::7, 1] = 0
        lines = [",".join(f"{x:.4f}" for x in row) for row in voice]
        lines[5] = "-inf," + lines[5].split(",", 1)[1]
        (root / f"{name}_voice.csv").write_text("\n".join(lines) + "\n")
        units = rng.normal(-shift, 1, (40, 2))
        rows = [
            f"{i + 1}, {i / 10:.4f}, {int(i != 3)}, {a:.3f}, {b:.3f}"
            for i, (a, b) in enumerate(units)
        ]
        header = "frame, timestamp, success, AU01_r, AU02_r"
        (root / f"{name}_face.txt").write_text("\n".join([header, *rows]) + "\n")
        turns = ["start_time\tstop_time\tspeaker\tvalue", "0.0\t0.9\tEllie\thow are you"]
        turns += ["1.0\t2.0\tParticipant\tfine", "2.5\t3.5\tParticipant\tthank you"]
        (root / f"{name}_turns.csv").write_text("\n".join(turns) + "\n")
        split = ("train", "train", "validation", "test")[number // 2 % 4]
        labels.append(f"{name},{12 if number % 2 else 3},{split}")
    (root / "labels.csv").write_text("\n".join(["subject,score,split", *labels]) + "\n")
    return root


def read_rows(path: Path, stream: StreamConfig, **options) -> tuple[np.ndarray, np.ndarray]:
    """Read a file and join its blocks."""
    times, values = zip(*read_features(path, stream, **options), strict=True)
    return np.concatenate(times), np.concatenate(values)


FEATURE_CONFIG = """
name: toy
split: {{kind: official}}
data:
  manifest: {base}/manifest
  store: {base}/store
  features: {{audio: voice, face: units}}
  max_rows: 60
model:
  encoders:
    audio: {{kind: feature_cnn, features: 3, channels: [8], embed_dim: 8, dropout: 0.0}}
    face: {{kind: feature_cnn, features: 2, channels: [8], embed_dim: 8, dropout: 0.0}}
  fusion: {{kind: mean_pool, dropout: 0.0}}
training: {{epochs: 12, batch_size: 4, learning_rate: 1.0e-2, patience: 12}}
evaluation: {{n_bootstrap: 100}}
"""


def make_feature_corpus(base: Path) -> Path:
    """Write, index and extract the corpus to ``toy/``, ``manifest/`` and ``store/``."""
    root = write_feature_corpus(base / "toy")
    manifest, report = index_corpus(parse_spec(SPEC, "toy"), root)
    assert (report.missing, report.unused) == ((), ())
    write_manifest(manifest, base / "manifest")
    report = extract(manifest, root, base / "store", ExtractConfig(), workers=0)
    assert (report.extracted, len(report.failures)) == (12, 0), report.failures
    return base
