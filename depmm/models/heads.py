"""Output heads: convert logits to predictions and compute the loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from depmm.models.errors import ModelError
from depmm.models.head import Head


class BinaryHead(Head):
    """Predict the probability of the positive class as the sigmoid of one logit."""

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
    """Predict a score from one logit, which a sigmoid maps to the range of the instrument.

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
        """Compute the squared error relative to the range.

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


class LinearHead(Head):
    """Predict a score with one linear output, which is the score itself.

    A prediction can be outside of the range of the instrument; it is not clipped. The loss is in
    squared points, so that its gradients are larger than those of ``SeverityHead`` by about the
    square of the range: a learning rate that suits one head does not suit the other.

    References
    ----------
    He et al., "DepNet", Int. J. Intell. Syst. 2021, Sec. 5.2.1 ("only one neuron") and Eq. 5.
    """

    out_features = 1

    def predict(self, output: Tensor) -> Tensor:
        """Return the scores.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Scores.

        Returns
        -------
        Tensor, shape (...)
            The same scores.
        """
        return output.squeeze(-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute half the squared error, whose mean over sessions is the Euclidean loss.

        Parameters
        ----------
        output : Tensor, shape (..., 1)
            Scores.
        target : Tensor, shape (...)
            Measured scores.

        Returns
        -------
        Tensor, shape (...)
            Half the squared error of each session, in squared points.
        """
        return (output.squeeze(-1) - target).square() / 2


class ClassesHead(Head):
    """Classify every whole score from lowest to highest and predict the expected score.

    EmoAudioNet has 24 classes, the PHQ-8 scores 0 to 23 that occur in DAIC-WOZ. The PHQ-8 has 25
    possible scores; a class without training sessions is harmless. With the classes 0 and 1 of a
    binary target, the expected score is the probability of class 1.

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
            Expected scores, or the probability of class 1 if the classes are 0 and 1.
        """
        classes = torch.arange(self.out_features, device=output.device, dtype=output.dtype)
        return self.lowest + output.softmax(-1) @ classes

    def logit(self, output: Tensor) -> Tensor:
        """Compute the log odds of two classes, or the expected score of more.

        Parameters
        ----------
        output : Tensor, shape (..., K)
            Logits.

        Returns
        -------
        Tensor, shape (...)
            Second minus first logit if there are two classes. The scores of more classes have no
            single logit, and the expected score takes its place.
        """
        if self.out_features == 2:
            return output[..., 1] - output[..., 0]
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
    """Compare one logit with K - 1 learned thresholds (ordinal regression).

    ``P(score > k) = sigmoid(output + b_k)``. All thresholds share the same logit, so that the
    probabilities are ordered if the learned ``b_k`` are.

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
        # ordered and evenly spaced; with zeros, every initial prediction would be the middle of the
        # range
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
        """Compute the mean cross-entropy of the K - 1 binary decisions "score > k".

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
    output : {"number", "linear", "classes", "ordinal"}
        ``TargetConfig.output``; a binary target has ``number`` (one logit) or ``classes`` (two).
    lowest, highest : float
        Range of scores or levels.

    Returns
    -------
    BinaryHead, SeverityHead, LinearHead, ClassesHead or OrdinalHead
        The head.

    Raises
    ------
    ModelError
        If the range is empty, or its limits are not whole numbers where classes need them.
    """
    if target == "binary":
        return ClassesHead(0, 1) if output == "classes" else BinaryHead()
    match output:
        case "number":
            return SeverityHead(lowest, highest)
        case "linear":
            return LinearHead()
        case "classes":
            return ClassesHead(lowest, highest)
        case "ordinal":
            return OrdinalHead(lowest, highest)
    raise AssertionError(output)


def _check_range(lowest: float, highest: float) -> None:
    if not lowest < highest:
        raise ModelError(
            f"The range of scores is [{lowest}, {highest}], but the first value must be smaller.",
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
