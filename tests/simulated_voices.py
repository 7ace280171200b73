"""Sounds and wheels for the tests of identities."""

import base64
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from depmm.audit.identity.session_embeddings import VOICE, SessionEmbeddings, unit


def noisy_tones(seconds: float, seed: int = 0) -> np.ndarray:
    """Generate harmonics of a pitch, with noise, 16 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16000)) / 16000
    tones = sum(rng.uniform(0.2, 1) * np.sin(2 * np.pi * 150 * k * time) for k in range(1, 12))
    return np.asarray(0.02 * tones + 0.01 * rng.standard_normal(len(time)), np.float32)


def write_wheel(folder: Path, weights: bytes) -> Path:
    """Write a wheel with the name of Resemblyzer that contains nothing but weights."""
    files = {
        "resemblyzer/pretrained.pt": weights,
        "resemblyzer-0.1.4.dist-info/METADATA": (
            b"Metadata-Version: 2.1\nName: resemblyzer\nVersion: 0.1.4\n"
        ),
        "resemblyzer-0.1.4.dist-info/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files["resemblyzer-0.1.4.dist-info/RECORD"] = record.encode()
    path = folder / "resemblyzer-0.1.4-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def saved(content: object) -> bytes:
    """Save as PyTorch does."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def simulated_sessions(
    people: list[list[int]], seed: int = 0, noise: float = 0.02
) -> SessionEmbeddings:
    """Simulate one subject per list; its entries are the speaker of each session."""
    rng = np.random.default_rng(seed)
    speakers = unit(rng.standard_normal((1 + max(map(max, people)), 256)) * 0.5 + 1)
    rows, halves = [], []
    for subject, sessions in enumerate(people):
        for session, speaker in enumerate(sessions):
            rows.append(("toy", f"P{subject:04}", str(session), 60.0))
            halves.append(speakers[speaker] + noise * rng.standard_normal((2, 256)) / 4)
    table = pd.DataFrame(rows, columns=["corpus", "subject", "session", "amount"])
    return SessionEmbeddings(VOICE, table, unit(np.array(halves)).astype(np.float32))
