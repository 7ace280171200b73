"""Record the attention and the gates of a trained model with forward hooks.

Hooks are registered on every attention layer of the encoders and on the gates of the fusion. They
do not change the forward pass. ``fusion_weights`` records other fusions than DEP-Former.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from depmm.interpret.attribution.fusion_weights import build_branch_table, record_weights
from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.layers import EncoderLayer, LayerPosition
from depmm.models.fusion.dep_former.query_selection import QuerySelection
from depmm.models.fusion.dep_former.release import DepFormerRelease, StackedEncoder
from depmm.models.fusion.dep_former.sparse_encoder import SparseEncoder
from depmm.models.model import DepressionModel

QUERIES_PER_CHUNK = 128  # bounds the memory of the attention of queries to all keys


class AttentionRecord(NamedTuple):
    """Attention and branches of a forward pass; None if the fusion has no such part.

    Attributes
    ----------
    logits : Tensor, shape (B, out)
        The fused prediction.
    attention : DataFrame or None
        One row per session, encoder, block, layer, head and step: ``row`` (of the batch) and the
        columns of ``depmm.schemas.explanations.ATTENTION`` from ``encoder`` on, without ``word``
        and ``valence``. ``attention_received`` sums to 1 over the steps of a session, encoder,
        block, layer and head.
    branches : DataFrame or None
        One row per session and branch: ``row`` (of the batch), ``branch``, ``logit`` (NaN if the
        branch is not present), ``gate`` (1 if there is only one branch) and ``present``.
    """

    logits: Tensor
    attention: pd.DataFrame | None
    branches: pd.DataFrame | None


@torch.no_grad()
def record_attention(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> AttentionRecord:
    """Run the fusion on encoded sessions and record its attention and gates.

    After ``h`` max-poolings, a token represents several steps: token ``n`` is computed from the
    steps ``n 2^h ... (n + 1) 2^h - 1`` that its block reads (max-pooling also uses the step before
    them). Each of these steps gets a row with the values of the token; the attention that the token
    receives is divided equally among them.

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
    if not isinstance(fusion, DepFormer | DepFormerRelease):
        return AttentionRecord(*record_weights(model, features, masks))
    weights = fusion.fusion
    gates = torch.ones(1) if weights is None else weights.probabilities().cpu()
    with ExitStack() as hooks:
        calls = _record_calls(fusion, hooks)
        logits, branch_logits = model.fuse(features, masks)
    gate = dict(zip(fusion.branches, gates.tolist(), strict=True))
    branch_table = build_branch_table(
        {name: model.head.logit(branch_logits[name]) for name in fusion.branches},
        fusion.present_branches(masks),
        np.tile(gates.numpy(), (len(logits), 1)),
    )
    present = dict(masks) | {"multimodal": torch.stack(list(masks.values())).any(dim=0)}
    layers = [(call.encoder, _build_layer_columns(call, present[call.encoder])) for call in calls]
    return AttentionRecord(logits, _build_attention_table(layers, gate), branch_table)


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


@dataclass
class _LayerCall:
    """One call of an attention layer.

    The values have the shape (B, H, N) for N tokens, except ``confidence`` (B, H, 1). Without a
    shared selection, ``shared_selected`` is False and ``confidence`` is NaN.
    """

    encoder: str
    position: LayerPosition
    sharing: bool
    selected: Tensor
    shared_selected: Tensor
    sparsity: Tensor
    received: Tensor
    confidence: Tensor


class _LayerHooks:
    """Hooks that store the values of one attention layer each time it is called."""

    _scored: tuple[Tensor, Tensor, Tensor]  # q, k, mask
    _selected: Tensor
    _sparsity: Tensor
    _confidence: Tensor

    def __init__(self, layer: EncoderLayer, add: Callable[..., None], hooks: ExitStack) -> None:
        attention = layer.attention
        self.add = add
        self.sharing = isinstance(attention, AttentionSharing)
        sparse = attention
        if isinstance(attention, AttentionSharing):
            hooks.enter_context(attention.confidence.register_forward_hook(self._keep_confidence))
            sparse = attention.attention
        selection = cast(QuerySelection, sparse.selection)
        hooks.enter_context(selection.register_forward_hook(self._keep_selection))
        hooks.enter_context(attention.register_forward_hook(self._add_call))

    def _keep_selection(
        self, module: QuerySelection, args: tuple[Tensor, ...], selected: Tensor
    ) -> None:
        self._selected, self._sparsity = selected, module.sparsity(*args)
        self._scored = args[0], args[1], args[2]

    def _keep_confidence(self, module: nn.Module, args: tuple[Tensor, ...], logit: Tensor) -> None:
        self._confidence = torch.sigmoid(logit).unsqueeze(-1)

    def _add_call(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        q, k, mask = self._scored
        one_per_head = q[:, :, :1, 0]
        shared_selected = torch.zeros_like(self._selected)
        confidence = torch.full_like(one_per_head, torch.nan)
        weight = self._selected.to(q.dtype)
        if self.sharing:
            shared_selected = args[2].selected & mask[:, None]
            confidence = self._confidence.expand_as(one_per_head)
            weight = confidence * self._selected + (1 - confidence) * shared_selected
        received = compute_attention_received(q, k, weight, mask)
        self.add(
            sharing=self.sharing,
            selected=self._selected,
            shared_selected=shared_selected,
            sparsity=self._sparsity,
            received=received,
            confidence=confidence,
        )


def _record_calls(fusion: DepFormer | DepFormerRelease, hooks: ExitStack) -> list[_LayerCall]:
    """Register hooks that append every call of an attention layer to the returned list.

    An encoder or a layer may be called several times; the order of the calls is known.
    """
    calls: list[_LayerCall] = []
    names = iter(fusion.encoder_order)
    current: list[tuple[str, Iterator[LayerPosition]]] = []

    def begin_encoder(module: nn.Module, args: tuple[Any, ...]) -> None:
        encoder = cast(SparseEncoder | StackedEncoder, module)
        current[:] = [(next(names), iter(encoder.positions))]

    def add(**values: Any) -> None:
        encoder, positions = current[0]
        calls.append(_LayerCall(encoder, next(positions), **values))

    for module in fusion.modules():
        if isinstance(module, SparseEncoder | StackedEncoder):
            hooks.enter_context(module.register_forward_pre_hook(begin_encoder))
        elif isinstance(module, EncoderLayer):
            _LayerHooks(module, add, hooks)
    return calls


def _build_layer_columns(call: _LayerCall, mask: Tensor) -> dict[str, np.ndarray]:
    """Build the rows of one layer: every step that its block reads, with the values of its token.

    ``mask`` (B, L) marks the steps that the encoder has.
    """
    block, layer, halvings, divisor = call.position
    length = mask.shape[1]
    first = length - -(-length // divisor)
    read = mask[:, first:]
    token = torch.arange(read.shape[1], device=mask.device) // 2**halvings
    present = read.unsqueeze(1).expand(-1, call.selected.shape[1], -1)
    steps_of_token = torch.zeros_like(call.received[:, 0])
    steps_of_token.index_add_(1, token, read.to(steps_of_token.dtype))
    received = call.received / steps_of_token.clamp(min=1).unsqueeze(1)
    received = received[..., token].masked_fill(~present, 0.0)
    # the attention of a token without present steps belongs to no step: normalise again
    received = received / received.sum(dim=-1, keepdim=True)
    row, head, position = present.nonzero(as_tuple=True)
    cell = (row, head, token[position])
    head8 = head.to(torch.int8)
    columns = {
        "row": row,
        "block": torch.full_like(head8, block),
        "layer": torch.full_like(head8, layer),
        "head": head8,
        "step": (position + first).int(),
        "selected": call.selected[cell],
        "shared_selected": call.shared_selected[cell],
        "not_shared": torch.full_like(row, not call.sharing, dtype=torch.bool),
        "sparsity": call.sparsity[cell].float(),
        "attention_received": received[row, head, position].float(),
        "confidence": call.confidence[row, head, 0].float(),
    }
    return {name: column.cpu().numpy() for name, column in columns.items()}


def _build_attention_table(
    layers: list[tuple[str, dict[str, np.ndarray]]], gate: dict[str, float]
) -> pd.DataFrame:
    """Concatenate the rows of all layers, sorted by session."""
    joined = {
        column: np.concatenate([part[column] for _, part in layers]) for column in layers[0][1]
    }
    encoder = pd.Series([name for name, _ in layers], dtype="str")
    encoder = encoder.repeat([len(part["row"]) for _, part in layers]).reset_index(drop=True)
    shared_selected = pd.arrays.BooleanArray(joined["shared_selected"], joined["not_shared"])
    table = pd.DataFrame(
        {
            "row": joined["row"],
            "encoder": encoder,
            **{name: joined[name] for name in ("block", "layer", "head", "step", "selected")},
            "shared_selected": shared_selected,
            **{name: joined[name] for name in ("sparsity", "attention_received", "confidence")},
            "gate": encoder.map(gate).astype("float32"),
        }
    )
    return table.sort_values("row", kind="stable", ignore_index=True)
