"""DepMamba: convolutions and bidirectional Mamba per modality, then over all modalities.

Each modality is projected to one size. Collaborative blocks follow: a convolution over three steps,
then Mamba scans whose rates of decay are shared by the modalities. The modalities are concatenated
for an enhanced block of the same kind, and one layer predicts from the mean over steps.

Layers and sizes are those of the authors' code (github.com/Jiaxin-Ye/DepMamba), for any number of
modalities. Its 7.7 M parameters for D-Vlog include 1,049,344 of a strided convolution and its
normalisation that the code builds but never calls (``a_downsample``); it is left out here, which
leaves 6,664,961. Deviations:

- Missing steps: the scans pass them, convolutions read zeros, batch normalisation and mean ignore
  them. The code knows padding at the end only, which its backward scan and its batch normalisation
  read.

References
----------
Ye et al., "DepMamba: progressive fusion Mamba for multimodal depression detection", arXiv
2409.15936, Secs. II-B (hierarchical contextual modelling) and II-C (progressive fusion).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from depmm.models.batch_norm import MaskedBatchNorm1d
from depmm.models.fusion.dep_former.layers import zero_missing
from depmm.models.fusion.mamba import BidirectionalMamba
from depmm.models.masking import masked_mean


class LocalConvolution(nn.Module):
    """Convolution over three steps with batch normalisation and a residual connection.

    Parameters
    ----------
    in_dim, out_dim : int
        Input and output size; if they differ, the residual is projected.
    dropout : float
        Dropout probability before the addition.
    """

    def __init__(self, in_dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_dim, out_dim, 3, padding=1, bias=False)
        nn.init.xavier_uniform_(self.convolution.weight)
        self.norm = MaskedBatchNorm1d(out_dim)
        self.dropout = nn.Dropout(dropout)
        self.residual = nn.Identity() if in_dim == out_dim else nn.Linear(in_dim, out_dim, False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Convolve the steps.

        Parameters
        ----------
        x : Tensor, shape (B, L, in_dim)
            Steps, zero where missing.
        mask : Tensor, shape (B, L), bool, or None
            Existing steps; None if all exist.

        Returns
        -------
        Tensor, shape (B, L, out_dim)
            Convolved steps, zero where missing.
        """
        local = functional.relu(self.norm(self.convolution(x.transpose(1, 2)), mask))
        local = self.dropout(local.transpose(1, 2))
        return zero_missing(self.residual(x) + local, mask)


class HierarchicalBlock(nn.Module):
    """Local convolution, then Mamba over all steps, each with a residual connection.

    Parameters
    ----------
    modalities : list of str
        Names of the modalities.
    in_dim, out_dim : int
        Input and output size.
    expand, state_dim, conv_width : int
        Sizes of the scans, see ``BidirectionalMamba``.
    dropout : float
        Dropout probability of the convolutions.
    """

    def __init__(
        self,
        modalities: list[str],
        in_dim: int,
        out_dim: int,
        expand: int,
        state_dim: int,
        conv_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.local = nn.ModuleDict(
            {name: LocalConvolution(in_dim, out_dim, dropout) for name in modalities}
        )
        self.scan = BidirectionalMamba(modalities, out_dim, expand, state_dim, conv_width)
        self.norms = nn.ModuleDict({name: nn.LayerNorm(out_dim, eps=1e-6) for name in modalities})

    def forward(self, x: dict[str, Tensor], masks: dict[str, Tensor | None]) -> dict[str, Tensor]:
        """Transform the steps of each modality.

        Parameters
        ----------
        x : dict of str to Tensor, shape (B, L, in_dim)
            Steps, zero where missing.
        masks : dict of str to Tensor, shape (B, L), bool, or None
            Existing steps; None if all exist.

        Returns
        -------
        dict of str to Tensor, shape (B, L, out_dim)
            Transformed steps, zero where missing.
        """
        x = {name: layer(x[name], masks[name]) for name, layer in self.local.items()}
        scanned = self.scan(x, masks)
        return {
            name: zero_missing(x[name] + norm(scanned[name]), masks[name])
            for name, norm in self.norms.items()
        }


class DepMamba(nn.Module):
    """Predict a session with progressive fusion of state-space models.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.
    embed_dim : int
        Size to which each modality is projected.
    layers : list of int
        Output size of each collaborative block.
    expand, state_dim, conv_width : int
        Sizes of the scans, see ``BidirectionalMamba``.
    dropout : float
        Dropout probability of the convolutions.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        out_features: int,
        embed_dim: int,
        layers: list[int],
        expand: int,
        state_dim: int,
        conv_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        projections = {n: nn.Linear(in_dims[n], embed_dim, bias=False) for n in self.modalities}
        for projection in projections.values():
            nn.init.xavier_uniform_(projection.weight)
        self.projections = nn.ModuleDict(projections)
        scan = (expand, state_dim, conv_width, dropout)
        self.collaborative = nn.ModuleList(
            HierarchicalBlock(self.modalities, in_dim, out_dim, *scan)
            for in_dim, out_dim in zip([embed_dim, *layers[:-1]], layers, strict=True)
        )
        width = layers[-1] * len(self.modalities)
        self.enhanced = HierarchicalBlock(["multimodal"], width, width, *scan)
        self.output_layer = nn.Linear(width, out_features)

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
            One entry, ``multimodal``, which is ``fused``: the enhanced block mixes the modalities.
        """
        used = {name: None if complete else masks[name] for name in self.modalities}
        x = {
            name: layer(zero_missing(features[name], used[name]))
            for name, layer in self.projections.items()
        }
        for block in self.collaborative:
            x = block(x, used)
        present = None
        if not complete:
            present = torch.stack([masks[name] for name in self.modalities]).any(dim=0)
        joined = torch.cat([x[name] for name in self.modalities], dim=-1)
        steps = self.enhanced({"multimodal": joined}, {"multimodal": present})["multimodal"]
        fused = self.output_layer(masked_mean(steps, present))
        return fused, {"multimodal": fused}
