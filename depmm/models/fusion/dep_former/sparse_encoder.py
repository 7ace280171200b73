"""Sparse attention encoder over steps (Informer, Sec. 3 and Fig. 3; DEP-Former, part SAE).

Stack ``i`` reads the last ``ceil(L / 2^i)`` steps and halves them between its layers; with 3, 2
and 1 layers all stacks end at ``ceil(L / 4)`` tokens, which are joined in time (L = 24: 6 + 6 + 6
= 18).

Deviations: circular convolutions wrap around each session's own length, not the padded one;
distilling normalises with LayerNorm (BatchNorm would mix people and padding); halves round up so
that a single step is a valid session.
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
    x : Tensor[B, L, D]
    mask : Tensor[B, L] bool, True where the step is there; steps may lack inside a session
    length : Tensor[B] int, places up to the end of the session (missing steps keep theirs)
    """

    x: Tensor
    mask: Tensor
    length: Tensor


class Tokens(NamedTuple):
    """Output of an encoder.

    Attributes
    ----------
    x : Tensor[B, N, D]
    mask : Tensor[B, N] bool
    shared : one ``SharedIndex`` per stack and attention layer
    """

    x: Tensor
    mask: Tensor
    shared: list[list[SharedIndex]]


def token_count(length: int, stacks: Sequence[int]) -> int:
    """Tokens that ``SparseEncoder`` gives of so many steps: 18 of 24 with stacks of 3, 2, 1."""
    count = 0
    for number, layers in enumerate(stacks):
        tokens = -(-length // 2**number)
        for _ in range(layers - 1):
            tokens = (tokens + 1) // 2
        count += tokens
    return count


def sinusoidal_position(length: int, embed_dim: int, like: Tensor) -> Tensor:
    """Encode places 0 .. length - 1 (Vaswani et al. 2017, Sec. 3.5), Tensor[L, D].

    Computed, not stored: any length works and there is no buffer to lose on loading.
    """
    place = torch.arange(length, device=like.device, dtype=torch.float32).unsqueeze(1)
    even = torch.arange(0, embed_dim, 2, device=like.device, dtype=torch.float32)
    angle = place * torch.exp(-math.log(10_000.0) / embed_dim * even)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    return pairs[:, :embed_dim].to(like.dtype)


class CircularConvolution(nn.Module):
    """Convolution over three neighbouring steps that wraps around each session's own end.

    Parameters
    ----------
    in_dim, embed_dim : input and output width
    bias : as in ``nn.Linear``
    """

    def __init__(self, in_dim: int, embed_dim: int, bias: bool = True):
        super().__init__()
        self.kernel = nn.Linear(3 * in_dim, embed_dim, bias=bias)

    def forward(self, steps: Steps) -> Tensor:
        """Convolve; a missing step counts as zero. Tensor[B, L, embed_dim]."""
        x = steps.x.masked_fill(~steps.mask.unsqueeze(-1), 0.0)
        place = torch.arange(x.shape[1], device=x.device)
        length = steps.length.clamp(min=1).unsqueeze(1)
        before, after = (place - 1) % length, (place + 1) % length

        def shifted(index: Tensor) -> Tensor:
            return x.gather(1, index.unsqueeze(-1).expand_as(x))

        return self.kernel(torch.cat([shifted(before), x, shifted(after)], dim=-1))


class Distilling(nn.Module):
    """Halve the steps: convolution, norm, ELU, max-pooling of 3 with stride 2 (Informer, Eq. 5)."""

    def __init__(self, embed_dim: int):
        super().__init__()
        self.convolution = CircularConvolution(embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, steps: Steps) -> Steps:
        """Halve ``steps``, rounding up; a place is there if one of its three steps is."""
        x = nn.functional.elu(self.norm(self.convolution(steps)))
        x = x.masked_fill(~steps.mask.unsqueeze(-1), -torch.inf).transpose(1, 2)
        x = nn.functional.max_pool1d(x, kernel_size=3, stride=2, padding=1).transpose(1, 2)
        length = (steps.length + 1) // 2
        # the window after the last place of an even length still touches the last step
        mask = nn.functional.max_pool1d(steps.mask.float(), 3, 2, 1).bool()
        mask = mask & length_mask(length, mask.shape[1])
        return Steps(x.masked_fill(~mask.unsqueeze(-1), 0.0), mask, length)


class EncoderLayer(nn.Module):
    """Attention and a position-wise network, each with residual and norm (Informer, Fig. 3).

    Parameters
    ----------
    attention : ``SparseAttention``, or ``AttentionSharing`` to use a shared index
    embed_dim, ffn_dim : `D` and the hidden width of the position-wise network
    dropout : on both branches
    """

    def __init__(
        self,
        attention: SparseAttention | AttentionSharing,
        embed_dim: int,
        ffn_dim: int,
        dropout: float,
    ):
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
        """Transform ``steps``; also hand out which queries this layer chose itself."""
        x, mask, length = steps
        if isinstance(self.attention, AttentionSharing):
            assert shared is not None
            read, selected = self.attention(x, mask, shared)
        else:
            read, selected = self.attention(x, mask)
        index = SharedIndex(selected, masked_mean(x, mask))
        x = self.norm_attention(x + self.dropout(read))
        x = self.norm_ffn(x + self.dropout(self.ffn(x)))
        return Steps(x, mask, length), index


class Stack(nn.Module):
    """Attention layers with a distilling step between them and a norm at the end.

    Parameters
    ----------
    layers : the attention layers
    embed_dim : `D`
    """

    def __init__(self, layers: list[EncoderLayer], embed_dim: int):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.distilling = nn.ModuleList(Distilling(embed_dim) for _ in layers[1:])
        self.norm = nn.LayerNorm(embed_dim)

    def forward(
        self, steps: Steps, shared: list[SharedIndex] | None
    ) -> tuple[Steps, list[SharedIndex]]:
        """Transform and shorten ``steps``; take and hand out one index per layer."""
        chosen: list[SharedIndex] = []
        for number, layer in enumerate(self.layers):
            if number > 0:
                steps = self.distilling[number - 1](steps)
            steps, index = layer(steps, shared[number] if shared is not None else None)
            chosen.append(index)
        return Steps(self.norm(steps.x), steps.mask, steps.length), chosen


class SparseEncoder(nn.Module):
    """Embed steps, run stacks of sparse attention with distilling, join their tokens.

    Parameters
    ----------
    in_dim : width of the step features
    embed_dim : `D`
    n_heads, head_dim, sampling_factor : of the attention
    ffn_dim, dropout : of each layer
    stacks : attention layers per stack; stack ``i`` reads the last ``ceil(L / 2^i)`` steps
    sharing : whether the layers take a shared index from another encoder
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
    ):
        super().__init__()
        self.embedding = CircularConvolution(in_dim, embed_dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        kind = AttentionSharing if sharing else SparseAttention
        self.stacks = nn.ModuleList(
            Stack(
                [
                    EncoderLayer(
                        kind(embed_dim, n_heads, head_dim, sampling_factor),
                        embed_dim,
                        ffn_dim,
                        dropout,
                    )
                    for _ in range(layers)
                ],
                embed_dim,
            )
            for layers in stacks
        )

    def forward(self, steps: Steps, shared: list[list[SharedIndex]] | None = None) -> Tokens:
        """Encode.

        Parameters
        ----------
        steps : with Tensor[B, L, in_dim]
        shared : the indices of another encoder with the same stacks, for a sharing encoder

        Returns
        -------
        Tokens with Tensor[B, N, D]
        """
        x = self.embedding(steps)
        x = self.dropout(x + sinusoidal_position(x.shape[1], x.shape[2], x))
        embedded = Steps(x, steps.mask, steps.length)
        chosen: list[list[SharedIndex]] = []
        outputs: list[Steps] = []
        for number, stack in enumerate(self.stacks):
            given = shared[number] if shared is not None else None
            output, indices = stack(last_steps(embedded, 2**number), given)
            outputs.append(output)
            chosen.append(indices)
        return Tokens(
            torch.cat([output.x for output in outputs], dim=1),
            torch.cat([output.mask for output in outputs], dim=1),
            chosen,
        )


def last_steps(steps: Steps, divisor: int) -> Steps:
    """Keep the last ``ceil(length / divisor)`` places of each session, moved to the front."""
    if divisor == 1:
        return steps
    kept = (steps.length + divisor - 1) // divisor
    size = -(-steps.x.shape[1] // divisor)
    place = torch.arange(size, device=steps.x.device)
    index = ((steps.length - kept).unsqueeze(1) + place).clamp(max=steps.x.shape[1] - 1)
    x = steps.x.gather(1, index.unsqueeze(-1).expand(-1, -1, steps.x.shape[2]))
    return Steps(x, steps.mask.gather(1, index) & length_mask(kept, size), kept)
