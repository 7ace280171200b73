"""Tiny models on step features, and a reference of step removal, for tests of attributions."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from depmm.config import ModelConfig
from depmm.interpret.attribution.methods import TRAINING
from depmm.interpret.attribution.removal import Reference
from depmm.models.model import DepressionModel, build_model

WIDTHS = {"audio": 6, "face": 4}
DEP_FORMER = {
    "kind": "dep_former",
    "adapter_hidden_dim": 12,
    "adapter_dim": 6,
    "embed_dim": 8,
    "n_heads": 2,
    "head_dim": 4,
    "ffn_dim": 8,
    "layers": [1, 1],
    "sampling_factor": 1,
}
MEAN_POOL = {"kind": "mean_pool", "dropout": 0.0}


def tiny_model(
    fusion: dict, modalities: tuple[str, ...] = ("audio", "face"), center: bool = False, **task
) -> DepressionModel:
    torch.manual_seed(0)
    encoders = {
        "audio": {"kind": "mfcc_cnn", "channels": [4], "embed_dim": WIDTHS["audio"]},
        "face": {
            "kind": "se_resnet", "blocks": [1], "channels": [4], "reduction": 2,
            "embed_dim": WIDTHS["face"],
        },
    }  # fmt: skip
    settings = ModelConfig(
        encoders={name: encoders[name] for name in modalities},
        fusion=fusion,
        subtract_session_mean=center,
    )
    return build_model(settings, **task).eval()


def sessions(
    lengths: list[int], modalities: tuple[str, ...] = ("audio", "face"), padding: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Draw random sessions; a session of given length does not depend on batch and padding."""
    size = max(lengths) + padding
    features, masks = {}, {}
    for name in modalities:
        x = torch.full((len(lengths), size, WIDTHS[name]), float("nan"))
        for row, length in enumerate(lengths):
            generator = torch.Generator().manual_seed(100 * length + WIDTHS[name])
            x[row, :length] = 2 * torch.randn(length, WIDTHS[name], generator=generator)
        features[name] = x
        masks[name] = torch.arange(size) < torch.tensor(lengths)[:, None]
    return features, masks


def kept_logit(model, features, masks, row: int, kept: set[int]) -> float:
    """Compute the logit of a session in which its mean step replaces the other steps."""
    x = {name: value[row : row + 1].clone() for name, value in features.items()}
    mask = {name: value[row : row + 1] for name, value in masks.items()}
    for name in x:
        steps = mask[name][0].nonzero()[:, 0].tolist()
        for step in set(steps) - kept:
            x[name][0, step] = features[name][row, steps].mean(dim=0)
    with torch.no_grad():
        return model.head.logit(model.fuse(x, mask)[0]).item()


def training_reference(features: dict[str, Tensor], seed: int = 0) -> Reference:
    """Draw a reference outside the sessions."""
    generator = torch.Generator().manual_seed(seed)
    steps = {
        name: torch.randn(x.shape, generator=generator, dtype=x.dtype)
        for name, x in features.items()
    }
    shape = next(iter(features.values())).shape[:2]
    return Reference(TRAINING, steps, np.full(shape, "training word"))


def summing_model(weights: dict[str, float]) -> SimpleNamespace:
    """Build a model whose logit is the weighted sum of the modalities' mean steps."""

    def fuse(features, masks):
        total = 0.0
        for name, weight in weights.items():
            mask = masks[name].unsqueeze(-1)
            mean = torch.where(mask, features[name], 0.0).sum((1, 2)) / mask.sum((1, 2)).clamp(1)
            total = total + weight * mean
        return total.unsqueeze(-1), {}

    head = SimpleNamespace(logit=lambda x: x.squeeze(-1), out_features=1)
    return SimpleNamespace(fuse=fuse, head=head, parameters=lambda: iter([torch.zeros(1)]))


def get_values(table: pd.DataFrame, column: str, row: int = 0) -> np.ndarray:
    """Return the values of a session in the order of its steps."""
    return table[table["row"] == row].sort_values("step")[column].to_numpy()
