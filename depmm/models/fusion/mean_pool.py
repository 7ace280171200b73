"""Late fusion: masked mean over steps, one linear prediction per modality, averaged."""

import torch
from torch import Tensor, nn

from depmm.models.masking import masked_mean


class MeanPool(nn.Module):
    """Predict from the mean step of each modality and average over modalities with equal weights.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.
    dropout : float
        Dropout probability of the pooled features.
    """

    def __init__(self, in_dims: dict[str, int], out_features: int, dropout: float) -> None:
        super().__init__()
        self.output_layers = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, out_features))
                for name, dim in sorted(in_dims.items())
            }
        )

    def forward(
        self, features: dict[str, Tensor], masks: dict[str, Tensor], complete: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict from encoded steps.

        Parameters
        ----------
        features : dict of str to Tensor, shape (B, L, in_dim)
            Features of each step, for each modality.
        masks : dict of str to Tensor, shape (B, L), bool
            Steps that have the modality.
        complete : bool, default False
            Whether every session has every step in every modality, so that no mask is needed.

        Returns
        -------
        fused : Tensor, shape (B, out)
            Logits of each session.
        branch_logits : dict of str to Tensor, shape (B, out)
            Logits of each modality.
        """
        logits = {
            name: layer(masked_mean(features[name], None if complete else masks[name]))
            for name, layer in self.output_layers.items()
        }
        stacked = torch.stack([logits[name] for name in self.output_layers], dim=1)
        if complete:
            return stacked.mean(dim=1), logits
        present = torch.stack([masks[name].any(dim=1) for name in self.output_layers], dim=1)
        return masked_mean(stacked, present), logits
