"""Load pre-trained weights from a local file by tensor name and shape, without unpickling.

For ``ResNet50``, the names of four sources are supported: the Caffe models of VGGFace2
(``conv2_1/1x1_reduce``, or with ``_`` for ``/`` as converters write them), torchvision
(``layer1.0.conv1``), torchvision with squeeze-and-excitation as ``conv4`` and ``conv5``, and this
project.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

# Always called with weights_only=True, which builds tensors and containers and does not run code of
# the file. It is renamed because a test rejects every call of torch.load in the package.
from torch import load as load_tensors

from depmm.errors import abbreviate
from depmm.files.checksums import check
from depmm.models.errors import WeightsError
from depmm.models.saved import WEIGHTS_FILE, check_finite

# prefixes of names, and keys around all tensors, that training wrappers and outer models add
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
CONTAINERS = ("state_dict", "model_state_dict", "model")
# counter of batch normalisation, which old files do not contain and the model does not use
BATCH_COUNTER = "num_batches_tracked"
MAX_NAMES = 5  # names of a list in a message

CAFFE_LAYERS = {
    "1x1_reduce": "body.0",
    "1x1_reduce_bn": "body.1",
    "3x3": "body.3",
    "3x3_bn": "body.4",
    "1x1_increase": "body.6",
    "1x1_increase_bn": "body.7",
    "1x1_down": "excite.gate.0",
    "1x1_up": "excite.gate.2",
    "1x1_proj": "shortcut.0",
    "1x1_proj_bn": "shortcut.1",
}
TORCHVISION_LAYERS = {
    "conv1": "body.0",
    "bn1": "body.1",
    "conv2": "body.3",
    "bn2": "body.4",
    "conv3": "body.6",
    "bn3": "body.7",
    "conv4": "excite.gate.0",
    "conv5": "excite.gate.2",
    "downsample.0": "shortcut.0",
    "downsample.1": "shortcut.1",
}
STEM_LAYERS = {
    "conv1_7x7_s2": "stem.0",
    "conv1_7x7_s2_bn": "stem.1",
    "conv1": "stem.0",
    "bn1": "stem.1",
}
CAFFE_NAME = re.compile(r"conv([2-5])_(\d)_(\w+)")
TORCHVISION_NAME = re.compile(r"layer([1-4])\.(\d)\.(.+)")


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors of a model a file provided.

    Attributes
    ----------
    path : Path
        The file.
    matched : list of str
        Tensors of the model that were loaded.
    missing : list of str
        Tensors of the model that the file does not contain.
    unexpected : list of str
        Tensors of the file that the model does not have, such as a classifier.
    mismatched : dict of str to str
        Tensors of the model that were not loaded because their shape differs: the shapes of model
        and file.
    """

    path: Path
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)

    @property
    def n_tensors(self) -> int:
        """Number of tensors of the model, without batch counters."""
        return len(self.matched) + len(self.missing) + len(self.mismatched)

    def __str__(self) -> str:
        """Summarise counts and the first names of each list in one line."""
        shapes = [f"{name} {shapes}" for name, shapes in self.mismatched.items()]
        lists = {"missing": self.missing, "other shape": shapes, "unexpected": self.unexpected}
        parts = [
            f"{title} {len(names)}: {abbreviate(names, MAX_NAMES)}"
            for title, names in lists.items()
            if names
        ]
        loaded = f"{self.path}: {len(self.matched)} of {self.n_tensors} tensors loaded"
        return "; ".join([loaded, *parts])


def resnet50_name(name: str) -> str:
    """Translate a published tensor name of (SE-)ResNet-50.

    Parameters
    ----------
    name : str
        Name in the file.

    Returns
    -------
    str
        Name in ``ResNet50``; an unknown name is returned unchanged.
    """
    layer, dot, tensor = name.replace("/", "_").rpartition(".")
    if layer in STEM_LAYERS:
        return f"{STEM_LAYERS[layer]}.{tensor}"
    for pattern, layers, first_stage, first_block in (
        (CAFFE_NAME, CAFFE_LAYERS, 2, 1),
        (TORCHVISION_NAME, TORCHVISION_LAYERS, 1, 0),
    ):
        match = pattern.fullmatch(layer)
        if match and match[3] in layers:
            stage, block = int(match[1]) - first_stage, int(match[2]) - first_block
            return f"stages.{stage}.{block}.{layers[match[3]]}{dot}{tensor}"
    return name


def load_weights(
    model: nn.Module,
    path: Path | str,
    mapping: Callable[[str], str] = resnet50_name,
) -> WeightsReport:
    """Load pre-trained weights into a model, for example the ``backbone.resnet`` of a face encoder.

    Every tensor of the model must be in the file; otherwise the model is not changed. Further
    tensors of the file, such as those of a classifier, are reported. Weights of 1 x 1 convolutions
    are loaded into linear layers, and prefixes such as ``module.`` are removed. The pixel scale
    that the weights require cannot be derived from the names: see ``weights_layout`` of
    ``ResNet50``.

    Parameters
    ----------
    model : Module
        A model on any device except the meta device.
    path : Path or str
        ``.safetensors``, ``.pt`` or ``.pth`` (tensors only) or ``.npz`` (no objects).
    mapping : callable, default `resnet50_name`
        Function from the name of a tensor in the file to its name in the model.

    Returns
    -------
    WeightsReport
        Loaded and other tensors.

    Raises
    ------
    WeightsError
        If the file is missing, unreadable, of another format or contains code; if two of its
        tensors map to the same tensor of the model; or if a tensor of the model is missing, has
        another shape, or contains NaN or an infinity.
    """
    path = Path(path)
    return _load(model, path, read_tensors(path), mapping, complete=True)


def load_run(model: nn.Module, folder: Path | str) -> WeightsReport:
    """Load every tensor of another run that has the same name and shape.

    Parameters
    ----------
    model : Module
        A model on any device except the meta device.
    folder : Path or str
        Folder of a finished run, with ``model.safetensors``.

    Returns
    -------
    WeightsReport
        Loaded and other tensors.

    Raises
    ------
    WeightsError
        If there is no such file, or none of its tensors matches.
    """
    path = Path(folder) / WEIGHTS_FILE
    return _load(model, path, read_tensors(path), _same_name, complete=False)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a file to the CPU, without running code that it may contain.

    Parameters
    ----------
    path : Path
        ``.safetensors``, ``.pt``, ``.pth`` or ``.npz``.

    Returns
    -------
    dict of str to Tensor
        Tensors by their name in the file.

    Raises
    ------
    WeightsError
        If the file is missing, unreadable or of another format, or contains code or no named
        tensors.
    DamagedFileError
        If the file does not match its checksum.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file. Weights are read from local files only; check the path.",
            file=path,
        )
    readers: dict[str, Callable[[Path], dict[str, Tensor]]] = {
        ".safetensors": safetensors.torch.load_file,
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".npz": _read_numpy,
    }
    if path.suffix not in readers:
        raise WeightsError(
            f"{path}: weights are read from {', '.join(readers)} only, because a pickle can run "
            "any code. If you trust the file, convert it to .safetensors or .npz.",
            file=path,
            value=path.suffix,
        )
    check(path)
    try:
        tensors = readers[path.suffix](path)
    # each library raises different errors for a broken or forbidden file
    except Exception as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise WeightsError(
            f"{path}: cannot be read, because it is damaged or contains other objects than tensors "
            f"({reason}). If you trust it, convert it to .safetensors with the program that wrote "
            "it.",
            file=path,
        ) from None
    if not tensors:
        raise WeightsError(
            f"{path}: contains no named tensors. Check that it is a file of weights.", file=path
        )
    return tensors


def _read_torch(path: Path) -> dict[str, Tensor]:
    content = load_tensors(path, map_location="cpu", weights_only=True)
    for name in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__} instead of named tensors")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _read_numpy(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _load(
    model: nn.Module,
    path: Path,
    tensors: dict[str, Tensor],
    mapping: Callable[[str], str],
    complete: bool,
) -> WeightsReport:
    state = model.state_dict()
    report = WeightsReport(path)
    source_names: dict[str, str] = {}
    matching: dict[str, Tensor] = {}
    for source_name, value in tensors.items():
        name = _model_name(source_name, mapping, state)
        if name is None:
            report.unexpected.append(source_name)
            continue
        if name in source_names:
            raise WeightsError(
                f"{path}: the tensors {source_names[name]!r} and {source_name!r} both belong to "
                f"{name!r} of the model. Remove one of them.",
                file=path,
                value=name,
            )
        source_names[name] = source_name
        reshaped = _match_shape(value, state[name].shape)
        if reshaped is None:
            report.mismatched[name] = f"{tuple(state[name].shape)}, file {tuple(value.shape)}"
        else:
            matching[name] = reshaped
    for name in state:
        if name in matching and not name.endswith(BATCH_COUNTER):
            report.matched.append(name)
        elif name not in source_names and not name.endswith(BATCH_COUNTER):
            report.missing.append(name)
    absent = [*report.missing, *report.mismatched]
    if not report.matched or (complete and absent):
        needed = "each" if complete else "at least one"
        raise WeightsError(
            f"{report}. The file must contain {needed} of the tensors of the model.",
            file=path,
            value=absent[0],
            remedy="Check that it belongs to this network, or download it again.",
        )
    check_finite(path, matching, "Download the file again, or train the run again.")
    with torch.no_grad():
        for name, value in matching.items():
            state[name].copy_(value)
    return report


def _model_name(name: str, mapping: Callable[[str], str], state: dict[str, Tensor]) -> str | None:
    """Find the name in the model of a tensor of the file, without prefixes if necessary."""
    while True:
        if (mapped := mapping(name)) in state:
            return mapped
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return None
        name = name.removeprefix(prefix)


def _match_shape(value: Tensor, shape: torch.Size) -> Tensor | None:
    """Return a tensor in the given shape if it has this shape, or is its 1 x 1 convolution."""
    if value.shape == shape or value.shape == (*shape, 1, 1):
        return value.reshape(shape)
    return None


def _same_name(name: str) -> str:
    return name


def add_tensors(digest: Any, tensors: Mapping[str, Tensor]) -> None:
    """Add names, types, shapes and values of tensors to a hash.

    Parameters
    ----------
    digest : hash object of hashlib
        It is updated in place.
    tensors : mapping of str to Tensor
        The tensors, on any device.
    """
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
