"""Interface of the output heads; ``depmm.models.heads`` contains the heads."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


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
        """Reduce the logits to the scalar that explanations compare.

        This is the logit itself if the head has only one.

        Parameters
        ----------
        output : Tensor, shape (..., out_features)
            Output of a fusion or of the auxiliary step head.

        Returns
        -------
        Tensor, shape (...)
            A larger value means a higher prediction.
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
