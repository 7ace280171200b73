"""Gated multimodal unit: at each step, gates weight the modalities dimension by dimension.

The unit is applied to each step, its output is averaged over the steps of a session, and one linear
layer predicts. The unit fuses single items in the paper, which has no sequences: steps and mean are
a decision of this project. Its classifier after the unit (two maxout layers with batch
normalisation) is not used: a session has one label here, not 23 genres.

References
----------
Arevalo et al., "Gated multimodal units for information fusion", ICLR workshop 2017, Eqs. (1) to (4)
for two modalities and Fig. 2a for any number. The authors' code computes the gates from the
projected modalities; here they are computed from the inputs, as in the equations.
"""

import torch
from torch import Tensor, nn

from depmm.models.fusion.dep_former.layers import zero_missing
from depmm.models.masking import masked_mean

SMALLEST_SUM = 1e-6  # of the gates of the present modalities, below which they are not scaled


class GatedMultimodalUnit(nn.Module):
    """Weight the modalities of each step with gates (Arevalo et al., 2017, Fig. 2).

    With inputs ``x_i``, ``h_i = tanh(W_i x_i)`` and ``z_i = sigmoid(Z_i [x_1, ..., x_k])``, the
    output is ``sum_i z_i * h_i``. Two modalities have one gate, ``z_2 = 1 - z_1`` (Eqs. 3 and 4);
    one modality has none. If modalities are missing, the gates of the others are scaled so that the
    sum of the gates stays the same.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    hidden_dim : int
        Output size, `D`.
    """

    def __init__(self, in_dims: dict[str, int], hidden_dim: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleDict(
            {name: nn.Linear(dim, hidden_dim, bias=False) for name, dim in in_dims.items()}
        )
        names = list(in_dims)
        gated = names[: {1: 0, 2: 1}.get(len(names), len(names))]
        total = sum(in_dims.values())
        self.gates = nn.ModuleDict({n: nn.Linear(total, hidden_dim, bias=False) for n in gated})

    def forward(self, x: dict[str, Tensor], present: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute hidden features and gates.

        Parameters
        ----------
        x : dict of str to Tensor, shape (B, L, in_dim)
            Features of each step, zero where the modality is missing.
        present : Tensor, shape (B, L, K), bool, or None
            Modalities of each step; None if every step has all.

        Returns
        -------
        hidden : Tensor, shape (B, L, K, D)
            ``h_i`` of each modality.
        gates : Tensor, shape (B, L, K, D)
            ``z_i`` of each modality; zero where it is missing.
        """
        hidden = torch.stack([torch.tanh(layer(x[n])) for n, layer in self.hidden.items()], dim=2)
        if not self.gates:
            gates = torch.ones_like(hidden)
        else:
            joined = torch.cat([x[name] for name in self.hidden], dim=-1)
            z = [torch.sigmoid(layer(joined)) for layer in self.gates.values()]
            gates = torch.stack(z if len(z) > 1 else [z[0], 1 - z[0]], dim=2)
        if present is None:
            return hidden, gates
        kept = gates * present.unsqueeze(-1)
        scale = gates.sum(2, keepdim=True) / kept.sum(2, keepdim=True).clamp(min=SMALLEST_SUM)
        return hidden, kept * scale


class GatedMultimodalFusion(nn.Module):
    """Fuse each step with a gated multimodal unit, average the steps and predict.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.
    hidden_dim : int
        Output size of the unit (512 in the paper's experiment).
    dropout : float
        Dropout probability of the averaged steps.
    """

    def __init__(
        self, in_dims: dict[str, int], out_features: int, hidden_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        self.unit = GatedMultimodalUnit({n: in_dims[n] for n in self.modalities}, hidden_dim)
        self.output_layer = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_dim, out_features))

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
            Logits of the hidden features of each modality, without gate.
        """
        used = {name: None if complete else masks[name] for name in self.modalities}
        x = {name: zero_missing(features[name], mask) for name, mask in used.items()}
        present = None
        if not complete:
            present = torch.stack([masks[name] for name in self.modalities], dim=-1)
        hidden, gates = self.unit(x, present)
        steps = None if present is None else present.any(dim=-1)
        fused = self.output_layer(masked_mean((hidden * gates).sum(2), steps))
        branches = {
            name: self.output_layer(masked_mean(h, used[name]))
            for name, h in zip(self.modalities, hidden.unbind(2), strict=True)
        }
        return fused, branches
