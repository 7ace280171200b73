"""Small recordings and their extraction, for tests of the store and the dataset."""

import shutil
from pathlib import Path

import av
import numpy as np
import pandas as pd

from depmm.config import SAMPLE_RATE, ExtractConfig
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.files.writing import temporary_folder
from depmm.store.extract import ExtractReport, extract
from depmm.store.session_writer import SessionWriter

SETTINGS = ExtractConfig()
SUMMARY = {
    "n_steps": 0, "step_start_s": [], "audio_s": 0.0, "n_frames": 2, "n_frames_with_face": 0,
    "n_steps_with_text": 0,
    "streams": {}, "warnings": [], "source_hash": "", "source_files": {}, "steps_hash": "",
}  # fmt: skip
KEY = ("c", "p1", "s1")


def write_video(path: Path, seconds: float = 2.0, sound: bool = True) -> Path:
    """Write a grey 32 x 32 video of 10 frames per second, with a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if sound else None
        tone = np.sin(np.arange(round(seconds * SAMPLE_RATE)) / 10).astype(np.float32)[None] / 2
        for i in range(round(seconds * 10)):
            grey = np.full((32, 32, 3), 20 * (i % 10), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            if audio is not None:
                part = np.ascontiguousarray(tone[:, i * 1600 : (i + 1) * 1600])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.rate, frame.pts = SAMPLE_RATE, i * 1600
                container.mux(audio.encode(frame))
        for stream in container.streams:
            container.mux(stream.encode(None))
    return path


def manifest_of(steps: dict[str, list[dict]]) -> Manifest:
    """Build sessions of corpus ``c``; the dictionaries override columns of the steps."""
    keys = {name: {"corpus": "c", "subject": f"p{name[1:]}", "session": name} for name in steps}
    rows = [
        {**keys[name], "step": index, "start_s": 0.0, "face_aligned": True, **step}
        for name, steps_of_session in steps.items()
        for index, step in enumerate(steps_of_session)
    ]
    return build_manifest(pd.DataFrame(list(keys.values())), pd.DataFrame(rows))


def audio_and_face(path: str, **times: float) -> dict:
    """Describe a step whose sound and faces are in one file."""
    return {"audio": path, "face": path, **times}


def extract_all(manifest: Manifest, root: Path, store: Path | str, **arguments) -> ExtractReport:
    """Extract in this process, with the default settings."""
    settings = arguments.pop("settings", SETTINGS)
    arguments = {"workers": 0, **arguments}
    return extract(manifest, root, store, settings, **arguments)


def session_files(store: Path) -> dict[str, bytes]:
    """Read every session file."""
    return {
        str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*.safetensors")
    }


def three_subjects(root: Path) -> tuple[Manifest, Path]:
    """Write the videos of three subjects to ``root``, with two steps each."""
    root.mkdir()
    first = write_video(root / "1.mp4")
    for number in (2, 3):
        shutil.copy(first, root / f"{number}.mp4")
    steps = {
        f"s{number}": [
            audio_and_face(f"{number}.mp4", start_s=0.2, end_s=0.8),
            audio_and_face(f"{number}.mp4", start_s=1.0, end_s=1.7),
        ]
        for number in (1, 2, 3)
    }
    return manifest_of(steps), root


def write_session(path: Path, tensors: dict[str, np.ndarray], **summary: object) -> Path:
    """Write a session file of two frames and no step with some tensors."""
    with SessionWriter(temporary_folder(path.parent)) as writer:
        for name, rows in tensors.items():
            writer.append(name, rows)
        return writer.save({**SUMMARY, **summary}).rename(path)
