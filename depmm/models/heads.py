"""Heads: what a predicted number means, and the loss that teaches it."""

import torch
from torch import Tensor, nn


class BinaryHead(nn.Module):
    """One logit; the sigmoid is P(depressed) or P(positive class)."""

    out_features = 1
    target = "label"

    def predict(self, output: Tensor) -> Tensor:
        """Turn Tensor[..., 1] logits into Tensor[...] probabilities."""
        return torch.sigmoid(output.squeeze(-1))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy per session, Tensor[...], from logits Tensor[..., 1] and labels 0 or 1."""
        return nn.functional.binary_cross_entropy_with_logits(
            output.squeeze(-1), target, reduction="none"
        )


class SeverityHead(nn.Module):
    """One number, squashed into the instrument's range, so that no score is impossible.

    Parameters
    ----------
    lowest, highest : range of the instrument, e.g. 0 and 63 for BDI-II
    """

    out_features = 1
    target = "score"

    def __init__(self, lowest: float, highest: float):
        super().__init__()
        if not lowest < highest:
            raise ValueError(f"severity range [{lowest}, {highest}]: the first must be smaller")
        self.lowest, self.highest = lowest, highest

    def predict(self, output: Tensor) -> Tensor:
        """Turn Tensor[..., 1] into scores Tensor[...]."""
        return self.lowest + (self.highest - self.lowest) * torch.sigmoid(output.squeeze(-1))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Squared error per session in units of the range, Tensor[...]."""
        return ((self.predict(output) - target) / (self.highest - self.lowest)).square()
