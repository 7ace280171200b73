"""Output of a DepressionModel."""

# transformers has no type annotations that mypy can use
# mypy: disallow-subclassing-any=False

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class DepressionOutput(ModelOutput):
    """Output of a ``DepressionModel``.

    Attributes
    ----------
    prediction : Tensor, shape (B,)
        Probability of the positive class, or severity score.
    logits : Tensor, shape (B, out)
        Input of the head.
    branch_logits : dict of str to Tensor, shape (B, out)
        Logits of each branch before they are fused.
    branch_mask : Tensor, shape (B, K), bool, optional
        Branches whose modalities each session has, in the order of ``branch_logits``; None if
        every session has all of them.
    step_logits : Tensor, shape (B, L, out), optional
        Logits of each step, if the model has an auxiliary step head.
    step_mask : Tensor, shape (B, L), bool
        Steps with at least one modality.
    nuisance_logits : dict of str to Tensor, shape (B, classes), optional
        Logits of each nuisance, in domain-adversarial training.
    """

    prediction: Tensor | None = None
    logits: Tensor | None = None
    branch_logits: dict[str, Tensor] | None = None
    branch_mask: Tensor | None = None
    step_logits: Tensor | None = None
    step_mask: Tensor | None = None
    nuisance_logits: dict[str, Tensor] | None = None
