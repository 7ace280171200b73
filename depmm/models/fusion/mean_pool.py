"""Masked mean over steps, one linear prediction per modality, averaged: late fusion."""

import torch
from torch import Tensor, nn

from depmm.models.masking import masked_mean


class MeanPool(nn.Module):
    """Predict from the mean step of each modality; modalities vote with equal weight.

    Parameters
    ----------
    in_dims : width of each modality's step features
    out_features : numbers predicted per session
    dropout : on the pooled features
    """

    def __init__(self, in_dims: dict[str, int], out_features: int, dropout: float = 0.1):
        super().__init__()
        self.predict = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, out_features))
                for name, dim in sorted(in_dims.items())
            }
        )

    def forward(
        self, features: dict[str, Tensor], masks: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict; shapes as in ``DepFormer.forward``."""
        logits = {
            name: predict(masked_mean(features[name], masks[name]))
            for name, predict in self.predict.items()
        }
        stacked = torch.stack([logits[name] for name in self.predict], dim=1)
        present = torch.stack([masks[name].any(dim=1) for name in self.predict], dim=1)
        return masked_mean(stacked, present), logits
