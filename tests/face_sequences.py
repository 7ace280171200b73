"""Synthetic sequences of tracked faces, for tests of derived streams and of measures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from recordings import KEY, SETTINGS, SUMMARY, manifest_of
from scipy.spatial.transform import Rotation

from depmm.corpora.manifest import write_manifest
from depmm.store.derived_streams import BLENDSHAPES
from depmm.store.index import update_tables
from depmm.store.sessions import SessionStore
from depmm.store.step_hashes import hash_steps


def pose_matrices(angles: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Build matrices, (T, 4, 4), from pitch, yaw and roll in degrees, (T, 3)."""
    pose = np.tile(np.eye(4, dtype=np.float32), (len(angles), 1, 1))
    rotation = Rotation.from_euler("YXZ", angles[:, [1, 0, 2]] * [1, -1, 1], degrees=True)
    pose[:, :3, :3] = scale * rotation.as_matrix()
    pose[:, :3, 3] = [1.0, 2.0, -40.0]
    return pose


def eye_landmarks(n_frames: int, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Build landmarks with eyes of 40 pixels, and irises at x and y eye widths (y up)."""
    landmarks = np.zeros((n_frames, 478, 3), np.float32)
    for iris, left, right, start in ((468, 33, 133, 100), (473, 362, 263, 200)):
        landmarks[:, left, :2] = start, 50
        landmarks[:, right, :2] = start + 40, 50
        landmarks[:, iris, :2] = start + 20 + 40 * x, 50 - 40 * y
    return landmarks


def blendshape_rows(n_frames: int, **scores: float | np.ndarray) -> np.ndarray:
    """Build blendshapes, (T, 52), in which the given ones differ from 0."""
    rows = np.zeros((n_frames, 52), np.float32)
    for name, score in scores.items():
        rows[:, BLENDSHAPES.index(name)] = score
    return rows


def write_faces(
    root: Path,
    steps: list[tuple[int, int]],
    tensors: dict[str, np.ndarray],
    key: tuple[str, str, str] = KEY,
    rate: float = 10.0,
    steps_hash: str = "",
) -> SessionStore:
    """Write a session of tracked faces; without ``face.detected``, all frames show a face."""
    store = SessionStore(root, SETTINGS)
    n_frames = max(end for _, end in steps)
    detected = tensors.pop("face.detected", np.ones(n_frames, bool))
    content = {
        "face.jpeg": np.zeros(0, np.uint8),
        "face.jpeg_offset": np.zeros(n_frames + 1, np.int64),
        "face.time_s": np.arange(n_frames) / rate,
        "face.step_frames": np.array(steps, np.int64),
        "face.detected": detected,
        "face.landmarks": eye_landmarks(n_frames),
        "face.blendshapes": blendshape_rows(n_frames),
        "face.pose": pose_matrices(np.zeros((n_frames, 3))),
        **tensors,
    }
    summary = {
        **SUMMARY, "n_steps": len(steps), "step_start_s": [first / rate for first, _ in steps],
        "n_frames": n_frames, "n_frames_with_face": int(detected.sum()), "steps_hash": steps_hash,
    }  # fmt: skip
    with store.writer() as writer:
        for name, rows in content.items():
            writer.append(name, rows)
        store.put(writer.save(summary), store.path(*key))
    return store


def write_face_corpus(root: Path, n_subjects: int = 12) -> tuple[Path, Path]:
    """Write manifest and store of subjects with two steps; label 1 opens the jaw more."""
    rng = np.random.default_rng(0)
    manifest = manifest_of(
        {
            f"s{i}": [
                {"task": task, "start_s": start, "end_s": start + 0.5, "audio": f"{i}.wav"}
                for task, start in (("read", 0.0), ("talk", 0.5))
            ]
            for i in range(n_subjects)
        }
    )
    hashes = hash_steps(manifest)
    keys = [("c", f"p{i}", f"s{i}") for i in range(n_subjects)]
    for i, key in enumerate(keys):
        jaw = 0.2 + 0.4 * (i % 2) + rng.normal(0, 0.02, 10)
        tensors = {
            "face.blendshapes": blendshape_rows(10, jawOpen=jaw),
            "face.pose": pose_matrices(rng.normal(0, 3, (10, 3))),
        }
        write_faces(root / "store", [(0, 5), (5, 10)], tensors, key, steps_hash=hashes[key])
    number = manifest.sessions["subject"].str[1:].astype(int)
    manifest = replace(
        manifest,
        sessions=manifest.sessions.assign(
            label=(number % 2).astype("Int64"), instrument="group",
            gender=np.where(number < n_subjects // 2, "female", "male"),
        ),
    )  # fmt: skip
    write_manifest(manifest, root / "manifest")
    update_tables(SessionStore(root / "store", SETTINGS), dict.fromkeys(keys, ""))
    return root / "manifest", root / "store"
