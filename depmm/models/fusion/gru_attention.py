"""Bidirectional GRU with additive attention over the steps of each modality, then concatenation.

Recurrent networks over interview turns, one per modality, are the family of baselines of DAIC-WOZ;
for example, Al Hanai et al., "Detecting depression with audio/text sequence modeling of
interviews", Interspeech 2018 (bidirectional LSTM per modality, concatenated). Attention over the
steps follows Yang et al., "Hierarchical attention networks for document classification", NAACL
2016, Eqs. (5) to (7), whose sentence level is the step here.

Missing steps are skipped: the recurrence passes from one step that has the modality to the next.
The backward direction starts at the last such step. Both equal ``torch.nn.GRU`` on packed
sequences, which would need the lengths on the host.
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from depmm.models.fusion.branches import predict_branches
from depmm.models.fusion.dep_former.layers import zero_missing


class BidirectionalGRU(nn.Module):
    """Two GRUs that read the existing steps in both directions.

    Parameters
    ----------
    in_dim : int
        Feature size.
    hidden_dim : int
        Size of the state of each direction, `D`.
    """

    def __init__(self, in_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.ahead = nn.GRU(in_dim, hidden_dim, batch_first=True)
        self.back = nn.GRU(in_dim, hidden_dim, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode the steps.

        Parameters
        ----------
        x : Tensor, shape (B, L, in_dim)
            Features of each step.
        mask : Tensor, shape (B, L), bool, or None
            Existing steps; None if all exist.

        Returns
        -------
        Tensor, shape (B, L, 2 D)
            State after each step, of both directions; undefined at missing steps.
        """
        # cuDNN has no gradient of a GRU in evaluation mode, which integrated gradients need
        explained = x.is_cuda and not self.training and torch.is_grad_enabled()
        with torch.backends.cudnn.flags(enabled=False) if explained else nullcontext():
            return self._scan(x, mask)

    def _scan(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode the steps, as described in ``forward``."""
        if mask is None:
            back: Tensor = self.back(x.flip(1))[0].flip(1)
            return torch.cat([self.ahead(x)[0], back], dim=-1)
        # existing steps first, so that nothing stands between them
        order = (~mask).int().argsort(dim=1, stable=True)
        position = torch.arange(mask.shape[1], device=mask.device)
        count = mask.sum(1, keepdim=True)
        reverse = torch.where(position < count, count - 1 - position, position)
        steps = _take(x, order)
        ahead = self.ahead(steps)[0]
        back = _take(self.back(_take(steps, reverse))[0], reverse)
        return _take(torch.cat([ahead, back], dim=-1), order.argsort(dim=1))


def _take(x: Tensor, index: Tensor) -> Tensor:
    """Take the steps ``index`` (B, L) of ``x`` (B, L, D)."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class AdditiveAttention(nn.Module):
    """Weights of the steps: softmax of ``v^T tanh(W h + b)`` (Yang et al., 2016, Eqs. 5 and 6).

    Parameters
    ----------
    in_dim : int
        Feature size of a step.
    attention_dim : int
        Size of the hidden layer.
    """

    def __init__(self, in_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_dim, attention_dim)
        self.context = nn.Linear(attention_dim, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the weights.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps.
        mask : Tensor, shape (B, L), bool, or None
            Existing steps; None if all exist.

        Returns
        -------
        Tensor, shape (B, L)
            Sums to 1 over the existing steps; zero at missing steps.
        """
        scores: Tensor = self.context(torch.tanh(self.hidden(x))).squeeze(-1)
        if mask is None:
            return scores.softmax(dim=1)
        # not -inf, whose softmax would be NaN in a session without any step
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(~mask, lowest).softmax(dim=1) * mask


class GruAttention(nn.Module):
    """Predict from the concatenated attention-weighted means of all modalities.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.
    hidden_dim : int
        Size of the state of each direction.
    attention_dim : int
        Hidden size of the attention.
    dropout : float
        Dropout probability of the concatenated means.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        out_features: int,
        hidden_dim: int,
        attention_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        self.recurrences = nn.ModuleDict(
            {name: BidirectionalGRU(in_dims[name], hidden_dim) for name in self.modalities}
        )
        self.attentions = nn.ModuleDict(
            {name: AdditiveAttention(2 * hidden_dim, attention_dim) for name in self.modalities}
        )
        size = 2 * hidden_dim * len(self.modalities)
        self.output_layer = nn.Sequential(nn.Dropout(dropout), nn.Linear(size, out_features))

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
            Logits of each session; the part of a missing modality is zero.
        branch_logits : dict of str to Tensor, shape (B, out)
            Logits of each modality, with zeros in place of the others.
        """
        parts = {}
        for name in self.modalities:
            mask = None if complete else masks[name]
            states = self.recurrences[name](zero_missing(features[name], mask), mask)
            weights = self.attentions[name](states, mask)
            parts[name] = (weights.unsqueeze(1) @ states).squeeze(1)
        return predict_branches(self.output_layer, parts)
