"""The weights of the face encoder: download from the npm package of face-api.

The weights are those of dlib, which their author published under CC0 1.0; the package contains them
with 8 bits per number. It is fetched with npm, so that your registry and proxy are used, and
neither installed nor run.
"""

import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depmm.media.errors import MediaError
from depmm.media.identity.face_encoder import LEVELS, FaceEncoder
from depmm.media.identity.known_models import FACE_MODEL
from depmm.media.identity.model_files import (
    MAX_BYTES,
    check_tensors,
    load_model,
    read_package,
    write_model,
)

PACKAGE = FACE_MODEL.source
TARBALL_SHA256 = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
MANIFEST_FILE = "package/model/face_recognition_model-weights_manifest.json"
WEIGHTS_FILE = "package/model/face_recognition_model.bin"


def load_face_encoder() -> FaceEncoder:
    """Load the face encoder with its weights.

    Returns
    -------
    FaceEncoder
        The network in evaluation mode.

    Raises
    ------
    MediaError
        If the weights are not on this computer, or are damaged.
    """
    network = FaceEncoder()
    load_model(FACE_MODEL, network)
    return network


def download_face_model(package: Path | None = None) -> Path:
    """Fetch the weights of the face encoder and keep them in the cache.

    Parameters
    ----------
    package : Path, optional
        The tarball of face-api 1.7.15 that you have; nothing is downloaded.

    Returns
    -------
    Path
        The weights, in safetensors format.

    Raises
    ------
    MediaError
        If the download fails, or the package has the wrong hash.
    """
    if package is not None:
        return _keep(package)
    with tempfile.TemporaryDirectory() as folder:
        return _keep(_fetch(Path(folder)))


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise MediaError(PACKAGE, "npm, which downloads it, is not installed.", _remedy())
    options = ["--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    result = subprocess.run(
        [npm, "pack", *options, PACKAGE],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    tarballs = sorted(folder.glob("*.tgz"))
    if result.returncode or len(tarballs) != 1:
        raise MediaError(PACKAGE, "npm cannot download it.", _remedy(), value=result.returncode)
    return tarballs[0]


def _remedy() -> str:
    return (
        f"On a computer with npm and internet access, run npm pack {PACKAGE}, copy the file, and "
        f"run {FACE_MODEL.command} --package PATH."
    )


def _keep(package: Path) -> Path:
    """Check the package, and write the tensors to the cache."""
    remedy = _remedy()
    content = read_package(package, TARBALL_SHA256, remedy)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as files:
            manifest = json.loads(_read(files, MANIFEST_FILE))
            tensors = convert_weights(read_weights(manifest, _read(files, WEIGHTS_FILE)))
    except (tarfile.TarError, OSError, KeyError, TypeError, ValueError) as error:
        raise MediaError(package, f"the weights cannot be read ({error}).", remedy) from None
    check_tensors(FACE_MODEL, FaceEncoder(), tensors, package)
    return write_model(FACE_MODEL, tensors)


def _read(files: tarfile.TarFile, name: str) -> bytes:
    file = files.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read(MAX_BYTES)


def read_weights(manifest: Any, data: bytes) -> dict[str, np.ndarray]:
    """Read weights in the format of TensorFlow.js.

    Parameters
    ----------
    manifest : list of dict
        Content of the manifest: names, shapes and quantisation of the weights.
    data : bytes
        The weights, one after the other: float32, or uint8 of which the value is ``scale * x +
        min``.

    Returns
    -------
    dict of str to ndarray of float64
        Weights by name.

    Raises
    ------
    ValueError
        If the data have another length than the manifest states.
    """
    weights, position = {}, 0
    for entry in manifest[0]["weights"]:
        shape = tuple(entry["shape"])
        quantization = entry.get("quantization")
        kind = np.dtype(np.uint8 if quantization else "<f4")
        values = np.frombuffer(data, kind, int(np.prod(shape)), position).astype(np.float64)
        position += values.size * kind.itemsize
        if quantization:
            values = values * quantization["scale"] + quantization["min"]
        weights[str(entry["name"])] = values.reshape(shape)
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes are left over")
    return weights


def convert_weights(weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Convert the weights to those of :class:`depmm.media.identity.face_encoder.FaceEncoder`.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Weights by the name of face-api: filters have the order height, width, channels in and out.

    Returns
    -------
    dict of str to Tensor
        Each affine layer is multiplied into the convolution before it.
    """
    sources = {"stem": "conv32_down"}
    for index, name in enumerate(_block_names()):
        for part in ("conv1", "conv2"):
            sources[f"blocks.{index}.{part}"] = f"{name}/{part}"
    arrays = {"linear.weight": weights["fc"].T}
    for target, source in sources.items():
        scale, shift = weights[f"{source}/scale/weights"], weights[f"{source}/scale/biases"]
        filters = weights[f"{source}/conv/filters"] * scale
        arrays[f"{target}.weight"] = filters.transpose(3, 2, 0, 1)
        arrays[f"{target}.bias"] = weights[f"{source}/conv/bias"] * scale + shift
    return {
        name: torch.from_numpy(np.ascontiguousarray(array, np.float32))
        for name, array in arrays.items()
    }


def _block_names() -> list[str]:
    names = []
    for level, (channels, n_blocks, halves) in enumerate(LEVELS):
        last = level == len(LEVELS) - 1
        first = f"conv{channels}_down{'_out' if last else ''}"
        names += [first] if halves else []
        names += [f"conv{channels}_{index + 1}" for index in range(n_blocks - halves)]
    return names
