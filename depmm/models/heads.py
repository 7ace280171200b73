"""Heads: what predicted logits mean, and the loss that trains them.

Every head has the methods of ``Head``: the prediction of an output, what explanations compare, and
the loss.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from depmm.models.errors import ModelError


class Head(nn.Module, ABC):
    """Base class of the heads.

    Attributes
    ----------
    out_features : int
        Logits that the head needs per session or step.
    """

    out_features: int

    @abstractmethod
    def predict(self, output: Tensor) -> Tensor:
        """Convert logits to probabilities or scores.

        Parameters
        ----------
        output : Tensor, shape (..., out_features)
            Output of a fusion or of the auxiliary step head.

        Returns
        -------
        Tensor, shape (...)
            Probability of the positive class, or score.
        """

    def logit(self, output: Tensor) -> Tensor:
        """Reduce logits to the number that explanations compare: the only one, if there is one.

        Parameters
        ----------
        output : Tensor, shape (..., out_features)
            Output of a fusion or of the auxiliary step head.

        Returns
        -------
        Tensor, shape (...)
            The larger, the higher the prediction.
        """
        return output.squeeze(-1)

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of each session or step.

        Parameters
        ----------
        output : Tensor, shape (..., out_features)
            Output of a fusion or of the auxiliary step head.
        target : Tensor, shape (...)
            Labels 0 and 1, or scores.

        Returns
        -------
        Tensor, shape (...)
            Losses without reduction.
        """


class BinaryHead(Head):
    """One logit, whose sigmoid is the probability of the positive class."""

    out_features = 1

    def predict(self, output: Tensor) -> Tensor:
        """Compute probabilities.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Logits.

        Returns
        -------
        Tensor, shape (...)
            Probability of the positive class.
        """
        return torch.sigmoid(output.squeeze(-1))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the cross-entropy.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Logits.
        target : Tensor, shape (...)
            Labels, 0 or 1.

        Returns
        -------
        Tensor, shape (...)
            Cross-entropy of each session.
        """
        return functional.binary_cross_entropy_with_logits(
            output.squeeze(-1), target, reduction="none"
        )


class SeverityHead(Head):
    """One number, mapped by a sigmoid to the range of the instrument, so that no score is outside.

    Parameters
    ----------
    lowest, highest : float
        Range of the instrument, for example 0 and 63 for the BDI-II.

    Raises
    ------
    ModelError
        If the range is empty.
    """

    out_features = 1

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        _check_range(lowest, highest)
        self.lowest, self.highest = lowest, highest

    def predict(self, output: Tensor) -> Tensor:
        """Compute scores.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Logits.

        Returns
        -------
        Tensor, shape (...)
            Scores inside the range.
        """
        return self.lowest + (self.highest - self.lowest) * torch.sigmoid(output.squeeze(-1))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the squared error.

        It is the Euclidean loss of DepNet (Caffe's: half the mean squared distance) times a
        constant.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Logits.
        target : Tensor, shape (...)
            Scores.

        Returns
        -------
        Tensor, shape (...)
            Squared error of each session in units of the range.
        """
        return ((self.predict(output) - target) / (self.highest - self.lowest)).square()


class ClassesHead(Head):
    """One class for every whole score from lowest to highest; the prediction is their expectation.

    The 24 classes of EmoAudioNet are the scores 0 to 23 that occur under the PHQ-8 in DAIC-WOZ. The
    instrument has 25 scores, and a class without sessions does no harm.

    Parameters
    ----------
    lowest, highest : float
        First and last class, whole numbers.

    Raises
    ------
    ModelError
        If the range is empty or its limits are not whole numbers.

    References
    ----------
    Othmani et al., ICPR 2020 workshops.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        self.lowest, self.out_features = _count_classes(lowest, highest)

    def predict(self, output: Tensor) -> Tensor:
        """Compute expected scores.

        Parameters
        ----------
        output : Tensor, shape (..., K)
            Logits.

        Returns
        -------
        Tensor, shape (...)
            Expected scores.
        """
        classes = torch.arange(self.out_features, device=output.device, dtype=output.dtype)
        return self.lowest + output.softmax(-1) @ classes

    def logit(self, output: Tensor) -> Tensor:
        """Compute the expected score, since no single logit stands for it.

        Parameters
        ----------
        output : Tensor, shape (..., K)
            Logits.

        Returns
        -------
        Tensor, shape (...)
            Expected scores.
        """
        return self.predict(output)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the cross-entropy.

        Parameters
        ----------
        output : Tensor, shape (..., K)
            Logits.
        target : Tensor, shape (...)
            Whole scores.

        Returns
        -------
        Tensor, shape (...)
            Cross-entropy of each session.
        """
        classes = (target - self.lowest).round().long()
        return functional.cross_entropy(
            output.flatten(0, -2), classes.flatten(), reduction="none"
        ).view(classes.shape)


class OrdinalHead(Head):
    """One number against K - 1 ordered thresholds.

    ``P(score > k) = sigmoid(output + b_k)``: one direction for all, so that the probabilities keep
    their order wherever the learned ``b_k`` do.

    Parameters
    ----------
    lowest, highest : float
        First and last class, whole numbers.

    Raises
    ------
    ModelError
        If the range is empty or its limits are not whole numbers.

    References
    ----------
    Cao et al., "Rank consistent ordinal regression for neural networks with application to age
    estimation" (CORAL), Pattern Recognition Letters 2020, Sec. 3.3.
    """

    out_features = 1

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        self.lowest, n_classes = _count_classes(lowest, highest)
        # evenly spaced and in order; from zeros, training would start with every score in the
        # middle of the range
        self.threshold_bias = nn.Parameter(torch.linspace(2.0, -2.0, n_classes - 1))

    def predict(self, output: Tensor) -> Tensor:
        """Compute expected scores.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Logits.

        Returns
        -------
        Tensor, shape (...)
            Expected scores.
        """
        return self.lowest + torch.sigmoid(output + self.threshold_bias).sum(-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the mean cross-entropy of the K - 1 questions "above k?".

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Logits.
        target : Tensor, shape (...)
            Whole scores.

        Returns
        -------
        Tensor, shape (...)
            Cross-entropy of each session.
        """
        thresholds = torch.arange(len(self.threshold_bias), device=output.device)
        above = (target.unsqueeze(-1) - self.lowest > thresholds + 0.5).to(output.dtype)
        losses = functional.binary_cross_entropy_with_logits(
            output + self.threshold_bias, above, reduction="none"
        )
        return losses.mean(-1)


def build_head(target: str, output: str, lowest: float, highest: float) -> Head:
    """Build the head of a target.

    Parameters
    ----------
    target : {"binary", "severity", "levels"}
        ``TargetConfig.kind``.
    output : {"number", "classes", "ordinal"}
        ``TargetConfig.output``.
    lowest, highest : float
        Range of scores or levels.

    Returns
    -------
    BinaryHead, SeverityHead, ClassesHead or OrdinalHead
        The head.

    Raises
    ------
    ModelError
        If the range is empty, or its limits are not whole numbers where classes need them.
    """
    if target == "binary":
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
        raise ModelError(
            f"The range of scores is [{lowest}, {highest}]. The first must be smaller.",
            setting="target.range",
            value=[lowest, highest],
        )


def _count_classes(lowest: float, highest: float) -> tuple[int, int]:
    _check_range(lowest, highest)
    if lowest != int(lowest) or highest != int(highest):
        raise ModelError(
            f"The range of scores is [{lowest}, {highest}], but classes need whole numbers. Set "
            "target.output to number.",
            setting="target.output",
            value=[lowest, highest],
        )
    return int(lowest), int(highest - lowest) + 1
