"""Multimodal transformer (MulT): pairwise cross-modal attention without alignment of modalities.

Per modality, a temporal convolution projects the steps to one width, and a cross-modal transformer
for each other modality lets its steps (queries) attend to the steps of that source (keys and
values). The results of all sources are concatenated, a transformer attends over them, and the last
step of each modality enters a residual block that predicts.

Layers and sizes are those of the authors' code (github.com/yaohungt/Multimodal-Transformer), which
reads text, audio and vision; here any number of modalities. With one modality, there is no
cross-modal transformer. Deviations:

- Attention is not restricted to earlier steps. The code masks later steps by default, of which the
  paper does not speak.
- Steps are masked: a missing step is no key, and "last" is the last step that has the modality. The
  attention to a missing source is zero, so that the steps pass its transformer without attention.
  The part of a missing modality in the prediction is zero.
- One dropout probability for attention, feed-forward layers and residual branches.
- The positions of the code start at 1 and have frequencies ``10000 ** (-i / (D / 2 - 1))``, and the
  output projection of its attention has initial weights that are larger by ``sqrt(3)``.

References
----------
Tsai et al., "Multimodal transformer for unaligned multimodal language sequences", ACL 2019, Secs.
3.1 and 3.2.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from depmm.models.fusion.branches import predict_branches
from depmm.models.fusion.dep_former.layers import sinusoidal_positions, zero_missing
from depmm.models.masking import masked_mean


class CrossModalLayer(nn.Module):
    """Attention and a feed-forward network, with the norm before each (Tsai et al., 2019, Eq. 5).

    Parameters
    ----------
    embed_dim : int
        Size of the steps, `D`.
    n_heads : int
        Number of attention heads.
    dropout : float
        Dropout probability of attention, hidden layer and both residual branches.
    """

    def __init__(self, embed_dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            embed_dim, n_heads, dropout=dropout, batch_first=True
        )
        hidden, out = nn.Linear(embed_dim, 4 * embed_dim), nn.Linear(4 * embed_dim, embed_dim)
        for layer in (hidden, out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.ffn = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(dropout), out)
        self.norm_attention = nn.LayerNorm(embed_dim)
        self.norm_ffn = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Let the steps attend to the steps of a source.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Queries.
        source : Tensor, shape (B, L, D)
            Keys and values.
        mask : Tensor, shape (B, L), bool, or None
            Existing steps of the source; None if all exist.

        Returns
        -------
        Tensor, shape (B, L, D)
            Transformed queries.
        """
        keys = self.norm_attention(source)
        ignored = None
        if mask is not None:
            present = mask.any(dim=1, keepdim=True)
            ignored = ~(mask | ~present)  # a missing source attends to zeros, and is removed below
        attended, _ = self.attention(
            self.norm_attention(x), keys, keys, key_padding_mask=ignored, need_weights=False
        )
        if mask is not None:
            attended = attended * present.unsqueeze(-1)
        x = x + self.dropout(attended)
        transformed: Tensor = x + self.dropout(self.ffn(self.norm_ffn(x)))
        return transformed


class CrossModalEncoder(nn.Module):
    """Layers whose queries attend to one source, or to themselves.

    Parameters
    ----------
    embed_dim, n_heads : int
        Sizes, see ``CrossModalLayer``.
    n_layers : int
        Number of layers.
    dropout : float
        Dropout probability of the layers.
    embed_dropout : float
        Dropout probability of the inputs.
    """

    def __init__(
        self, embed_dim: int, n_heads: int, n_layers: int, dropout: float, embed_dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CrossModalLayer(embed_dim, n_heads, dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(embed_dropout)

    def forward(self, x: Tensor, source: Tensor | None, mask: Tensor | None) -> Tensor:
        """Encode the steps.

        Parameters
        ----------
        x : Tensor, shape (B, L, D)
            Steps.
        source : Tensor, shape (B, L, D), or None
            Steps of the source, which stay the same in all layers; None for self-attention.
        mask : Tensor, shape (B, L), bool, or None
            Existing steps of the source, or of ``x``; None if all exist.

        Returns
        -------
        Tensor, shape (B, L, D)
            Encoded steps.
        """
        x = self._embed(x)
        keys = None if source is None else self._embed(source)
        for layer in self.layers:
            x = layer(x, x if keys is None else keys, mask)
        encoded: Tensor = self.norm(x)
        return encoded

    def _embed(self, x: Tensor) -> Tensor:
        """Scale the steps and add the encoding of their positions (Sec. 3.1)."""
        positions = sinusoidal_positions(x.shape[1], x.shape[2], x)
        embedded: Tensor = self.dropout(math.sqrt(x.shape[2]) * x + positions)
        return embedded


class CrossModalTransformer(nn.Module):
    """Predict a session with cross-modal transformers between all pairs of modalities.

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.
    embed_dim : int
        Width of each modality, `D` (30 in the code).
    n_heads : int
        Number of attention heads; divides ``embed_dim``.
    n_layers : int
        Layers of each cross-modal transformer.
    n_self_layers : int
        Layers of the transformer over the concatenated sources.
    kernel_size : int
        Steps of the temporal convolution, an odd number.
    pooling : {"last", "mean"}
        The last step of each modality (paper), or the mean over its steps.
    dropout, embed_dropout, output_dropout : float
        Dropout probability of the layers, of their inputs, and of the residual block.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        out_features: int,
        embed_dim: int,
        n_heads: int,
        n_layers: int,
        n_self_layers: int,
        kernel_size: int,
        pooling: str,
        dropout: float,
        embed_dropout: float,
        output_dropout: float,
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_dims)
        self.pooling = pooling
        self.projections = nn.ModuleDict(
            {
                name: nn.Conv1d(
                    in_dims[name], embed_dim, kernel_size, padding=kernel_size // 2, bias=False
                )
                for name in self.modalities
            }
        )
        self.cross = nn.ModuleDict(
            {
                target: nn.ModuleDict(
                    {
                        source: CrossModalEncoder(
                            embed_dim, n_heads, n_layers, dropout, embed_dropout
                        )
                        for source in self.modalities
                        if source != target
                    }
                )
                for target in self.modalities
            }
        )
        width = embed_dim * max(len(self.modalities) - 1, 1)
        self.memory = nn.ModuleDict(
            {
                name: CrossModalEncoder(width, n_heads, n_self_layers, dropout, embed_dropout)
                for name in self.modalities
            }
        )
        size = width * len(self.modalities)
        self.residual = nn.Sequential(
            nn.Linear(size, size), nn.ReLU(), nn.Dropout(output_dropout), nn.Linear(size, size)
        )
        self.output_layer = nn.Linear(size, out_features)

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
            Logits of each target modality, with zeros in place of the others. A target has read its
            sources, so that these are not predictions of one modality alone.
        """
        used = {name: None if complete else masks[name] for name in self.modalities}
        x = {}
        for name, mask in used.items():
            steps = zero_missing(features[name], mask).transpose(1, 2)
            x[name] = self.projections[name](steps).transpose(1, 2)
        parts = {}
        for name in self.modalities:
            sources = cast(nn.ModuleDict, self.cross[name]).items()
            read = [encode(x[name], x[source], used[source]) for source, encode in sources]
            encoded = self.memory[name](torch.cat(read or [x[name]], dim=-1), None, used[name])
            parts[name] = self._pool(encoded, used[name])
        return predict_branches(self._predict, parts)

    def _predict(self, joined: Tensor) -> Tensor:
        logits: Tensor = self.output_layer(joined + self.residual(joined))
        return logits

    def _pool(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Take the last existing step, or the mean; zero if the modality is missing."""
        if self.pooling == "mean":
            return masked_mean(x, mask)
        if mask is None:
            return x[:, -1]
        last = (torch.arange(x.shape[1], device=x.device) * mask).amax(dim=1)
        index = last.view(-1, 1, 1).expand(-1, 1, x.shape[2])
        return x.gather(1, index).squeeze(1) * mask.any(dim=1, keepdim=True)
