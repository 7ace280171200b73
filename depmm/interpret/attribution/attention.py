"""Record the attention and the gates of a trained model with forward hooks.

Hooks are registered on every attention layer of the encoders and on the gates of the fusion. They
do not change the forward pass.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.fusion import BernoulliFusion
from depmm.models.fusion.dep_former.sparse_attention import QuerySelection, SparseAttention
from depmm.models.fusion.dep_former.sparse_encoder import (
    EncoderLayer,
    SparseEncoder,
    Stack,
    Steps,
    last_steps,
)
from depmm.models.model import DepressionModel

QUERIES_PER_CHUNK = 128  # bounds the memory of the attention of queries to all keys


class AttentionRecord(NamedTuple):
    """Attention and branches of a forward pass; None if the fusion has no such part.

    Attributes
    ----------
    logits : Tensor, shape (B, out)
        The fused prediction.
    attention : DataFrame or None
        One row per session, encoder, stack, layer, head and step: ``row`` (of the batch) and the
        columns of ``depmm.schemas.explanations.ATTENTION`` from ``encoder`` on, without ``word``
        and ``valence``. ``attention_received`` sums to 1 over the steps of a session, encoder,
        stack, layer and head.
    branches : DataFrame or None
        One row per session and branch: ``row`` (of the batch), ``branch``, ``logit`` (NaN if the
        branch is not present), ``gate`` and ``present``.
    """

    logits: Tensor
    attention: pd.DataFrame | None
    branches: pd.DataFrame | None


@torch.no_grad()
def record_attention(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> AttentionRecord:
    """Run the fusion on encoded sessions and record its attention and gates.

    After ``l`` distilling layers, a token represents several steps: token ``n`` of layer ``l`` is
    computed from the steps ``n 2^l ... (n + 1) 2^l - 1`` of the stack (max-pooling also uses the
    step before them). Each of these steps gets a row with the values of the token; the attention
    that the token receives is divided equally among them.

    Parameters
    ----------
    model : DepressionModel
        A trained model in evaluation mode.
    features : dict of str to Tensor, shape (B, L, D)
        Encoded sessions, from ``DepressionModel.encode``.
    masks : dict of str to Tensor, shape (B, L)
        True where the modality of a step is present.

    Returns
    -------
    AttentionRecord
        The prediction with the tables of attention and branches.

    Raises
    ------
    ValueError
        If the model is in training mode, in which query selection and gates are random.
    """
    if model.training:
        raise ValueError(
            "The model is in training mode, in which gates are random. Call model.eval() first."
        )
    fusion = model.fusion
    if not isinstance(fusion, DepFormer):
        return AttentionRecord(model.fuse(features, masks)[0], None, None)
    with ExitStack() as hooks:
        gates = _GateHooks(fusion.fusion, hooks)
        encoders = {
            name: _EncoderHooks(cast(SparseEncoder, encoder), hooks)
            for name, encoder in fusion.encoders.items()
        }
        logits, _ = model.fuse(features, masks)
    return AttentionRecord(
        logits,
        _build_attention_table(encoders, gates),
        _build_branch_table(model.head.logit, gates),
    )


def compute_attention_received(q: Tensor, k: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """Compute the share of the attention of all queries that each step receives as a key.

    Parameters
    ----------
    q : Tensor, shape (B, H, L, D)
        Queries.
    k : Tensor, shape (B, H, L, D)
        Keys.
    weight : Tensor, shape (B, H, L)
        Weight of each query; zero for a query that does not attend.
    mask : Tensor, shape (B, L)
        True for valid steps.

    Returns
    -------
    Tensor, shape (B, H, L)
        Sums to 1 over the steps; NaN if no query attends.
    """
    received = torch.zeros_like(weight)
    attending = int((weight > 0).sum(dim=-1).max())
    chosen_queries = weight.topk(attending, dim=-1).indices
    for chosen in torch.split(chosen_queries, QUERIES_PER_CHUNK, dim=-1):
        query = q.gather(2, chosen.unsqueeze(-1).expand(-1, -1, -1, q.shape[-1]))
        scores = (query / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
        attention = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)
        received += (weight.gather(2, chosen).unsqueeze(2) @ attention).squeeze(2)
    return received / received.sum(dim=-1, keepdim=True)


class _LayerHooks:
    """Hooks that store the values of one attention layer in the next forward pass.

    The values have the shape (B, H, N) for N tokens, except ``confidence`` (B, H, 1). Without a
    shared selection, ``shared_selected`` is False and ``confidence`` is NaN.
    """

    selected: Tensor
    shared_selected: Tensor
    sparsity: Tensor
    received: Tensor
    confidence: Tensor
    _scored: tuple[Tensor, Tensor, Tensor] | None = None  # q, k, mask, until the layer is done

    def __init__(self, attention: SparseAttention | AttentionSharing, hooks: ExitStack) -> None:
        if isinstance(attention, AttentionSharing):
            self.sharing = True
            hooks.enter_context(attention.confidence.register_forward_hook(self._keep_confidence))
            sparse = attention.attention
        else:
            self.sharing = False
            sparse = attention
        hooks.enter_context(sparse.selection.register_forward_hook(self._keep_selection))
        hooks.enter_context(attention.register_forward_hook(self._keep_received))

    def _keep_selection(
        self, module: QuerySelection, args: tuple[Tensor, ...], selected: Tensor
    ) -> None:
        self.selected, self.sparsity = selected, module.sparsity(*args)
        self._scored = args[0], args[1], args[2]

    def _keep_confidence(self, module: nn.Module, args: tuple[Tensor, ...], logit: Tensor) -> None:
        self.confidence = torch.sigmoid(logit).unsqueeze(-1)

    def _keep_received(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        assert self._scored is not None
        q, k, mask = self._scored
        self._scored = None
        if self.sharing:
            self.shared_selected = args[2].selected & mask[:, None]
            weight = self.confidence * self.selected + (1 - self.confidence) * self.shared_selected
        else:
            self.shared_selected = torch.zeros_like(self.selected)
            self.confidence = torch.full_like(q[:, :, :1, 0], torch.nan)
            weight = self.selected.to(q.dtype)
        self.received = compute_attention_received(q, k, weight, mask)


class _EncoderHooks:
    """Hooks that store the input steps of an encoder and the values of its layers by stack."""

    steps: Steps

    def __init__(self, encoder: SparseEncoder, hooks: ExitStack) -> None:
        hooks.enter_context(encoder.register_forward_hook(self._keep_steps))
        self.stacks = [
            [
                _LayerHooks(cast(EncoderLayer, layer).attention, hooks)
                for layer in cast(Stack, stack).layers
            ]
            for stack in encoder.stacks
        ]

    def _keep_steps(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        self.steps = args[0]

    def build_columns(self) -> Iterator[dict[str, np.ndarray]]:
        """Build the columns of each layer, in order of session, head and step."""
        # last_steps, which the encoder uses too, maps the positions of a stack to steps
        index = torch.arange(self.steps.mask.shape[1], device=self.steps.mask.device)
        indexed = self.steps._replace(x=index.expand(self.steps.mask.shape).unsqueeze(-1))
        for stack, layers in enumerate(self.stacks):
            stack_steps = last_steps(indexed, 2**stack)
            for layer, hooks in enumerate(layers):
                yield _build_layer_columns(hooks, stack_steps, stack, layer)


class _GateHooks:
    """Hooks that store the branch outputs and gates of the next forward pass."""

    logits: Tensor  # (B, K, out)
    present: Tensor  # (B, K)
    probability: Tensor  # (K,)

    def __init__(self, fusion: BernoulliFusion, hooks: ExitStack) -> None:
        self.names = fusion.branches
        hooks.enter_context(fusion.register_forward_hook(self._keep_gates))

    def _keep_gates(
        self, module: BernoulliFusion, args: tuple[Tensor, Tensor], output: Tensor
    ) -> None:
        self.logits, self.present = args
        self.probability = module.probabilities()


def _build_layer_columns(
    hooks: _LayerHooks, steps: Steps, stack: int, layer: int
) -> dict[str, np.ndarray]:
    """Build the rows of one layer: every step of the stack, with the values of its token.

    ``steps.x`` (B, P, 1) contains the index of the step at each position of the stack. The layer
    follows ``layer`` distilling layers.
    """
    token = torch.arange(steps.mask.shape[1], device=steps.mask.device) // 2**layer
    present = steps.mask.unsqueeze(1).expand(-1, hooks.selected.shape[1], -1)
    steps_of_token = torch.zeros_like(hooks.received[:, 0])
    steps_of_token.index_add_(1, token, steps.mask.to(steps_of_token.dtype))
    received = hooks.received / steps_of_token.clamp(min=1).unsqueeze(1)
    received = received[..., token].masked_fill(~present, 0.0)
    # the attention of a token without present steps belongs to no step: normalise again
    received = received / received.sum(dim=-1, keepdim=True)
    row, head, position = present.nonzero(as_tuple=True)
    cell = (row, head, token[position])
    head8 = head.to(torch.int8)
    columns = {
        "row": row,
        "stack": torch.full_like(head8, stack),
        "layer": torch.full_like(head8, layer),
        "head": head8,
        "step": steps.x[row, position, 0].int(),
        "selected": hooks.selected[cell],
        "shared_selected": hooks.shared_selected[cell],
        "not_shared": torch.full_like(row, not hooks.sharing, dtype=torch.bool),
        "sparsity": hooks.sparsity[cell].float(),
        "attention_received": received[row, head, position].float(),
        "confidence": hooks.confidence[row, head, 0].float(),
    }
    return {name: column.cpu().numpy() for name, column in columns.items()}


def _build_attention_table(encoders: dict[str, _EncoderHooks], gates: _GateHooks) -> pd.DataFrame:
    """Concatenate the rows of all layers, sorted by session."""
    layers = [(name, part) for name, hooks in encoders.items() for part in hooks.build_columns()]
    joined = {
        column: np.concatenate([part[column] for _, part in layers]) for column in layers[0][1]
    }
    encoder = pd.Series([name for name, _ in layers], dtype="str")
    encoder = encoder.repeat([len(part["row"]) for _, part in layers]).reset_index(drop=True)
    gate = dict(zip(gates.names, gates.probability.float().cpu().numpy(), strict=True))
    shared_selected = pd.arrays.BooleanArray(joined["shared_selected"], joined["not_shared"])
    table = pd.DataFrame(
        {
            "row": joined["row"],
            "encoder": encoder,
            **{name: joined[name] for name in ("stack", "layer", "head", "step", "selected")},
            "shared_selected": shared_selected,
            **{name: joined[name] for name in ("sparsity", "attention_received", "confidence")},
            "gate": encoder.map(gate).astype("float32"),
        }
    )
    return table.sort_values("row", kind="stable", ignore_index=True)


def _build_branch_table(get_logit: Callable[[Tensor], Tensor], gates: _GateHooks) -> pd.DataFrame:
    present = gates.present.cpu().numpy()
    logit = get_logit(gates.logits).double().cpu().numpy()
    rows, branches = present.shape
    return pd.DataFrame(
        {
            "row": np.arange(rows).repeat(branches),
            "branch": gates.names * rows,
            "logit": np.where(present, logit, np.nan).flatten(),
            "gate": np.tile(gates.probability.float().cpu().numpy(), rows),
            "present": present.flatten(),
        }
    )
