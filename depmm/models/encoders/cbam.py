"""Convolutional block attention module (CBAM) for maps with padded frames.

References
----------
Woo et al., "CBAM: Convolutional block attention module", ECCV 2018.
"""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Scale channels by a gate computed from their averages and maxima.

    Parameters
    ----------
    channels : int
        Channels of the input, `C`.
    reduction : int
        The shared hidden layer has ``channels / reduction`` units, at least 1.

    References
    ----------
    Woo et al., ECCV 2018, Eq. 2.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden_dim = max(1, channels // reduction)
        self.shared = nn.Sequential(
            nn.Linear(channels, hidden_dim, bias=False),
            nn.ReLU(),
            nn.Linear(hidden_dim, channels, bias=False),
        )

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Scale the channels.

        Parameters
        ----------
        x : Tensor, shape (B, C, F, T)
            Feature maps.
        valid : Tensor, shape (B, T), bool, or None
            Valid frames; None if all are.

        Returns
        -------
        Tensor, shape (B, C, F, T)
            Scaled feature maps.
        """
        average = mean_valid(zero_invalid(x, valid), valid)
        compared = x if valid is None else x.masked_fill(~valid[:, None, None, :], -torch.inf)
        maximum = compared.amax(dim=(2, 3))
        gate = torch.sigmoid(self.shared(average) + self.shared(maximum))
        return x * gate[:, :, None, None]


class SpatialAttention(nn.Module):
    """Scale positions by a gate computed from the average and the maximum over their channels.

    References
    ----------
    Woo et al., ECCV 2018, Eq. 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Scale the positions.

        Parameters
        ----------
        x : Tensor, shape (B, C, F, T)
            Feature maps.
        valid : Tensor, shape (B, T), bool, or None
            Valid frames; None if all are.

        Returns
        -------
        Tensor, shape (B, C, F, T)
            Scaled feature maps.
        """
        maps = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        return x * torch.sigmoid(self.convolution(zero_invalid(maps, valid)))


class CBAM(nn.Module):
    """Channel attention, then spatial attention.

    Parameters
    ----------
    channels : int
        Channels of the input, `C`.
    reduction : int
        Reduction of channel attention.

    References
    ----------
    Woo et al., ECCV 2018, Eq. 1.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Scale channels and positions.

        Parameters
        ----------
        x : Tensor, shape (B, C, F, T)
            Feature maps.
        valid : Tensor, shape (B, T), bool, or None
            Valid frames; None if all are.

        Returns
        -------
        Tensor, shape (B, C, F, T)
            Scaled feature maps.
        """
        scaled: Tensor = self.spatial(self.channel(x, valid), valid)
        return scaled


def zero_invalid(x: Tensor, valid: Tensor | None) -> Tensor:
    """Set feature maps to zero after the valid frames.

    Parameters
    ----------
    x : Tensor, shape (B, C, F, T)
        Feature maps.
    valid : Tensor, shape (B, T), bool, or None
        Valid frames; None if all are.

    Returns
    -------
    Tensor, shape (B, C, F, T)
        The maps.
    """
    return x if valid is None else x.masked_fill(~valid[:, None, None, :], 0.0)


def mean_valid(x: Tensor, valid: Tensor | None) -> Tensor:
    """Average feature maps over the positions of valid frames.

    Parameters
    ----------
    x : Tensor, shape (B, C, F, T)
        Feature maps, zero after the valid frames.
    valid : Tensor, shape (B, T), bool, or None
        Valid frames; None if all are.

    Returns
    -------
    Tensor, shape (B, C)
        Mean of each channel.
    """
    if valid is None:
        return x.mean(dim=(2, 3))
    return x.sum(dim=(2, 3)) / (valid.sum(dim=1, keepdim=True) * x.shape[2])
