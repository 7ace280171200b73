"""Layers of the sparse attention encoders of DEP-Former (from Informer, Zhou et al., AAAI 2021).

Circular convolutions wrap around the length of each session, not around the padded length as in
the release, and a halved length is rounded up, so that a session can have a single step.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from depmm.models.errors import ModelError
from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing, SharedIndex
from depmm.models.fusion.dep_former.sparse_attention import SparseAttention
from depmm.models.masking import length_mask


class Steps(NamedTuple):
    """Padded steps of a batch.

    Attributes
    ----------
    x : Tensor, shape (B, L, D)
        Features.
    mask : Tensor, shape (B, L), bool, or None
        Existing steps; missing steps may also be in the middle of a session. None if every step
        exists.
    lengths : Tensor, shape (B,), or None
        Number of positions up to the end of each session, including missing steps. None if it is
        `L` for every session.
    """

    x: Tensor
    mask: Tensor | None
    lengths: Tensor | None


class LayerPosition(NamedTuple):
    """Position of an attention layer in an encoder, and the steps that its tokens represent.

    Attributes
    ----------
    block : int
        Index of the block, or of the stack in the release model.
    layer : int
        Index of the layer in its block. An attention sharing unit follows the last layer.
    halvings : int
        Max-poolings before the layer: token ``n`` represents the steps ``n 2^halvings`` to
        ``(n + 1) 2^halvings - 1``, counted from the first step that the block reads.
    divisor : int
        The block reads the last ``ceil(L / divisor)`` steps.
    """

    block: int
    layer: int
    halvings: int
    divisor: int = 1


def check_num_steps(n_steps: int, num_steps: int | None) -> None:
    """Check that sessions have the number of steps for which a model was built.

    Parameters
    ----------
    n_steps : int
        Number of steps of the batch.
    num_steps : int or None
        Setting ``model.fusion.num_steps``.

    Raises
    ------
    ModelError
        If the numbers differ.
    """
    if num_steps not in (None, n_steps):
        raise ModelError(
            f"The session has {n_steps} steps, but model.fusion.num_steps is {num_steps}. Give the "
            "model exactly the steps on which it was trained, in the same order.",
            setting="model.fusion.num_steps",
            value=n_steps,
        )


def zero_missing(x: Tensor, mask: Tensor | None) -> Tensor:
    """Set missing steps to zero; NaN at a missing step then has no influence on any gradient.

    Parameters
    ----------
    x : Tensor, shape (B, L, D)
        Steps.
    mask : Tensor, shape (B, L), bool, or None
        Existing steps; None if all exist.

    Returns
    -------
    Tensor, shape (B, L, D)
        The steps.
    """
    return x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0.0)


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
    """

    def __init__(self, in_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.kernel = nn.Linear(3 * in_dim, embed_dim)

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
        x = zero_missing(steps.x, steps.mask)
        if steps.lengths is None:
            previous, following = x.roll(1, dims=1), x.roll(-1, dims=1)
        else:
            position = torch.arange(x.shape[1], device=x.device)
            length = steps.lengths.clamp(min=1).unsqueeze(1)
            previous, following = (
                x.gather(1, ((position + shift) % length).unsqueeze(-1).expand_as(x))
                for shift in (-1, 1)
            )
        convolved: Tensor = self.kernel(torch.cat([previous, x, following], dim=-1))
        return convolved


class StepEmbedding(nn.Module):
    """Circular convolution plus sinusoidal positions, with dropout.

    Parameters
    ----------
    in_dim, embed_dim : int
        Input and output size.
    dropout : float
        Dropout probability.
    """

    def __init__(self, in_dim: int, embed_dim: int, dropout: float) -> None:
        super().__init__()
        self.convolution = CircularConvolution(in_dim, embed_dim)
        # as in the release and in Informer
        nn.init.kaiming_normal_(
            self.convolution.kernel.weight, mode="fan_in", nonlinearity="leaky_relu"
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Steps) -> Steps:
        """Embed the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, in_dim).

        Returns
        -------
        Steps
            Features of shape (B, L, D).
        """
        x = self.convolution(steps)
        x = self.dropout(x + sinusoidal_positions(x.shape[1], x.shape[2], x))
        return steps._replace(x=x)


def max_pool(steps: Steps) -> Steps:
    """Halve the steps, rounding up: max-pooling of 3 positions with stride 2 and padding 1.

    Parameters
    ----------
    steps : Steps
        Features of shape (B, L, D).

    Returns
    -------
    Steps
        ``ceil(L / 2)`` positions; a position exists if one of its three steps does.
    """
    x, mask, lengths = steps
    if mask is not None:
        x = x.masked_fill(~mask.unsqueeze(-1), -torch.inf)
    # over steps as the rows of an image: max_pool1d cannot be exported for any number of steps
    x = nn.functional.max_pool2d(x, (3, 1), (2, 1), (1, 0))
    if mask is None:
        return Steps(x, None, lengths)
    rows = mask.float().unsqueeze(-1)
    mask = nn.functional.max_pool2d(rows, (3, 1), (2, 1), (1, 0)).squeeze(-1).bool()
    if lengths is not None:
        lengths = (lengths + 1) // 2
        # for an even length, one more window overlaps the last step
        mask = mask & length_mask(lengths, mask.shape[1])
    return Steps(zero_missing(x, mask), mask, lengths)


def last_steps(steps: Steps, divisor: int) -> Steps:
    """Keep the last ``ceil(L / divisor)`` positions, for stacks of the release.

    Parameters
    ----------
    steps : Steps
        Features of shape (B, L, D); all sessions end at position `L`.
    divisor : int
        The fraction 1 / ``divisor`` of the positions is kept.

    Returns
    -------
    Steps
        The kept positions.
    """
    first = steps.x.shape[1] - -(-steps.x.shape[1] // divisor)
    mask = None if steps.mask is None else steps.mask[:, first:]
    return Steps(steps.x[:, first:], mask, None)


class EncoderLayer(nn.Module):
    """Attention and a position-wise network, each with residual and norm (Informer, Fig. 3).

    The position-wise network consists of two convolutions of kernel size 1, that is, linear layers.

    Parameters
    ----------
    attention : SparseAttention or AttentionSharing
        The latter also uses a shared query selection.
    embed_dim : int
        Size of the steps, `D`.
    ffn_dim : int
        Hidden size of the position-wise network.
    dropout : float
        Dropout probability on both residual branches and inside the position-wise network.
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
        x, mask, _ = steps
        if isinstance(self.attention, AttentionSharing):
            assert shared is not None
            attended, selected = self.attention(x, mask, shared)
        else:
            attended, selected = self.attention(x, mask)
        index = SharedIndex(selected, x, mask)
        x = self.norm_attention(x + self.dropout(attended))
        x = self.norm_ffn(x + self.dropout(self.ffn(x)))
        return steps._replace(x=x), index
