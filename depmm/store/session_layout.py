"""Checks of the content of a session file against its documented format.

Checksums find damage; these checks refuse files that were made to mislead a reader: sizes that do
not belong together, positions out of range, numbers of steps that no tensor has.
"""

import re
from typing import Any

import numpy as np

Shapes = dict[str, tuple[str, tuple[int, ...]]]

# name -> type, size that the first axis has, further sizes
_TENSORS: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "audio.waveform": ("int16", "samples", ()),
    "audio.step_samples": ("int64", "steps", (2,)),
    "audio.speech": ("float32", "segments of speech", (2,)),
    "audio.speech_step": ("int32", "segments of speech", ()),
    "face.jpeg": ("uint8", "bytes", ()),
    "face.jpeg_offset": ("int64", "frames and one more", ()),
    "face.time_s": ("float64", "frames", ()),
    "face.step_frames": ("int64", "steps", (2,)),
    "face.detected": ("bool", "frames", ()),
    "face.confidence": ("float32", "frames", ()),  # in earlier stores; it is not read
    "face.landmarks": ("float32", "frames", (478, 3)),
    "face.blendshapes": ("float32", "frames", (52,)),
    "face.pose": ("float32", "frames", (4, 4)),
    "text.utf8": ("uint8", "bytes of text", ()),
    "text.offset": ("int64", "steps and one more", ()),
}
_GROUPS = (
    ("audio.step_samples", "audio.waveform"),
    ("text.offset", "text.utf8"),
    ("face.step_frames", "face.jpeg", "face.jpeg_offset", "face.detected", "face.time_s"),
)
_STREAM = re.compile(r"feature\.(.+)\.(values|time_s|step_rows)", re.DOTALL)
_SUMMARY = {
    "n_steps": int,
    "step_start_s": list,
    "audio_s": float,
    "n_frames": int,
    "n_frames_with_face": int,
    "n_steps_with_text": int,
    "streams": dict,
    "warnings": list,
    "source_hash": str,
    "source_files": dict,
    "steps_hash": str,
}


def check_summary(summary: Any) -> None:
    """Check the summary of a session.

    Parameters
    ----------
    summary : object
        The parsed JSON.

    Raises
    ------
    ValueError
        If it is not the summary of a session.
    """
    if not isinstance(summary, dict):
        raise ValueError("its summary is not a mapping")
    for name, kind in _SUMMARY.items():
        value = summary.get(name)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"{name} of its summary is not of type {kind.__name__}")
        if isinstance(value, int | float) and not 0 <= value < 2**53:
            raise ValueError(f"{name} of its summary is {value}")
    if len(summary["step_start_s"]) != summary["n_steps"]:
        raise ValueError("its summary has another number of steps than of their times")
    if not all(isinstance(start, int | float) for start in summary["step_start_s"]):
        raise ValueError("the times of its steps are not numbers")
    previous = summary.get("step_previous_end_s", [None] * summary["n_steps"])
    if len(previous) != summary["n_steps"] or not all(
        end is None or isinstance(end, int | float) for end in previous
    ):
        raise ValueError("the ends of previous turns are not one number or null per step")
    files = summary.get("step_file", [0] * summary["n_steps"])
    if len(files) != summary["n_steps"] or not all(type(index) is int for index in files):
        raise ValueError("the files of its steps are not one index per step")
    if not all(isinstance(stream, dict) for stream in summary["streams"].values()):
        raise ValueError("its streams are not described")
    if not all(
        isinstance(file, list) and list(map(type, file)) == [int, str]
        for file in summary["source_files"].values()
    ):
        raise ValueError("its source files do not have a time and a hash each")
    for warning in summary["warnings"]:
        if not (isinstance(warning, dict) and all(isinstance(v, str) for v in warning.values())):
            raise ValueError("its warnings are not text")


def check_tensors(shapes: Shapes, summary: dict[str, Any]) -> None:
    """Check which tensors a session has, and their types and shapes.

    Parameters
    ----------
    shapes : dict of str to tuple
        Type and shape of each tensor.
    summary : dict
        Summary of the session.

    Raises
    ------
    ValueError
        If a tensor is unknown, missing, or does not fit the others or the summary.
    """
    sizes = {"steps": summary["n_steps"], "frames": summary["n_frames"]}
    sizes["frames and one more"] = sizes["frames"] + 1
    sizes["steps and one more"] = sizes["steps"] + 1
    for name, (dtype, shape) in shapes.items():
        kind, axis, rest = _expected(name, shape)
        size = shape[0] if shape else -1
        if dtype != kind or shape != (sizes.setdefault(axis, size), *rest):
            raise ValueError(f"{name} has the type {dtype} and the shape {shape}")
    streams = {match[1] for name in shapes if (match := _STREAM.fullmatch(name))}
    if streams != set(summary["streams"]):
        raise ValueError("it has other feature streams than its summary")
    groups = [*_GROUPS]
    groups += [
        tuple(f"feature.{name}.{part}" for part in ("values", "time_s", "step_rows"))
        for name in streams
    ]
    for group in groups:
        # the sound of a session without any sample has no step_samples
        if group[0] in shapes and not shapes.keys() >= set(group):
            raise ValueError(f"{group[0]} has no {' or '.join(set(group) - shapes.keys())}")


def _expected(name: str, shape: tuple[int, ...]) -> tuple[str, str, tuple[int, ...]]:
    if name in _TENSORS:
        return _TENSORS[name]
    match = _STREAM.fullmatch(name)
    if match is None:
        raise ValueError(f"the tensor {name!r} is unknown")
    if match[2] == "step_rows":
        return "int64", "steps", (2,)
    rows = f"rows of {match[1]}"
    return ("float64", rows, ()) if match[2] == "time_s" else ("float32", rows, shape[1:2])


def check_ranges(ranges: np.ndarray, size: int) -> None:
    """Check that ranges lie inside a tensor.

    Parameters
    ----------
    ranges : ndarray of int64, shape (N, 2)
        First row, and the row after the last one.
    size : int
        Number of rows of the tensor.

    Raises
    ------
    ValueError
        If a range begins below 0, ends before it begins, or ends behind the last row.
    """
    first, end = ranges[:, 0], ranges[:, 1]
    if len(ranges) and not ((first >= 0) & (first <= end) & (end <= size)).all():
        raise ValueError(f"it has ranges outside of {size} rows")
