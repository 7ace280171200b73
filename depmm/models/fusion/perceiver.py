"""Perceiver: a few latent vectors read one modality after the other.

For each modality in turn, the latents attend to its steps (cross-attention) and then to each other
(a latent transformer). The mean latent predicts. Only the latents are transformed, so that the cost
is linear in the number of steps.

Layers and sizes are those of the authors' code for D-Vlog's own features
(github.com/cosmaadrian/multimodal-depression-from-video): 16 latents of size 128, one
cross-attention per modality, and a latent transformer of 8 layers that all modalities share. The
3.4 M parameters are those of latents, attention and output; the encoders of the modalities, two
transformer layers each for landmarks, are replaced by the encoders of ``depmm``. Deviations:

- The modalities are read in alphabetical order, in the code in the order of its config.
- Positions are those of the steps, which all modalities share. In the code, the positions are
  scaled by the frame rate of the modality.
- A missing step is not attended to, and a missing modality is not read. The code attends to all
  steps of a missing modality.

References
----------
Gimeno-Gómez et al., "Reading between the frames: multi-modal depression detection in videos from
non-verbal cues", ECIR 2024. Jaegle et al., "Perceiver: general perception with iterative
attention", ICML 2021, Sec. 3.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from depmm.models.fusion.dep_former.layers import sinusoidal_positions, zero_missing


class LatentAttention(nn.Module):
    """Attention whose heads may be wider than its queries.

    ``torch.nn.MultiheadAttention`` ties the total size of the heads, 256 here, to that of the
    queries, 128.

    Parameters
    ----------
    query_dim, context_dim : int
        Sizes of queries and of keys and values.
    n_heads, head_dim : int
        Number and size of the heads.
    dropout : float
        Dropout probability of the attention.
    """

    def __init__(
        self, query_dim: int, context_dim: int, n_heads: int, head_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.query = nn.Linear(query_dim, n_heads * head_dim, bias=False)
        self.key_value = nn.Linear(context_dim, 2 * n_heads * head_dim, bias=False)
        self.out = nn.Linear(n_heads * head_dim, query_dim)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """Attend.

        Parameters
        ----------
        x : Tensor, shape (B, M, query_dim)
            Queries.
        context : Tensor, shape (B, L, context_dim)
            Keys and values.
        mask : Tensor, shape (B, L), bool, or None
            Valid keys, at least one per row; None if all are.

        Returns
        -------
        Tensor, shape (B, M, query_dim)
            Attended values.
        """
        parts = (self.query(x), *self.key_value(context).chunk(2, dim=-1))
        q, k, v = (rearrange(part, "b n (h d) -> b h n d", h=self.n_heads) for part in parts)
        attended = functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.out(rearrange(attended, "b h n d -> b n (h d)"))
        return out


class GatedFeedForward(nn.Module):
    """Two layers with a gated GELU, hidden size 4 D (Shazeer, arXiv 2002.05202, GEGLU).

    Parameters
    ----------
    embed_dim : int
        Input and output size, `D`.
    dropout : float
        Dropout probability of the output.
    """

    def __init__(self, embed_dim: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(embed_dim, 8 * embed_dim)
        self.out = nn.Linear(4 * embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Transform vectors.

        Parameters
        ----------
        x : Tensor, shape (..., D)
            Vectors.

        Returns
        -------
        Tensor, shape (..., D)
            Transformed vectors.
        """
        value, gate = self.hidden(x).chunk(2, dim=-1)
        out: Tensor = self.dropout(self.out(value * functional.gelu(gate)))
        return out


class LatentLayer(nn.Module):
    """Attention of the latents to a context or to themselves, and a feed-forward network.

    Parameters
    ----------
    latent_dim : int
        Size of the latents, `D`.
    context_dim : int or None
        Size of the context; None for self-attention.
    n_heads, head_dim : int
        Number and size of the heads.
    dropout : float
        Dropout probability of attention and feed-forward network.
    """

    def __init__(
        self, latent_dim: int, context_dim: int | None, n_heads: int, head_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(latent_dim)
        self.norm_context = None if context_dim is None else nn.LayerNorm(context_dim)
        self.attention = LatentAttention(
            latent_dim, context_dim or latent_dim, n_heads, head_dim, dropout
        )
        self.norm_ffn = nn.LayerNorm(latent_dim)
        self.ffn = GatedFeedForward(latent_dim, dropout)

    def forward(
        self, latent: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Transform the latents.

        Parameters
        ----------
        latent : Tensor, shape (B, M, D)
            Latents.
        context : Tensor, shape (B, L, context_dim), optional
            Steps of a modality; default: the latents.
        mask : Tensor, shape (B, L), bool, optional
            Valid steps; default: all.

        Returns
        -------
        Tensor, shape (B, M, D)
            Transformed latents.
        """
        query = self.norm(latent)
        keys = query
        if context is not None and self.norm_context is not None:
            keys = self.norm_context(context)
        latent = latent + self.attention(query, keys, mask)
        transformed: Tensor = latent + self.ffn(self.norm_ffn(latent))
        return transformed


class Perceiver(nn.Module):
    """Predict a session from latents that read the modalities one after the other.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.
    n_latents, latent_dim : int
        Number and size of the latents, `M` and `D`.
    context_dim : int
        Size to which the steps of each modality are projected.
    n_heads, head_dim : int
        Number and size of the attention heads.
    n_layers : int
        Layers of the latent transformer after each cross-attention.
    share_cross_attention : bool
        Whether all modalities share one cross-attention, which a learned token of the modality is
        added for; False: one cross-attention each.
    dropout : float
        Dropout probability of attention and feed-forward networks.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        out_features: int,
        n_latents: int,
        latent_dim: int,
        context_dim: int,
        n_heads: int,
        head_dim: int,
        n_layers: int,
        share_cross_attention: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        self.latent = nn.Parameter(torch.randn(n_latents, latent_dim))
        self.projections = nn.ModuleDict(
            {name: nn.Linear(in_dims[name], context_dim) for name in self.modalities}
        )
        sizes = (n_heads, head_dim, dropout)
        self.share_cross_attention = share_cross_attention
        shared = ["all"] if share_cross_attention else self.modalities
        self.cross_attention = nn.ModuleDict(
            {name: LatentLayer(latent_dim, context_dim, *sizes) for name in shared}
        )
        self.modality_tokens = nn.ParameterDict()
        if share_cross_attention:
            for name in self.modalities:
                self.modality_tokens[name] = nn.Parameter(torch.randn(context_dim))
        self.layers = nn.ModuleList(LatentLayer(latent_dim, None, *sizes) for _ in range(n_layers))
        self.norm = nn.LayerNorm(latent_dim)
        self.output_layer = nn.Linear(latent_dim, out_features)

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
            One entry, ``multimodal``, which is ``fused``: all modalities write to the same latents.
        """
        batch = len(features[self.modalities[0]])
        latent = self.latent.expand(batch, -1, -1)
        for name in self.modalities:
            mask = None if complete else masks[name]
            steps = self.projections[name](zero_missing(features[name], mask))
            steps = steps + sinusoidal_positions(steps.shape[1], steps.shape[2], steps)
            if name in self.modality_tokens:
                steps = steps + self.modality_tokens[name]
            latent = self._read(name, latent, steps, mask)
        fused = self.output_layer(self.norm(latent.mean(dim=1)))
        return fused, {"multimodal": fused}

    def _read(self, name: str, latent: Tensor, steps: Tensor, mask: Tensor | None) -> Tensor:
        """Update the latents (B, M, D) of the sessions that have the modality."""
        cross = self.cross_attention["all" if self.share_cross_attention else name]
        present = None if mask is None else mask.any(dim=1, keepdim=True)
        # a session without the modality attends to zeros; its latents are replaced below
        keys = None if mask is None or present is None else mask | ~present
        updated = cross(latent, steps, keys)
        for layer in self.layers:
            updated = layer(updated)
        read: Tensor = updated if present is None else updated.where(present[..., None], latent)
        return read
