"""Simulated corpora for the audit: subjects whose properties are independent of the label.

A trap of ``audit_traps.py`` changes a property of the positive subjects before the corpus is
written. Sounds and videos are short files made here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from depmm.corpora.corpus_facts import CorpusFacts
from depmm.corpora.manifest import build_manifest, write_manifest
from depmm.simulation.face import Motion, sample_face
from depmm.simulation.face_renderer import FaceRenderer

CUT_OFF = 14  # of the BDI-II
WORDS = tuple(f"word{k}" for k in range(60))
SOUND_S, VIDEO_S = 2.0, 1.2


@dataclass
class Corpus:
    """A corpus before it is written.

    Attributes
    ----------
    name : str
        Corpus id.
    subjects : DataFrame
        One row per subject with its properties; a trap changes them.
    kind : {"tables", "sound", "video", "face"}
        Files that are written; "face" is a video without sound, written by ``replace_files``.
    facts : CorpusFacts
        Facts of the manifest about the corpus.
    replace_files : callable or None
        Function of the folder of the recordings that replaces some of them.
    """

    name: str
    subjects: pd.DataFrame
    kind: str = "tables"
    facts: CorpusFacts = field(default_factory=CorpusFacts)
    replace_files: Callable[[Path], None] | None = None

    @property
    def positive(self) -> pd.Series:
        """Whether each subject is positive."""
        return self.subjects["label"] == 1

    def plant(self, column: str, positive: Any, negative: Any) -> None:
        """Set a property of the positive subjects, and another value of the others."""
        values = np.where(self.positive, positive, negative)
        self.subjects[column] = pd.Series(values.tolist(), self.subjects.index)

    def shift(self, column: str, amount: float) -> None:
        """Add an amount to a property of the positive subjects."""
        self.subjects[column] = self.subjects[column] + amount * self.positive


def sample_corpus(
    n_subjects: int, seed: int, kind: str = "tables", name: str = "simulated", share: float = 0.5
) -> Corpus:
    """Sample subjects; every property is independent of label and score."""
    rng = np.random.default_rng(seed)
    n_positive = round(share * n_subjects)
    labels = rng.permutation(np.arange(n_subjects) < n_positive).astype(int)
    score = np.where(
        labels == 1, rng.integers(CUT_OFF, 45, n_subjects), rng.integers(0, CUT_OFF, n_subjects)
    )
    days = rng.integers(0, 700, n_subjects)
    subjects = pd.DataFrame(
        {
            "subject": [f"{number:03d}" for number in rng.permutation(n_subjects) + 1],
            "label": labels,
            "score": score.astype(float),
            "gender": rng.choice(["female", "male"], n_subjects),
            "age": rng.integers(18, 70, n_subjects).astype(float),
            "site": rng.choice(["north", "south", "west"], n_subjects),
            "device": rng.choice(["H4n", "phone"], n_subjects),
            "interviewer": rng.choice(list("ABCDEF"), n_subjects),
            "remark": [f"remark {k}" if k % 3 else None for k in range(n_subjects)],
            "date": (pd.Timestamp("2020-01-06") + pd.to_timedelta(days, "D")).strftime("%Y-%m-%d"),
            "sessions": rng.integers(1, 3, n_subjects),
            "prompt": "",
            "prefix": "",
            "suffix": "",
            "rate": 16_000,
            "channels": 1,
            "codec": "pcm_s16le",
            "gain_db": rng.normal(-20, 2, n_subjects),
            "noise_db": rng.normal(-62, 2, n_subjects),
            "dc": 0.0,
            "clip": 1.0,
            "cutoff_hz": 8_000.0,
            "hum": 0.0,
            "silence_s": rng.uniform(0.1, 0.2, n_subjects),
            "width": 160,
            "height": 120,
            "fps": 10,
            "light": rng.normal(1.0, 0.04, n_subjects),
            "face_x": rng.normal(0.5, 0.02, n_subjects),
            "face_y": rng.normal(0.5, 0.02, n_subjects),
            "face_size": rng.normal(0.75, 0.02, n_subjects),
            "seed": rng.integers(0, 2**31, n_subjects),
        }
    )
    unknown = rng.random(n_subjects) < 0.1
    subjects["age"] = subjects["age"].mask(unknown)
    return Corpus(name, subjects, kind)


def write_corpus(corpus: Corpus, folder: Path) -> tuple[Path, Path | None]:
    """Write the recordings and the manifest of a corpus.

    Returns
    -------
    manifest : Path
        Folder of the manifest.
    root : Path or None
        Folder of the recordings; None without files.
    """
    root = folder / corpus.name / "recordings"
    root.mkdir(parents=True)
    sessions, steps = [], []
    for row in corpus.subjects.to_dict("records"):
        for visit in range(1, row["sessions"] + 1):
            rng = np.random.default_rng([row["seed"], visit])
            key = {
                "corpus": corpus.name,
                "subject": row["subject"],
                "session": f"{row['subject']}_{visit}",
            }
            columns = ("label", "score", "gender", "age", "site", "device", "interviewer", "remark")
            sessions.append(
                key
                | {name: row[name] for name in (*columns, "date")}
                | {name: row[name] for name in row if str(name).startswith("weak")}
                | {"instrument": "BDI-II", "split": None}
            )
            name = f"{row['prefix']}{key['session']}{row['suffix']}"
            audio, face = f"audio/{name}.mka", None
            if corpus.kind == "sound":
                (root / "audio").mkdir(exist_ok=True)
                write_sound(root / audio, make_voice(row, rng), row["rate"], row["codec"])
            if corpus.kind == "video" and row.get("has_face", True):
                face = f"video/{name}.mp4"
                (root / "video").mkdir(exist_ok=True)
                write_face_video(root / face, row, rng)
            if corpus.kind == "video":
                audio = face
            if corpus.kind in ("tables", "face") and row.get("has_face", True):
                face = f"video/{name}.mp4"
            if corpus.kind == "face":
                audio = None
            for step in range(2):
                text = " ".join(rng.choice(WORDS, rng.integers(6, 12)))
                steps.append(
                    key
                    | {"step": step, "start_s": 0.5 * step, "end_s": 0.5 * step + 0.5}
                    | {"text": f"{row['prompt']} {text}" if step else text}
                    | {"audio": audio, "face": face, "face_aligned": False}
                )
    table = pd.DataFrame(sessions)
    manifest = build_manifest(table, pd.DataFrame(steps), facts={corpus.name: corpus.facts})
    if corpus.replace_files is not None:
        corpus.replace_files(root)
    write_manifest(manifest, folder / corpus.name / "manifest")
    return folder / corpus.name / "manifest", None if corpus.kind == "tables" else root


def make_voice(row: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Make a voice of harmonics and noise with syllables, shape (channels, T)."""
    rate = row["rate"]
    t = np.arange(round(SOUND_S * rate)) / rate
    pitch = rng.uniform(100, 220)
    voice = sum(
        np.sin(2 * np.pi * k * pitch * t + rng.uniform(0, 6)) / k
        for k in range(1, int(7000 / pitch))
    )
    voice = voice + 0.3 * rng.normal(size=len(t))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2.5, 3.5) * t + rng.uniform(0, 6)), 0, 1)
    voice = voice / np.sqrt(np.mean(voice**2)) * 10 ** (row["gain_db"] / 20) * syllables
    voice = voice * (t >= row["silence_s"])
    sound = voice + 10 ** (row["noise_db"] / 20) * rng.normal(size=len(t))
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(len(t), 1 / rate) > row["cutoff_hz"]] = 0
    sound = np.fft.irfft(spectrum, len(t))
    sound = sound + row["hum"] * sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3))
    sound = np.clip(sound, -row["clip"], row["clip"]) + row["dc"]
    return np.repeat(np.clip(sound, -1, 1)[None], row["channels"], axis=0)


def write_sound(path: Path, sound: np.ndarray, rate: int, codec: str) -> None:
    """Write sound of shape (channels, T)."""
    layout = "mono" if len(sound) == 1 else "stereo"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        form = stream.codec_context.codec.audio_formats[0].name
        to_codec = av.AudioResampler(format=form, layout=layout, rate=rate)
        for start in range(0, sound.shape[1], 1024):
            block = np.ascontiguousarray(sound[:, start : start + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.rate, frame.pts = rate, start
            for part in to_codec.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode())


def write_face_video(path: Path, row: dict[str, Any], rng: np.random.Generator) -> None:
    """Write a video of a drawn face at a position, and the voice."""
    n_frames = round(VIDEO_S * row["fps"])
    renderer = FaceRenderer(sample_face(rng, row["gender"]), rng)
    zero = np.zeros(n_frames)
    still = Motion(np.abs(rng.normal(0, 3, n_frames)), zero, zero, zero, zero, zero, zero)
    height, width = int(row["height"]), int(row["width"])
    size = min(round(row["face_size"] * height), height)
    left = int(np.clip(row["face_x"] * width - size / 2, 0, width - size))
    top = int(np.clip(row["face_y"] * height - size / 2, 0, height - size))
    sound = make_voice(row, rng)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=int(row["fps"]))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"crf": "20", "preset": "ultrafast"}
        audio = container.add_stream("aac", rate=row["rate"])
        audio.layout = "mono"
        packets = []
        for index in range(n_frames):
            picture = renderer.render(still, index)
            rows = np.linspace(0, len(picture) - 1, size).round().astype(int)
            canvas = np.full((height, width, 3), 90.0)
            canvas[top : top + size, left : left + size] = picture[rows][:, rows]
            lit = np.clip(canvas * row["light"], 0, 255).astype(np.uint8)
            packets += video.encode(av.VideoFrame.from_ndarray(lit, format="rgb24"))
        to_codec = av.AudioResampler(format="fltp", layout="mono", rate=row["rate"])
        for start in range(0, sound.shape[1], 1024):
            block = np.ascontiguousarray(sound[:, start : start + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.rate, frame.pts = row["rate"], start
            for part in to_codec.resample(frame):
                packets += audio.encode(part)
        for packet in [*packets, *video.encode(), *audio.encode()]:
            container.mux(packet)
