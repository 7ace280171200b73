"""Pre-trained weights from a local file: matched by name and shape, reported, never unpickled.

Names that are understood for ``ResNet50``: the Caffe ones of VGGFace2 (``conv2_1/1x1_reduce``, or
with ``_`` for ``/`` as converters write them), those of torchvision (``layer1.0.conv1``), the same
with squeeze-and-excitation as ``conv4`` and ``conv5``, and our own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

# Always called with weights_only=True, which builds tensors and containers and runs no code of the
# file. The other name is for the test that finds every plain call in the package.
from torch import load as load_tensors

RUN_WEIGHTS = "model.safetensors"
# what training wrappers and surrounding models put before a name, and around all tensors
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
CONTAINERS = ("state_dict", "model_state_dict", "model")
COUNTER = "num_batches_tracked"  # of batch normalisation; old files lack it and nothing reads it
SHOWN = 5  # names of a list in a message

CAFFE_PARTS = {
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
TORCHVISION_PARTS = {
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
STEMS = {"conv1_7x7_s2": "stem.0", "conv1_7x7_s2_bn": "stem.1", "conv1": "stem.0", "bn1": "stem.1"}
CAFFE_NAME = re.compile(r"conv([2-5])_(\d)_(\w+)")
TORCHVISION_NAME = re.compile(r"layer([1-4])\.(\d)\.(.+)")


@dataclass(frozen=True)
class WeightsReport:
    """What a file gave to a model.

    Attributes
    ----------
    path : the file
    matched : tensors of the model that were taken over
    missing : tensors of the model that the file lacks
    unexpected : tensors of the file that the model lacks, such as a classifier
    mismatched : tensor of the model -> its shape and the file's; not taken over
    """

    path: Path
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of the model's tensors that were taken over; 0 for a model without any."""
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        return len(self.matched) / total if total else 0.0

    def __str__(self) -> str:
        """Put counts and the first names of each list into one line."""
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        shapes = [f"{name} {shapes}" for name, shapes in self.mismatched.items()]
        lists = {"missing": self.missing, "other shape": shapes, "unexpected": self.unexpected}
        parts = [f"{what} {len(names)}: {_first(names)}" for what, names in lists.items() if names]
        return "; ".join([f"{self.path}: {len(self.matched)} of {total} tensors loaded", *parts])


def resnet50_name(name: str) -> str:
    """Translate a published tensor name of (SE-)ResNet-50; others are returned as they are."""
    layer, dot, tensor = name.replace("/", "_").rpartition(".")
    if layer in STEMS:
        return f"{STEMS[layer]}.{tensor}"
    for pattern, parts, first_stage, first_block in (
        (CAFFE_NAME, CAFFE_PARTS, 2, 1),
        (TORCHVISION_NAME, TORCHVISION_PARTS, 1, 0),
    ):
        found = pattern.fullmatch(layer)
        if found and found[3] in parts:
            stage, block = int(found[1]) - first_stage, int(found[2]) - first_block
            return f"stages.{stage}.{block}.{parts[found[3]]}{dot}{tensor}"
    return name


def load_weights(
    model: nn.Module,
    path: Path | str,
    mapping: Callable[[str], str] = resnet50_name,
    minimum: float = 0.9,
) -> WeightsReport:
    """Load pre-trained weights into a model, e.g. the ``backbone.resnet`` of a face encoder.

    A poor match changes nothing. 1 x 1 convolutions fit linear layers; a prefix such as ``module.``
    is stripped. The names do not tell how the weights want their pixels: see ``ResNet50``, layout.

    Parameters
    ----------
    model : on any device, but not on the meta device
    path : ``.safetensors``, ``.pt`` or ``.pth`` (tensors only) or ``.npz`` (no objects)
    mapping : name in the file -> name in the model
    minimum : share of the model's tensors that must match in name and shape

    Raises
    ------
    ValueError : the file is missing, unreadable, of another kind or holds code; two of its tensors
        have one name here; fewer than ``minimum`` match
    """
    path = Path(path)
    return _load(model, path, read_tensors(path), mapping, minimum)


def load_run(model: nn.Module, folder: Path | str) -> WeightsReport:
    """Carry over what fits from another run: the same names and shapes, whatever else differs.

    Parameters
    ----------
    model : on any device, but not on the meta device
    folder : of a finished run, with ``model.safetensors``

    Raises
    ------
    ValueError : there is no such file, or nothing in it fits
    """
    path = Path(folder) / RUN_WEIGHTS
    return _load(model, path, read_tensors(path), _same, 0.0)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a file to the CPU, without running any code that it may hold.

    Raises
    ------
    ValueError : as ``load_weights``
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file. Weights are read from local files only.")
    readers: dict[str, Callable[[Path], dict[str, Tensor]]] = {
        ".safetensors": safetensors.torch.load_file,
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".npz": _read_numpy,
    }
    if path.suffix not in readers:
        raise ValueError(
            f"{path}: weights are read from {', '.join(readers)}, not {path.suffix or 'this'}. "
            "A pickle can run any code: convert it to .safetensors or .npz where you trust it."
        )
    try:
        tensors = readers[path.suffix](path)
    # every library has errors of its own for a broken or forbidden file
    except Exception as error:
        raise ValueError(
            f"{path}: refused, or broken: it does not hold tensors alone "
            f"({str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}). "
            "If you trust it, convert it to .safetensors with the program that wrote it."
        ) from None
    if not tensors:
        raise ValueError(f"{path}: there are no named tensors in it")
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
    minimum: float,
) -> WeightsReport:
    own = model.state_dict()
    report = WeightsReport(path)
    found: dict[str, str] = {}
    fitting: dict[str, Tensor] = {}
    for name, value in tensors.items():
        target = _target(name, mapping, own)
        if target is None:
            report.unexpected.append(name)
            continue
        if target in found:
            raise ValueError(f"{path}: {found[target]!r} and {name!r} are both {target!r} here")
        found[target] = name
        fitted = _fit(value, own[target].shape)
        if fitted is None:
            report.mismatched[target] = f"{tuple(own[target].shape)}, file {tuple(value.shape)}"
        else:
            fitting[target] = fitted
    for name in own:
        if name in fitting and not name.endswith(COUNTER):
            report.matched.append(name)
        elif name not in found and not name.endswith(COUNTER):
            report.missing.append(name)
    if not report.matched or report.share < minimum:
        raise ValueError(
            f"{report}. Only {report.share:.0%} of the model would be loaded (at least "
            f"{minimum:.0%} must be): is this the file of another network?"
        )
    with torch.no_grad():
        for name, value in fitting.items():
            own[name].copy_(value)
    return report


def _target(name: str, mapping: Callable[[str], str], own: dict[str, Tensor]) -> str | None:
    """Find the model's name of a tensor, without the file's prefixes if need be."""
    while True:
        if (mapped := mapping(name)) in own:
            return mapped
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return None
        name = name.removeprefix(prefix)


def _fit(value: Tensor, shape: torch.Size) -> Tensor | None:
    """Give a tensor the shape of ours if it is the same or a 1 x 1 convolution of it."""
    if value.shape == shape or value.shape == (*shape, 1, 1):
        return value.reshape(shape)
    return None


def _same(name: str) -> str:
    return name


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
