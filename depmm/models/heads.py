"""Heads: what predicted numbers mean, and the loss that teaches them."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class BinaryHead(nn.Module):
    """One logit; the sigmoid is P(depressed) or P(positive class)."""

    out_features = 1

    def predict(self, output: Tensor) -> Tensor:
        """Turn Tensor[..., 1] logits into Tensor[...] probabilities."""
        return torch.sigmoid(output.squeeze(-1))

    def logit(self, output: Tensor) -> Tensor:
        """What an explanation compares, Tensor[...]: the logit."""
        return output.squeeze(-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy per session, Tensor[...], from logits Tensor[..., 1] and labels 0 or 1."""
        return functional.binary_cross_entropy_with_logits(
            output.squeeze(-1), target, reduction="none"
        )


class SeverityHead(nn.Module):
    """One number, squashed into the instrument's range, so that no score is impossible.

    Parameters
    ----------
    lowest, highest : range of the instrument, e.g. 0 and 63 for BDI-II
    """

    out_features = 1

    def __init__(self, lowest: float, highest: float):
        super().__init__()
        _check_range(lowest, highest)
        self.lowest, self.highest = lowest, highest

    def predict(self, output: Tensor) -> Tensor:
        """Turn Tensor[..., 1] into scores Tensor[...]."""
        return self.lowest + (self.highest - self.lowest) * torch.sigmoid(output.squeeze(-1))

    def logit(self, output: Tensor) -> Tensor:
        """What an explanation compares, Tensor[...]: the number before it is squashed."""
        return output.squeeze(-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Squared error per session in units of the range, Tensor[...].

        The Euclidean loss of DepNet (Caffe's, half the mean squared distance) times a constant.
        """
        return ((self.predict(output) - target) / (self.highest - self.lowest)).square()


class ClassesHead(nn.Module):
    """A class for every whole score from lowest to highest; predicts their expectation.

    EmoAudioNet's 24 classes are the scores 0 ... 23 that occur under PHQ-8 in DAIC-WOZ; the
    instrument itself has 25, and a class that nobody has does no harm.

    Parameters
    ----------
    lowest, highest : whole numbers, the first and the last class
    """

    def __init__(self, lowest: float, highest: float):
        super().__init__()
        self.lowest, self.out_features = _count_classes(lowest, highest)

    def predict(self, output: Tensor) -> Tensor:
        """Turn Tensor[..., K] logits into expected scores Tensor[...]."""
        classes = torch.arange(self.out_features, device=output.device, dtype=output.dtype)
        return self.lowest + output.softmax(-1) @ classes

    def logit(self, output: Tensor) -> Tensor:
        """What an explanation compares, Tensor[...]: the expected score."""
        return self.predict(output)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy per session, Tensor[...], from logits Tensor[..., K] and whole scores."""
        classes = (target - self.lowest).round().long()
        return functional.cross_entropy(
            output.flatten(0, -2), classes.flatten(), reduction="none"
        ).view(classes.shape)


class OrdinalHead(nn.Module):
    """One number against K - 1 ordered thresholds (CORAL: Cao et al. 2020, section 3.3).

    P(score > k) = sigmoid(output + b_k): one direction for all, so that the probabilities keep
    their order wherever the learned b_k do.

    Parameters
    ----------
    lowest, highest : whole numbers, the first and the last class
    """

    out_features = 1

    def __init__(self, lowest: float, highest: float):
        super().__init__()
        self.lowest, classes = _count_classes(lowest, highest)
        # evenly spread and in order; a start at zero would put everybody in the middle
        self.threshold_bias = nn.Parameter(torch.linspace(2.0, -2.0, classes - 1))

    def predict(self, output: Tensor) -> Tensor:
        """Turn Tensor[..., 1] into expected scores Tensor[...]."""
        return self.lowest + torch.sigmoid(output + self.threshold_bias).sum(-1)

    def logit(self, output: Tensor) -> Tensor:
        """What an explanation compares, Tensor[...]: the number that the thresholds cut."""
        return output.squeeze(-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of the K - 1 questions "higher than k?" per session, Tensor[...]."""
        steps = torch.arange(len(self.threshold_bias), device=output.device)
        higher = (target.unsqueeze(-1) - self.lowest > steps + 0.5).to(output.dtype)
        logits = output + self.threshold_bias
        return functional.binary_cross_entropy_with_logits(logits, higher, reduction="none").mean(
            -1
        )


Head = BinaryHead | SeverityHead | ClassesHead | OrdinalHead


def build_head(task: str, output: str, lowest: float, highest: float) -> Head:
    """Build the head of a task (``TargetConfig.kind`` and ``.output``).

    Raises
    ------
    ValueError : a range that is empty, or not of whole numbers where classes need it
    """
    if task == "binary":
        return BinaryHead()
    match output:
        case "number":
            return SeverityHead(lowest, highest)
        case "classes":
            return ClassesHead(lowest, highest)
        case "ordinal":
            return OrdinalHead(lowest, highest)
    raise AssertionError(output)


def _check_range(lowest: float, highest: float) -> None:
    if not lowest < highest:
        raise ValueError(f"severity range [{lowest}, {highest}]: the first must be smaller")


def _count_classes(lowest: float, highest: float) -> tuple[int, int]:
    _check_range(lowest, highest)
    if lowest != int(lowest) or highest != int(highest):
        raise ValueError(
            f"severity range [{lowest}, {highest}]: classes need whole numbers; set "
            "target.output to number"
        )
    return int(lowest), int(highest - lowest) + 1
