"""Check which stages of the pipeline can run on this computer."""

import importlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

from depmm.media.identity.known_models import FACE_MODEL, VOICE_MODEL, IdentityModel
from depmm.media.video.face_landmarker import LANDMARKER_VARIABLE, landmarker_candidates
from depmm.media.video.opencv import SYSTEM_LIBRARIES
from depmm.models.errors import TORCHAUDIO_REMEDY

# library -> stages that need it; the check imports each library, because some need system libraries
LIBRARIES = {
    "av": "index, audit, extract, predict",
    "soundfile": "index, extract, predict",
    "cv2": "simulate, extract, train, predict (faces)",
    "mediapipe": "extract, predict (faces)",
    "torch": "train, evaluate, explain, predict",
    "torchaudio": "train, explain, predict",
    "transformers": "train, explain, predict",
    "accelerate": "train",
}
# extra of the package -> its modules, and what needs it; none of them is imported
EXTRAS = {
    "steps": (("silero_vad", "pocketsphinx"), "steps"),
    "tuning": (("optuna",), "train (tuning.method random, tpe)"),
    "serve": (("starlette", "uvicorn", "python_multipart"), "serve"),
    "onnx": (("onnx", "onnxruntime", "onnxscript"), "export --onnx"),
    "lora": (("peft",), "train (low-rank adaptation)"),
    "egemaps": (("opensmile",), "measures --set egemaps"),
}
DISTRIBUTIONS = {"cv2": "opencv-contrib-python"}  # where it is not named like the library


@dataclass(frozen=True)
class Check:
    """The result for one component.

    Attributes
    ----------
    status : {"ok", "note", "missing"}
        ``missing`` if the stages cannot run; ``note`` if they can run after a download, and for
        extras that are not installed.
    component : str
        Library, model or device.
    stages : str
        Commands that need it.
    detail : str
        Version, path, or what is wrong.
    remedy : str
        What to do; empty if the component is usable.
    """

    status: Literal["ok", "note", "missing"]
    component: str
    stages: str
    detail: str
    remedy: str = ""


def check_environment() -> list[Check]:
    """Check libraries, extras, models and devices.

    Returns
    -------
    list of Check
        One result per component.
    """
    checks = [_check_library(name, stages) for name, stages in LIBRARIES.items()]
    checks += [_check_extra(extra) for extra in EXTRAS]
    checks.append(_check_face_model())
    checks += [_check_identity_model(model) for model in (VOICE_MODEL, FACE_MODEL)]
    if any(check.component == "torch" and check.status == "ok" for check in checks):
        checks.append(_check_devices())
    return checks


def format_checks(checks: list[Check]) -> list[str]:
    """Format the results as a table.

    Parameters
    ----------
    checks : list of Check
        From :func:`check_environment`.

    Returns
    -------
    list of str
        The lines of the table.
    """
    rows = [("status", "component", "needed by", "detail")]
    rows += [
        (
            check.status,
            check.component,
            check.stages,
            f"{check.detail} Remedy: {check.remedy}" if check.remedy else check.detail,
        )
        for check in checks
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
    return [
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        *lines,
    ]


def _check_library(name: str, stages: str) -> Check:
    try:
        importlib.import_module(name)
        return Check("ok", name, stages, version(DISTRIBUTIONS.get(name, name)))
    except (ImportError, OSError, RuntimeError) as error:
        remedy = f"pip install {name}"
        if name in ("cv2", "mediapipe"):
            remedy = SYSTEM_LIBRARIES
        elif name == "torchaudio" and not isinstance(error, ImportError):  # it is installed
            remedy = TORCHAUDIO_REMEDY
        return Check("missing", name, stages, f"{error}.", remedy)


def _check_extra(extra: str) -> Check:
    modules, stages = EXTRAS[extra]
    absent = [name for name in modules if find_spec(name) is None]
    component = f"extra {extra}"
    if not absent:
        return Check("ok", component, stages, "installed")
    remedy = f'pip install "depmm[{extra}]"'
    return Check("note", component, stages, f"without {', '.join(absent)}.", remedy)


def _check_face_model() -> Check:
    component, stages = "face model", "extract, predict (faces)"
    for path in landmarker_candidates():
        if path.is_file():
            return Check("ok", component, stages, str(path))
    return Check(
        "note",
        component,
        stages,
        "not on this computer; it is downloaded when it is first needed.",
        f"without internet access, set {LANDMARKER_VARIABLE} to a face_landmarker.task file",
    )


def _check_identity_model(model: IdentityModel) -> Check:
    stages = "audit --identity" + (", steps --speakers voices" if model is VOICE_MODEL else "")
    for path in model.candidates():
        if path.is_file():
            return Check("ok", model.name, stages, str(path))
    remedy = f"{model.command}; without internet access, set {model.variable} to {model.file}"
    return Check("note", model.name, stages, "not on this computer.", remedy)


def _check_devices() -> Check:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    detail = ", ".join(names) or f"CPU, {torch.get_num_threads()} threads"
    return Check("ok", "devices", "train, explain, predict", detail)
