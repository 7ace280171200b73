"""Sparse attention encoder over steps (part SAE of Ye et al., IEEE TCSVT 2025, figure (c)).

Embedding, then blocks of attention layers one after the other; a max-pooling between two blocks
halves the steps (72 -> 36 -> 18). The figure shows neither the residual connections nor the norm
after the attention; they follow the release, as do the sizes and the initial weights.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from torch import nn

from depmm.models.fusion.dep_former.attention_sharing import (
    AttentionSharing,
    SharedIndex,
    SummaryConfidence,
)
from depmm.models.fusion.dep_former.layers import (
    EncoderLayer,
    LayerPosition,
    StepEmbedding,
    Steps,
    max_pool,
)
from depmm.models.fusion.dep_former.sparse_attention import SparseAttention


class Tokens(NamedTuple):
    """Output of an encoder.

    Attributes
    ----------
    steps : Steps
        Tokens, with features of shape (B, N, D).
    indices : list of SharedIndex
        Query selection of each attention layer.
    """

    steps: Steps
    indices: list[SharedIndex]


def count_tokens(length: int, layers: Sequence[int]) -> int:
    """Count the tokens of a ``SparseEncoder``: 18 for 72 steps and three blocks.

    Parameters
    ----------
    length : int
        Number of steps.
    layers : sequence of int
        Attention layers of each block.

    Returns
    -------
    int
        Number of tokens.
    """
    divisor: int = 2 ** (len(layers) - 1)
    return -(-length // divisor)


class SparseEncoder(nn.Module):
    """Embed steps, apply blocks of sparse attention, and share the attention of another encoder.

    Parameters
    ----------
    in_dim : int
        Size of the step features.
    embed_dim : int
        Size of the tokens, `D`.
    n_heads, head_dim : int
        Number and size of the attention heads.
    ffn_dim : int
        Hidden size of the position-wise networks.
    layers : list of int
        Attention layers of each block.
    sampling_factor : int
        `c` of ``u = c * ceil(ln L)``.
    dropout : float
        Dropout probability.
    sharing : {"after_encoders", "every_layer", "none"}
        Use of the query selection of another encoder: in one more layer after the blocks (the
        attention sharing unit of the figure), in every layer, or not at all.
    """

    def __init__(
        self,
        in_dim: int,
        embed_dim: int,
        n_heads: int,
        head_dim: int,
        ffn_dim: int,
        layers: list[int],
        sampling_factor: int,
        dropout: float,
        sharing: str,
    ) -> None:
        super().__init__()

        def build_layer(shares: bool) -> EncoderLayer:
            attention: SparseAttention | AttentionSharing
            attention = SparseAttention(embed_dim, n_heads, head_dim, sampling_factor)
            if shares:
                attention = AttentionSharing(attention, SummaryConfidence(embed_dim, n_heads))
            return EncoderLayer(attention, embed_dim, ffn_dim, dropout)

        self.sharing = sharing
        self.embedding = StepEmbedding(in_dim, embed_dim, dropout)
        self.blocks = nn.ModuleList(
            nn.ModuleList(build_layer(sharing == "every_layer") for _ in range(n_layers))
            for n_layers in layers
        )
        self.sharing_unit: EncoderLayer | None = None
        if sharing == "after_encoders":
            self.sharing_unit = build_layer(shares=True)
            self.sharing_norm = nn.LayerNorm(embed_dim)
        self.positions = [
            LayerPosition(block, layer, halvings=block)
            for block, n_layers in enumerate(layers)
            for layer in range(n_layers)
        ]
        if self.sharing_unit is not None:
            last = len(layers) - 1
            self.positions.append(LayerPosition(last, layers[last], halvings=last))

    def forward(self, steps: Steps, shared: list[SharedIndex] | None = None) -> Tokens:
        """Encode the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, in_dim).
        shared : list of SharedIndex, optional
            Selections of another encoder with the same blocks, for an encoder that shares them.

        Returns
        -------
        Tokens
            Features of shape (B, N, D), `N` as in `count_tokens`.
        """
        steps = self.embedding(steps)
        every = shared if self.sharing == "every_layer" else None
        indices: list[SharedIndex] = []
        for position, block in enumerate(self.blocks):
            if position > 0:
                steps = max_pool(steps)
            for layer in cast(nn.ModuleList, block):
                steps, index = layer(steps, every[len(indices)] if every is not None else None)
                indices.append(index)
        if self.sharing_unit is not None:
            assert shared is not None
            changed, _ = self.sharing_unit(steps, shared[-1])
            # residual as in the release
            steps = steps._replace(x=steps.x + self.sharing_norm(changed.x))
        return Tokens(steps, indices)
