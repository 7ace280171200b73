"""An undamaged corpus of six subjects with labels, transcripts and features."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import openpyxl
import soundfile

SUBJECTS = [f"P{number}" for number in range(1, 7)]
RATE = 16_000
SECONDS = 6.0
N_TURNS = 5
FEATURE_RATE = 10

SPEC = """\
name: faults
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{subject}.wav"
    modalities: [audio]
  - pattern: "{subject}_face.csv"
    modalities: [face]
    features:
      name: openface
      rate_hz: 10
      time: timestamp
      drop: [frame]
      valid: [{column: success, at_least: 1}]
session: "{subject}"
tables:
  - file: LABELS
    join: {id: subject}
    fields: {phq: PHQ8_Score, gender: gender}
steps:
  table:
    file: "{subject}_words.csv"
    join: {subject: subject}
    fields: {start: start, end: end, text: text}
    order: [start]
codes:
  gender: {names: {m: male, f: female}}
label: {instrument: PHQ-8, score: phq, cut_off: 10, required: true}
"""
JSON_TABLE = "  - file: LABELS\n    format: json\n"


def spec_text(labels: str) -> str:
    """Return the spec with this file of labels."""
    text = SPEC if not labels.endswith(".json") else SPEC.replace("  - file: LABELS\n", JSON_TABLE)
    return text.replace("LABELS", labels)


def label_rows() -> list[list[object]]:
    """Return header and rows of the labels."""
    scores = [3, 14, 7, 19, 0, 11]
    rows = [[name, scores[index], "mf"[index % 2]] for index, name in enumerate(SUBJECTS)]
    return [["id", "PHQ8_Score", "gender"], *rows]


def turn_rows(index: int) -> list[list[object]]:
    """Return header and rows of a transcript."""
    rows = [
        [SUBJECTS[index], f"{turn + 0.1:.1f}", f"{turn + 0.9:.1f}", f"word {index} {turn}, and on"]
        for turn in range(N_TURNS)
    ]
    return [["subject", "start", "end", "text"], *rows]


def feature_rows(index: int) -> list[list[object]]:
    """Return header and rows of the features."""
    rng = np.random.default_rng(index)
    rows = [
        [frame + 1, f"{frame / FEATURE_RATE:.1f}", 1, *(f"{x:.4f}" for x in rng.normal(size=3))]
        for frame in range(round(SECONDS * FEATURE_RATE))
    ]
    return [["frame", "timestamp", "success", "AU01", "AU02", "AU04"], *rows]


def to_csv(rows: list[list[object]]) -> bytes:
    """Write rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def to_xlsx(rows: list[list[object]]) -> bytes:
    """Write rows as the first sheet of a workbook."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def to_json(rows: list[list[object]]) -> bytes:
    """Write rows as a list of objects."""
    header, *others = rows
    return json.dumps([dict(zip(header, row, strict=True)) for row in others], indent=1).encode()


LABELS = {"labels.csv": to_csv, "labels.xlsx": to_xlsx, "labels.json": to_json}


def write_corpus(root: Path, labels: str = "labels.csv") -> Path:
    """Write the corpus and return its folder."""
    root.mkdir(parents=True)
    time = np.arange(round(SECONDS * RATE)) / RATE
    for index, name in enumerate(SUBJECTS):
        sound = 0.4 * np.sin(2 * np.pi * (200 + 40 * index) * time) * (0.6 + 0.4 * np.sin(9 * time))
        soundfile.write(root / f"{name}.wav", sound, RATE)
        (root / f"{name}_words.csv").write_bytes(to_csv(turn_rows(index)))
        (root / f"{name}_face.csv").write_bytes(to_csv(feature_rows(index)))
    (root / labels).write_bytes(LABELS[labels](label_rows()))
    return root
