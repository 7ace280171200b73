"""A small corpus of sound, a gait stream per frame and one embedding of the text per step."""

from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000
WORDS = ("alone", "calm", "door", "smile")
STEP_S = 0.5
WITHOUT_GAIT = ("p03", "p11")  # sessions
WITHOUT_EMBEDDING = {"p02": (1,), "p10": (0, 3), "p15": (0, 1, 2, 3)}  # steps

SPEC = """
name: walk
title: t
citation: c
licence: l
access: a
recordings:
  - {pattern: "{subject}.wav", modalities: [audio]}
  - pattern: "{subject}_gait.csv"
    modalities: [gait]
    features: {name: gait_joints, rate_hz: 20, header: false, columns: [knee, hip, arm]}
  - pattern: "{subject}_text.csv"
    modalities: [text]
    features: {name: sentences, rate_hz: 2, time: time}
session: "{subject}"
required_modalities: [audio]
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {phq: score, split: split}
steps:
  table:
    file: "{subject}_words.csv"
    join: {subject: subject}
    fields: {start: start_s, end: end_s, text: word}
    order: [start_s]
label: {instrument: PHQ-8, score: phq}
"""

CONFIG = """
name: walk
split: {kind: official}
data:
  manifest: manifest
  store: store
  modalities: [audio, text, gait]
  features: {gait: gait_joints, text: sentences}
  max_audio_s: 0.5
  max_rows: 8
model:
  encoders:
    audio: {kind: mfcc_cnn, n_mfcc: 8, n_mels: 16, channels: [8], embed_dim: 8, dropout: 0.0}
    text: {kind: feature_cnn, features: 4, channels: [8], embed_dim: 8, dropout: 0.0}
    gait: {kind: feature_cnn, features: 3, channels: [8], embed_dim: 8, dropout: 0.0}
  fusion:
    kind: dep_former
    adapter_hidden_dim: 16
    adapter_dim: 8
    embed_dim: 16
    n_heads: 2
    head_dim: 8
    ffn_dim: 16
    layers: [1, 1]
    sampling_factor: 1
    cross_attention: [text, gait]
training: {epochs: 3, batch_size: 8, learning_rate: 1.0e-2}
evaluation: {n_bootstrap: 100, n_gate_samples: 20}
"""


def write_three_modalities(base: Path) -> None:
    """Write ``recordings/``, ``walk.yaml`` (spec) and ``config.yaml`` of 16 subjects."""
    root = base / "recordings"
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels, duration_s = ["subject,score,split"], STEP_S * len(WORDS)
    for index in range(16):
        name, positive = f"p{index:02}", index % 2
        sound = rng.normal(0, 0.05 / (1 + positive), round(duration_s * SAMPLE_RATE))
        soundfile.write(root / f"{name}.wav", sound, SAMPLE_RATE)
        if name not in WITHOUT_GAIT:
            gait = rng.normal(-positive, 1, (round(duration_s * 20), 3))
            np.savetxt(root / f"{name}_gait.csv", gait, "%.4f", ",")
        missing = WITHOUT_EMBEDDING.get(name, ())
        starts = [step * STEP_S for step in range(len(WORDS))]
        rows = [
            [start, *rng.normal(positive, 1, 4)]
            for step, start in enumerate(starts)
            if step not in missing
        ]
        if rows:
            header = "time,e0,e1,e2,e3"
            np.savetxt(root / f"{name}_text.csv", rows, "%.4f", ",", header=header, comments="")
        words = [f"{a},{a + STEP_S},{word}" for a, word in zip(starts, WORDS, strict=True)]
        (root / f"{name}_words.csv").write_text("\n".join(["start_s,end_s,word", *words]) + "\n")
        split = ("train", "train", "validation", "test")[index // 2 % 4]
        labels.append(f"{name},{14 if positive else 3},{split}")
    (root / "labels.csv").write_text("\n".join(labels) + "\n")
    (base / "walk.yaml").write_text(SPEC)
    (base / "config.yaml").write_text(CONFIG)
