"""Export the encoders and the fusion of a model to ONNX."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from depmm.config.data import DataConfig
from depmm.models.encoders.encoder import Encoder
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.mean_pool import MeanPool
from depmm.models.model import DepressionModel
from depmm.models.onnx.attention import replace_attention
from depmm.models.onnx.encoders import exported_encoder
from depmm.models.onnx.errors import OnnxError
from depmm.models.onnx.graph import compare_graph, write_graph

FUSIONS = (DepFormer, MeanPool)
RECORD = "onnx.json"
LENGTHS = ((2, 5), (1, 1), (3, 24), (2, 33))  # sessions and steps of the comparison


class ExportedFusion(nn.Module):
    """Fusion and head, from encoded steps and masks in the order of the modalities.

    Parameters
    ----------
    model : DepressionModel
        The model, in evaluation mode; it is not changed.
    exported : bool
        Whether attention is replaced by its form with tensor operations only.
    """

    def __init__(self, model: DepressionModel, exported: bool) -> None:
        super().__init__()
        self.names = list(model.encoders)
        self.model = copy.deepcopy(model)
        if exported:
            replace_attention(self.model.fusion)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Predict sessions.

        Parameters
        ----------
        *inputs : Tensor
            Features of each modality, shape (B, L, D), then their masks, shape (B, L).

        Returns
        -------
        prediction : Tensor, shape (B,)
            Probabilities or scores.
        logits : Tensor, shape (B, out)
            Input of the head.
        """
        n = len(self.names)
        features = dict(zip(self.names, inputs[:n], strict=True))
        masks = dict(zip(self.names, inputs[n:], strict=True))
        logits, _ = self.model.fuse(features, masks)
        return self.model.head.predict(logits), logits


class _Positional(nn.Module):
    """An encoder whose inputs are one tuple, as ``write_graph`` passes them."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, *inputs: Tensor) -> Tensor:
        vectors: Tensor = self.encoder(*inputs)
        return vectors


class _OnHost(nn.Module):
    """The encoder of the model, with the lengths on the host."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        vectors: Tensor = self.encoder(values, lengths.numpy())
        return vectors


def write_onnx(model: DepressionModel, data: DataConfig, folder: Path) -> dict[str, float]:
    """Write ``encoder_<modality>.onnx``, ``fusion.onnx`` and ``onnx.json``.

    Parameters
    ----------
    model : DepressionModel
        The model, in evaluation mode on the CPU.
    data : DataConfig
        What the model reads.
    folder : Path
        Folder of the graphs; it is created.

    Returns
    -------
    dict of str to float
        File of each graph -> largest difference of onnxruntime to torch.

    Raises
    ------
    OnnxError
        If a part cannot be exported, or differs by more than 1e-4.
    """
    if not isinstance(model.fusion, FUSIONS):
        kind = type(model.fusion).__name__
        raise OnnxError(
            f"The fusion {kind} cannot be exported to ONNX.",
            setting="model.fusion.kind",
            value=kind,
            remedy="These can be exported: dep_former, mean_pool. Export the run without --onnx.",
        )
    encoders = {
        name: exported_encoder(name, cast(Encoder, encoder), name in data.features)
        for name, encoder in model.encoders.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    errors, graphs = {}, {}
    for name, encoder in encoders.items():
        path = folder / f"encoder_{name}.onnx"
        inputs = [_example(data, model, name, n, size) for n, size in ((2, 3), (1, 1), (3, 2))]
        write_graph(
            _Positional(encoder), inputs[0], {"values": (0, 1), "lengths": (0,)}, ["vectors"], path
        )
        original = _OnHost(cast(Encoder, model.encoders[name]))
        errors[path.name] = compare_graph(original, inputs, path)
        graphs[path.name] = _describe(inputs[0], {"values": ("N", "T"), "lengths": ("N",)})
    path = folder / "fusion.onnx"
    n_steps = getattr(model.fusion, "num_steps", None)
    sizes = [(batch, n_steps or length) for batch, length in LENGTHS]
    examples = [_encoded(model, batch, length) for batch, length in sizes]
    dims = (0,) if n_steps else (0, 1)
    write_graph(
        ExportedFusion(model, True).eval(), examples[0], dict.fromkeys(examples[0], dims),
        ["prediction", "logits"], path,
    )  # fmt: skip
    errors[path.name] = compare_graph(ExportedFusion(model, False).eval(), examples, path)
    axes = ("B",) if n_steps else ("B", "L")
    graphs[path.name] = _describe(examples[0], dict.fromkeys(examples[0], axes))
    record = {"format_version": 1, "graphs": graphs, "preprocessing": _preprocessing(data, model)}
    text = json.dumps(record | {"largest_difference": errors}, indent=1)
    (folder / RECORD).write_text(text, encoding="utf-8")
    return errors


def _example(
    data: DataConfig, model: DepressionModel, name: str, n: int, size: int
) -> dict[str, Tensor]:
    """Make values and lengths of ``n`` steps; ``size`` is the padded number of crops or rows."""
    generator = torch.Generator().manual_seed(size)
    if name in data.features:
        n_features = len(cast(Any, model.encoders[name]).mean)
        values = torch.randn(n, 9 * size, n_features, generator=generator)
        values[0, 0, 0] = torch.nan
        longest = 9 * size
    elif data.signal_of(name).track == "face":
        shape = (n, size, 3, data.face_size, data.face_size)
        values = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        longest = size
    else:
        longest = 4000 * size
        values = 0.1 * torch.randn(n, longest, generator=generator)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    lengths[0] = longest
    if values.dim() == 2:
        values = values * (torch.arange(longest) < lengths.unsqueeze(1))
    return {"values": values, "lengths": lengths}


def _encoded(model: DepressionModel, batch: int, length: int) -> dict[str, Tensor]:
    """Make encoded steps with missing ones; the last session has one modality only."""
    generator = torch.Generator().manual_seed(length)
    features, masks = {}, {}
    for index, (name, encoder) in enumerate(model.encoders.items()):
        dim = cast(Encoder, encoder).embed_dim
        features[f"features_{name}"] = torch.randn(batch, length, dim, generator=generator)
        mask = torch.rand(batch, length, generator=generator) < 0.7
        mask[:, 0] = True
        if index and batch > 2:
            mask[-1] = False
        masks[f"mask_{name}"] = mask
    return features | masks


def _describe(
    example: Mapping[str, Tensor], axes: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Describe the inputs: type, and shape with names of the sizes that may differ."""
    return {
        name: {
            "type": str(value.dtype).removeprefix("torch."),
            "shape": [*axes[name], *value.shape[len(axes[name]) :]],
        }
        for name, value in example.items()
    }


def _preprocessing(data: DataConfig, model: DepressionModel) -> dict[str, Any]:
    """State what a program has to do before it runs the graphs."""
    return {
        "sample_rate_hz": 16_000,
        "waveform": "mono, float32 in [-1, 1], zero after the number of valid samples",
        "crops": "RGB, uint8, aligned faces as depmm extract makes them; graphs scale them",
        "face_size": data.face_size,
        "frames_per_step": data.frames_per_step,
        "max_audio_s": data.max_audio_s,
        "remove_silence": data.remove_silence,
        "rows": "features of a stream, NaN where invalid",
        "features": "vectors of the steps in order, zero where the mask is false",
        "prediction": "probability, or score in score_range; inference.json has its calibration",
        "score_range": list(model.config.score_range),
    }
