"""Sparse attention encoder over steps (part SAE of Ye et al., IEEE TCSVT 2025, figure (c)).

The layers are those of Informer (Zhou et al., AAAI 2021, Sec. 3). Stack ``i`` reads the last
``ceil(L / 2^i)`` steps and halves them between its layers; with 3, 2 and 1 layers all stacks end
with ``ceil(L / 4)`` tokens, which are concatenated in time (L = 24: 6 + 6 + 6 = 18).

Deviations from the release: circular convolutions wrap around the length of each session, not
around the padded length; distilling uses LayerNorm (BatchNorm would mix sessions and padding); the
halved length is rounded up, so that a session can have a single step.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing, SharedIndex
from depmm.models.fusion.dep_former.sparse_attention import SparseAttention
from depmm.models.masking import length_mask, masked_mean


class Steps(NamedTuple):
    """Padded steps of a batch.

    Attributes
    ----------
    x : Tensor, shape (B, L, D)
        Features.
    mask : Tensor, shape (B, L), bool
        Existing steps; missing steps may also be in the middle of a session.
    lengths : Tensor, shape (B,)
        Number of positions up to the end of each session, including missing steps.
    """

    x: Tensor
    mask: Tensor
    lengths: Tensor


class Tokens(NamedTuple):
    """Output of an encoder.

    Attributes
    ----------
    x : Tensor, shape (B, N, D)
        Features.
    mask : Tensor, shape (B, N), bool
        Existing tokens.
    shared : list of list of SharedIndex
        Query selection of each stack and attention layer.
    """

    x: Tensor
    mask: Tensor
    shared: list[list[SharedIndex]]


def count_tokens(length: int, stacks: Sequence[int]) -> int:
    """Count the tokens of a ``SparseEncoder``: 18 for 24 steps and stacks of 3, 2 and 1 layers.

    Parameters
    ----------
    length : int
        Number of steps.
    stacks : sequence of int
        Attention layers per stack.

    Returns
    -------
    int
        Number of tokens.
    """
    count = 0
    for stack, n_layers in enumerate(stacks):
        tokens = -(-length // 2**stack)
        for _ in range(n_layers - 1):
            tokens = (tokens + 1) // 2
        count += tokens
    return count


def sinusoidal_positions(length: int, embed_dim: int, like: Tensor) -> Tensor:
    """Compute the encoding of positions 0 to L - 1 (Vaswani et al., NeurIPS 2017, Sec. 3.5).

    The encoding is computed instead of stored: it works for any length, and there is no buffer that
    could be lost when a model is loaded.

    Parameters
    ----------
    length : int
        Number of positions, `L`.
    embed_dim : int
        Size, `D`.
    like : Tensor
        Tensor whose device and type are used.

    Returns
    -------
    Tensor, shape (L, D)
        Encoding of each position.
    """
    position = torch.arange(length, device=like.device, dtype=torch.float32).unsqueeze(1)
    even = torch.arange(0, embed_dim, 2, device=like.device, dtype=torch.float32)
    angle = position * torch.exp(-math.log(10_000.0) / embed_dim * even)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    return pairs[:, :embed_dim].to(like.dtype)


class CircularConvolution(nn.Module):
    """Convolution over three neighbouring steps that wraps around the end of each session.

    Parameters
    ----------
    in_dim, embed_dim : int
        Input and output size.
    bias : bool
        Whether the convolution has a bias.
    """

    def __init__(self, in_dim: int, embed_dim: int, bias: bool) -> None:
        super().__init__()
        self.kernel = nn.Linear(3 * in_dim, embed_dim, bias=bias)

    def forward(self, steps: Steps) -> Tensor:
        """Convolve the steps, with zeros in place of missing steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, in_dim).

        Returns
        -------
        Tensor, shape (B, L, D)
            Convolved features.
        """
        x = steps.x.masked_fill(~steps.mask.unsqueeze(-1), 0.0)
        position = torch.arange(x.shape[1], device=x.device)
        length = steps.lengths.clamp(min=1).unsqueeze(1)
        before, after = (position - 1) % length, (position + 1) % length
        previous, following = (
            x.gather(1, index.unsqueeze(-1).expand_as(x)) for index in (before, after)
        )
        convolved: Tensor = self.kernel(torch.cat([previous, x, following], dim=-1))
        return convolved


class Distilling(nn.Module):
    """Halve the steps: convolution, norm, ELU, max-pooling of 3 with stride 2 (Informer, Eq. 5).

    Parameters
    ----------
    embed_dim : int
        Size of the steps, `D`.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.convolution = CircularConvolution(embed_dim, embed_dim, bias=True)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, steps: Steps) -> Steps:
        """Halve the steps, rounding up.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, D).

        Returns
        -------
        Steps
            ``ceil(L / 2)`` positions; a position exists if one of its three steps does.
        """
        x = nn.functional.elu(self.norm(self.convolution(steps)))
        x = x.masked_fill(~steps.mask.unsqueeze(-1), -torch.inf).transpose(1, 2)
        x = nn.functional.max_pool1d(x, kernel_size=3, stride=2, padding=1).transpose(1, 2)
        lengths = (steps.lengths + 1) // 2
        # for an even length, one more window overlaps the last step
        mask = nn.functional.max_pool1d(steps.mask.float(), 3, 2, 1).bool()
        mask = mask & length_mask(lengths, mask.shape[1])
        return Steps(x.masked_fill(~mask.unsqueeze(-1), 0.0), mask, lengths)


class EncoderLayer(nn.Module):
    """Attention and a position-wise network, each with residual and norm (Informer, Fig. 3).

    Parameters
    ----------
    attention : SparseAttention or AttentionSharing
        The latter also uses a shared query selection.
    embed_dim : int
        Size of the steps, `D`.
    ffn_dim : int
        Hidden size of the position-wise network.
    dropout : float
        Dropout probability on both residual branches.
    """

    def __init__(
        self,
        attention: SparseAttention | AttentionSharing,
        embed_dim: int,
        ffn_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.ffn = nn.Sequential(
            nn.Linear(embed_dim, ffn_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(ffn_dim, embed_dim),
        )
        self.norm_attention = nn.LayerNorm(embed_dim)
        self.norm_ffn = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Steps, shared: SharedIndex | None) -> tuple[Steps, SharedIndex]:
        """Transform the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, D).
        shared : SharedIndex or None
            Selection of another encoder, for ``AttentionSharing``.

        Returns
        -------
        steps : Steps
            Transformed features of the same shape.
        index : SharedIndex
            The query selection of this layer.
        """
        x, mask, lengths = steps
        if isinstance(self.attention, AttentionSharing):
            assert shared is not None
            attended, selected = self.attention(x, mask, shared)
        else:
            attended, selected = self.attention(x, mask)
        index = SharedIndex(selected, masked_mean(x, mask))
        x = self.norm_attention(x + self.dropout(attended))
        x = self.norm_ffn(x + self.dropout(self.ffn(x)))
        return Steps(x, mask, lengths), index


class Stack(nn.Module):
    """Attention layers with a distilling step between them and a norm at the end.

    Parameters
    ----------
    layers : list of EncoderLayer
        The attention layers.
    embed_dim : int
        Size of the steps, `D`.
    """

    def __init__(self, layers: list[EncoderLayer], embed_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.distilling = nn.ModuleList(Distilling(embed_dim) for _ in layers[1:])
        self.norm = nn.LayerNorm(embed_dim)

    def forward(
        self, steps: Steps, shared: list[SharedIndex] | None
    ) -> tuple[Steps, list[SharedIndex]]:
        """Transform and shorten the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, D).
        shared : list of SharedIndex or None
            Selection of another encoder for each layer.

        Returns
        -------
        steps : Steps
            Shortened features.
        indices : list of SharedIndex
            Query selection of each layer.
        """
        indices: list[SharedIndex] = []
        for layer_index, layer in enumerate(self.layers):
            if layer_index > 0:
                steps = self.distilling[layer_index - 1](steps)
            steps, index = layer(steps, shared[layer_index] if shared is not None else None)
            indices.append(index)
        return steps._replace(x=self.norm(steps.x)), indices


class SparseEncoder(nn.Module):
    """Embed steps, apply stacks of sparse attention with distilling, concatenate their tokens.

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
    stacks : list of int
        Attention layers per stack; stack ``i`` reads the last ``ceil(L / 2^i)`` steps.
    sampling_factor : int
        `c` of ``u = c * ceil(ln L)``.
    dropout : float
        Dropout probability.
    sharing : bool
        Whether the layers use the shared query selection of another encoder.
    """

    def __init__(
        self,
        in_dim: int,
        embed_dim: int,
        n_heads: int,
        head_dim: int,
        ffn_dim: int,
        stacks: list[int],
        sampling_factor: int,
        dropout: float,
        sharing: bool,
    ) -> None:
        super().__init__()
        self.embedding = CircularConvolution(in_dim, embed_dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        attention_type = AttentionSharing if sharing else SparseAttention

        def build_layer() -> EncoderLayer:
            attention = attention_type(embed_dim, n_heads, head_dim, sampling_factor)
            return EncoderLayer(attention, embed_dim, ffn_dim, dropout)

        self.stacks = nn.ModuleList(
            Stack([build_layer() for _ in range(n_layers)], embed_dim) for n_layers in stacks
        )

    def forward(self, steps: Steps, shared: list[list[SharedIndex]] | None = None) -> Tokens:
        """Encode the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, in_dim).
        shared : list of list of SharedIndex, optional
            Selections of another encoder with the same stacks, for a sharing encoder.

        Returns
        -------
        Tokens
            Features of shape (B, N, D), `N` as in `count_tokens`.
        """
        x = self.embedding(steps)
        x = self.dropout(x + sinusoidal_positions(x.shape[1], x.shape[2], x))
        embedded = steps._replace(x=x)
        indices: list[list[SharedIndex]] = []
        outputs: list[Steps] = []
        for stack_index, stack in enumerate(self.stacks):
            output, stack_indices = stack(
                last_steps(embedded, 2**stack_index),
                shared[stack_index] if shared is not None else None,
            )
            outputs.append(output)
            indices.append(stack_indices)
        return Tokens(
            torch.cat([output.x for output in outputs], dim=1),
            torch.cat([output.mask for output in outputs], dim=1),
            indices,
        )


def last_steps(steps: Steps, divisor: int) -> Steps:
    """Keep the last ``ceil(length / divisor)`` positions of each session, moved to the front.

    Parameters
    ----------
    steps : Steps
        Features of shape (B, L, D).
    divisor : int
        The fraction 1 / ``divisor`` of the positions is kept.

    Returns
    -------
    Steps
        The kept positions.
    """
    if divisor == 1:
        return steps
    new_lengths = (steps.lengths + divisor - 1) // divisor
    size = -(-steps.x.shape[1] // divisor)
    position = torch.arange(size, device=steps.x.device)
    first = (steps.lengths - new_lengths).unsqueeze(1)
    index = (first + position).clamp(max=steps.x.shape[1] - 1)
    x = steps.x.gather(1, index.unsqueeze(-1).expand(-1, -1, steps.x.shape[2]))
    return Steps(x, steps.mask.gather(1, index) & length_mask(new_lengths, size), new_lengths)
