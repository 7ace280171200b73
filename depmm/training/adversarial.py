"""Nuisance variables of domain-adversarial training: their heads, loss and schedule.

References
----------
Ganin et al., "Domain-adversarial training of neural networks", JMLR 17(59), 2016.
"""

import math

from torch import Tensor
from torch.nn.functional import cross_entropy

from depmm.config import AdversarialConfig, TrainingConfig
from depmm.data.experiment_data import ExperimentData
from depmm.data.nuisance import MISSING, encode_nuisance
from depmm.models.adversary import NuisanceHeads, measure_embedding_size
from depmm.models.model import DepressionModel


def add_nuisance_heads(
    model: DepressionModel, data: ExperimentData, settings: AdversarialConfig | None
) -> None:
    """Add the heads of domain-adversarial training to a new model, if there are settings.

    Parameters
    ----------
    model : DepressionModel
        The model; ``nuisance_heads`` is set.
    data : ExperimentData
        Sessions of the experiment.
    settings : AdversarialConfig, optional
        Nuisance and size of the heads.

    Raises
    ------
    DataError
        As ``encode_nuisance``.
    """
    if settings is None:
        return
    _, classes = encode_nuisance(data.sessions, settings.nuisance, "training.adversarial")
    counts = {name: len(values) for name, values in classes.items()}
    model.nuisance_heads = NuisanceHeads(
        measure_embedding_size(model), counts, settings.hidden_dim
    ).train(model.training)


def adversarial_strength(settings: AdversarialConfig, progress: float) -> float:
    """Compute the factor of the reversed gradient: 0 at the start, ``weight`` at the end.

    It applies to the gradient of the embedding only; the heads always learn at full rate.

    Parameters
    ----------
    settings : AdversarialConfig
        ``weight``, and ``gamma`` of the schedule.
    progress : float
        Share of the training that is done, from 0 to 1.

    Returns
    -------
    float
        ``weight * (2 / (1 + exp(-gamma p)) - 1)`` (Ganin et al. 2016, Sec. 5.2.2).
    """
    return settings.weight * (2 / (1 + math.exp(-settings.gamma * progress)) - 1)


def is_adversary_weak(settings: TrainingConfig, epoch: int) -> bool:
    """Find out whether the reversed gradient has not reached 95 % of its strength.

    Validation does not notice the nuisance, and would choose an epoch before it is unlearned. Such
    an epoch is kept only until the next one.

    Parameters
    ----------
    settings : TrainingConfig
        Epochs and ``adversarial``.
    epoch : int
        Index of the epoch, from 0.

    Returns
    -------
    bool
        False without domain-adversarial training.
    """
    if settings.adversarial is None:
        return False
    strength = adversarial_strength(settings.adversarial, epoch / settings.epochs)
    return strength < 0.95 * settings.adversarial.weight


def compute_nuisance_loss(
    logits: dict[str, Tensor], labels: dict[str, Tensor], weight: Tensor
) -> Tensor:
    """Sum the cross-entropies of all nuisances; missing values have no loss.

    Parameters
    ----------
    logits : dict of str to Tensor, shape (B, classes)
        Output of the heads.
    labels : dict of str to Tensor, shape (B,), int64
        Class of each session, or ``MISSING``.
    weight : Tensor, shape (B,)
        Weight of each session in the batch.

    Returns
    -------
    Tensor, shape ()
        The loss.
    """
    losses = [
        cross_entropy(logits[name], labels[name], ignore_index=MISSING, reduction="none")
        for name in logits
    ]
    total: Tensor = sum((loss * weight).sum() for loss in losses)  # type: ignore[assignment]
    return total
