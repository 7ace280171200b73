"""Domain-adversarial training: heads that predict nuisance variables behind a reversed gradient.

The heads learn to predict a nuisance, such as the gender or the corpus, from the fused embedding of
a session; the reversed gradient makes the embedding worse for them. They are a part of the training
only and are not saved with a model.

References
----------
Ganin et al., "Domain-adversarial training of neural networks", JMLR 17(59), 2016.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from depmm.models.errors import ModelError

Encoded = dict[str, Tensor]
MAX_TRIED_STEPS = 2  # of the dummy session whose embedding is measured


class _ReverseGradient(torch.autograd.Function):
    """Identity with a gradient multiplied by ``-strength`` (Ganin et al. 2016, Eqs. 16, 17)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Return ``x``; its gradient is multiplied by ``-strength``.

    Parameters
    ----------
    x : Tensor, shape (...)
        Features.
    strength : float
        Factor of the reversed gradient, lambda of the paper.

    Returns
    -------
    Tensor, shape (...)
        The same values.
    """
    result: Tensor = _ReverseGradient.apply(x, strength)  # type: ignore[no-untyped-call]
    return result


class NuisanceHeads(nn.Module):
    """One small classifier per nuisance, behind a gradient reversal.

    Parameters
    ----------
    embed_dim : int
        Size of the fused embedding of a session, see :func:`embed_sessions`.
    classes : dict of str to int
        Number of values of each nuisance.
    hidden_dim : int
        Size of the hidden layer; 100 for the smallest network of the paper (its Fig. 4a).

    Attributes
    ----------
    strength : float
        Factor of the reversed gradient. The training loop raises it in the course of the training.
    """

    def __init__(self, embed_dim: int, classes: dict[str, int], hidden_dim: int) -> None:
        super().__init__()
        self.names = list(classes)
        self.strength = 0.0
        # a list, because the name of a column may be that of a method of ModuleDict
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(embed_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, count))
            for count in classes.values()
        )

    def forward(self, embedding: Tensor) -> dict[str, Tensor]:
        """Predict every nuisance.

        Parameters
        ----------
        embedding : Tensor, shape (B, E)
            Fused embedding of each session.

        Returns
        -------
        dict of str to Tensor, shape (B, classes)
            Logits.
        """
        reversed_embedding = reverse_gradient(embedding, self.strength)
        return {
            name: head(reversed_embedding)
            for name, head in zip(self.names, self.heads, strict=True)
        }


def record_output_layers(
    model: nn.Module, features: Encoded, masks: Encoded, complete: bool = False
) -> tuple[list[tuple[nn.Linear, Tensor]], Tensor, Encoded]:
    """Fuse encoded steps, and record what the layers that predict each session read.

    This is the input of the linear layer of the fusion whose output is the logits, or, if the
    fusion adds the logits of several layers or calls, the inputs of all of them. Every fusion has
    such a layer, whose name contains ``output``; it is read by hooks from outside. For a mean pool,
    for example, it is the mean step of each modality.

    Parameters
    ----------
    model : Module
        A ``DepressionModel``.
    features : dict of str to Tensor, shape (B, L, D)
        As its ``encode`` returns them.
    masks : dict of str to Tensor, shape (B, L), bool
        As its ``encode`` returns them.
    complete : bool, default False
        Whether every session has every step in every modality.

    Returns
    -------
    calls : list of tuple of Linear and Tensor, shape (B, E)
        Layer and input of each call, with its gradient.
    logits : Tensor, shape (B, out)
        As ``fuse`` returns them.
    branch_logits : dict of str to Tensor, shape (B, out)
        As ``fuse`` returns them.

    Raises
    ------
    ModelError
        If the fusion has no output layer.
    """
    calls: list[tuple[nn.Linear, Tensor, Tensor]] = []
    batch = len(next(iter(masks.values())))

    def record(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if args[0].ndim == 2 and len(args[0]) >= batch:
            calls.append((cast(nn.Linear, module), args[0], output))

    fusion, out = cast(nn.Module, model.fusion), cast(Any, model.head).out_features
    layers = [
        module
        for name, module in fusion.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == out and "output" in name
    ]
    handles = [layer.register_forward_hook(record) for layer in layers]
    try:
        logits, branch_logits = cast(Any, model).fuse(features, masks, complete)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise ModelError(
            f"The fusion {type(fusion).__name__} has no linear output layer, so that there is no "
            "fused embedding of a session.",
            value=type(fusion).__name__,
            remedy="Name the layer that predicts the logits from the fused features output_layer.",
        )
    direct = [(layer, x) for layer, x, output in calls if output is logits]
    # branches may be predicted in the same call, after the sessions
    return direct or [(layer, x[:batch]) for layer, x, _ in calls], logits, branch_logits


def embed_sessions(
    model: nn.Module, features: Encoded, masks: Encoded, complete: bool = False
) -> tuple[Tensor, Tensor, Encoded]:
    """Fuse encoded steps, and concatenate what the layers that predict each session read.

    Parameters
    ----------
    model : Module
        A ``DepressionModel``.
    features : dict of str to Tensor, shape (B, L, D)
        As its ``encode`` returns them.
    masks : dict of str to Tensor, shape (B, L), bool
        As its ``encode`` returns them.
    complete : bool, default False
        Whether every session has every step in every modality.

    Returns
    -------
    embedding : Tensor, shape (B, E)
        Fused embedding, with its gradient; see :func:`record_output_layers`.
    logits : Tensor, shape (B, out)
        As ``fuse`` returns them.
    branch_logits : dict of str to Tensor, shape (B, out)
        As ``fuse`` returns them.

    Raises
    ------
    ModelError
        If the fusion has no output layer.
    """
    calls, logits, branch_logits = record_output_layers(model, features, masks, complete)
    return torch.cat([x for _, x in calls], dim=1), logits, branch_logits


@torch.no_grad()
def measure_embedding_size(model: nn.Module) -> int:
    """Measure the size of the fused embedding with a session of zeros.

    Parameters
    ----------
    model : Module
        A ``DepressionModel``.

    Returns
    -------
    int
        Size `E` of the output of :func:`embed_sessions`.

    Raises
    ------
    ModelError
        As ``embed_sessions``.
    """
    parameter = next(model.parameters())
    length = getattr(model.fusion, "num_steps", None) or MAX_TRIED_STEPS
    features = {
        name: torch.zeros(1, length, cast(int, encoder.embed_dim), device=parameter.device)
        for name, encoder in cast(nn.ModuleDict, model.encoders).items()
    }
    masks = {name: x[..., 0] == 0 for name, x in features.items()}
    was_training = model.training
    with torch.random.fork_rng(devices=[]):
        embedding, _, _ = embed_sessions(model.eval(), features, masks)
    model.train(was_training)
    return embedding.shape[1]
