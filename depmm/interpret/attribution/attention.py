"""What the attention and the gates of a trained model do: hooks on, forward, hooks off.

Every attention layer of every encoder is watched, and the gates of the fusion. No forward knows of
it, and its output is the same bits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from depmm.models.fusion.dep_former.attention_sharing import AttentionSharing
from depmm.models.fusion.dep_former.dep_former import BernoulliFusion, DepFormer
from depmm.models.fusion.dep_former.encoder import (
    EncoderLayer,
    SparseEncoder,
    Stack,
    Steps,
    last_steps,
)
from depmm.models.fusion.dep_former.sparse_attention import QuerySelection, SparseAttention
from depmm.models.model import DepressionModel

QUERIES_AT_ONCE = 128  # attention of so many queries to all keys is held in memory


class Recording(NamedTuple):
    """What a forward did; None where the model has no such part.

    Attributes
    ----------
    logits : Tensor[B, out], the fused prediction
    attention : one row a (row of the batch, encoder, stack, layer, head, step): ``row``,
        ``encoder`` (multimodal, face, audio), ``stack``, ``layer``, ``head``, ``step``, ``own`` and
        ``shared`` (whether that index selects the step; shared is null without one), ``sparsity``
        (Informer's M), ``received`` (share of the attending queries' attention that reads the step;
        those of a session, encoder, stack, layer and head add up to 1), ``confidence`` (in the own
        index; null without a shared one) and ``gate`` (probability, or fixed weight, of the
        encoder's branch)
    branches : one row a (row of the batch, branch): ``row``, ``branch``, ``logit`` (the head's
        evidence; null where the branch is not present), ``gate``, ``present``
    """

    logits: Tensor
    attention: pd.DataFrame | None
    branches: pd.DataFrame | None


@torch.no_grad()
def record(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> Recording:
    """Run the fusion on encoded sessions and write down what it attends to.

    A layer behind distilling, and a stack of the last steps, sees tokens: token ``n`` of layer
    ``l`` stands for the steps at places ``n 2^l ... (n + 1) 2^l - 1`` of the stack, each of which
    gets the token's row (max-pooling also looks at one place before them). What a token receives is
    shared out equally among its steps.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``

    Raises
    ------
    ValueError : the model is in training mode, where its choices are drawn
    """
    if model.training:
        raise ValueError("the model is in training mode, its choices are draws: call model.eval()")
    fusion = model.fusion
    if not isinstance(fusion, DepFormer):
        return Recording(model.fuse(features, masks)[0], None, None)
    with ExitStack() as hooks:
        gates = _GateWatch(fusion.fusion, hooks)
        encoders = {
            name: _EncoderWatch(cast(SparseEncoder, encoder), hooks)
            for name, encoder in fusion.encoders.items()
        }
        logits, _ = model.fuse(features, masks)
    return Recording(
        logits, _attention_table(encoders, gates), _branch_table(model.head.logit, gates)
    )


def attention_received(q: Tensor, k: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """Share of the queries' attention that each step receives as a key.

    Parameters
    ----------
    q, k : Tensor[B, H, L, D]
    weight : Tensor[B, H, L], of each query; zero where it does not attend
    mask : Tensor[B, L] bool, valid steps

    Returns
    -------
    Tensor[B, H, L], adds up to 1 over the steps; nan where no query attends
    """
    received = torch.zeros_like(weight)
    attending = int((weight > 0).sum(dim=-1).max())
    for chosen in weight.topk(attending, dim=-1).indices.split(QUERIES_AT_ONCE, dim=-1):
        query = q.gather(2, chosen.unsqueeze(-1).expand(-1, -1, -1, q.shape[-1]))
        scores = (query / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
        read = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)
        received += (weight.gather(2, chosen).unsqueeze(2) @ read).squeeze(2)
    return received / received.sum(dim=-1, keepdim=True)


class _LayerWatch:
    """What one attention layer does in the next forward.

    All Tensor[B, H, N] of its N places, but ``confidence`` Tensor[B, H, 1]; where nothing is shared
    (``sharing``), ``shared`` is False and ``confidence`` nan.
    """

    own: Tensor
    shared: Tensor
    sparsity: Tensor
    received: Tensor
    confidence: Tensor
    _scored: tuple[Tensor, Tensor, Tensor] | None = None  # q, k, mask, until the layer is done

    def __init__(self, attention: SparseAttention | AttentionSharing, hooks: ExitStack):
        if isinstance(attention, AttentionSharing):
            self.sharing = True
            hooks.enter_context(attention.confidence.register_forward_hook(self._weighed))
            plain = attention.attention
        else:
            self.sharing = False
            plain = attention
        hooks.enter_context(plain.selection.register_forward_hook(self._selected))
        hooks.enter_context(attention.register_forward_hook(self._attended))

    def _selected(self, module: QuerySelection, given: tuple[Tensor, ...], own: Tensor) -> None:
        self.own, self.sparsity = own, module.sparsity(*given)
        self._scored = given[0], given[1], given[2]

    def _weighed(self, module: nn.Module, given: tuple[Tensor, ...], logit: Tensor) -> None:
        self.confidence = torch.sigmoid(logit).unsqueeze(-1)

    def _attended(self, module: nn.Module, given: tuple, read: tuple[Tensor, Tensor]) -> None:
        assert self._scored is not None
        q, k, mask = self._scored
        self._scored = None
        if self.sharing:
            self.shared = given[2].selected & mask[:, None]
            weight = self.confidence * self.own + (1 - self.confidence) * self.shared
        else:
            self.shared = torch.zeros_like(self.own)
            self.confidence = torch.full_like(q[:, :, :1, 0], torch.nan)
            weight = self.own.to(q.dtype)
        self.received = attention_received(q, k, weight, mask)


class _EncoderWatch:
    """The steps that an encoder sees in the next forward, and its layers by stack."""

    steps: Steps

    def __init__(self, encoder: SparseEncoder, hooks: ExitStack):
        hooks.enter_context(encoder.register_forward_hook(self._encoded))
        self.stacks = [
            [
                _LayerWatch(cast(EncoderLayer, layer).attention, hooks)
                for layer in cast(Stack, stack).layers
            ]
            for stack in encoder.stacks
        ]

    def _encoded(self, module: nn.Module, given: tuple, tokens: object) -> None:
        self.steps = given[0]

    def columns(self) -> Iterator[dict[str, np.ndarray]]:
        """The rows of each layer, in order of session, head and step."""
        # the encoder's own function tells which step stands at which place of a stack
        number = torch.arange(self.steps.mask.shape[1], device=self.steps.mask.device)
        numbered = self.steps._replace(x=number.expand(self.steps.mask.shape).unsqueeze(-1))
        for stack, layers in enumerate(self.stacks):
            seen = last_steps(numbered, 2**stack)
            for layer, watch in enumerate(layers):
                yield _layer_columns(watch, seen, stack, layer)


class _GateWatch:
    """Branch predictions and gates in the next forward."""

    logits: Tensor  # [B, K, out]
    present: Tensor  # [B, K] bool
    probability: Tensor  # [K]

    def __init__(self, fusion: BernoulliFusion, hooks: ExitStack):
        self.names = fusion.branches
        hooks.enter_context(fusion.register_forward_hook(self._fused))

    def _fused(self, module: BernoulliFusion, given: tuple[Tensor, Tensor], fused: Tensor) -> None:
        self.logits, self.present = given
        self.probability = module.probabilities()


def _layer_columns(
    watch: _LayerWatch, seen: Steps, stack: int, layer: int
) -> dict[str, np.ndarray]:
    """Rows of one layer: every step that the stack sees, with the values of its token.

    Parameters
    ----------
    watch : after a forward
    seen : the step number, Tensor[B, P, 1], at each place of the stack
    stack, layer : number of the stack, and of the layer in it: as many distillings lie before it
    """
    token = torch.arange(seen.mask.shape[1], device=seen.mask.device) // 2**layer
    there = seen.mask.unsqueeze(1).expand(-1, watch.own.shape[1], -1)
    steps_of_token = torch.zeros_like(watch.received[:, 0])
    steps_of_token.index_add_(1, token, seen.mask.to(steps_of_token.dtype))
    received = watch.received / steps_of_token.clamp(min=1).unsqueeze(1)
    received = received[..., token].masked_fill(~there, 0.0)
    # a token may see nothing but the place before its own steps: no step has its share
    received = received / received.sum(dim=-1, keepdim=True)
    row, head, place = there.nonzero(as_tuple=True)
    at = (row, head, token[place])
    head8 = head.to(torch.int8)
    columns = {
        "row": row,
        "stack": torch.full_like(head8, stack),
        "layer": torch.full_like(head8, layer),
        "head": head8,
        "step": seen.x[row, place, 0].int(),
        "selected": watch.own[at],
        "shared_selected": watch.shared[at],
        "without": torch.full_like(row, not watch.sharing, dtype=torch.bool),
        "sparsity": watch.sparsity[at].float(),
        "attention_received": received[row, head, place].float(),
        "confidence": watch.confidence[row, head, 0].float(),
    }
    return {name: column.cpu().numpy() for name, column in columns.items()}


def _attention_table(encoders: dict[str, _EncoderWatch], gates: _GateWatch) -> pd.DataFrame:
    """Join the rows of all layers, session by session."""
    layers = [(name, part) for name, watch in encoders.items() for part in watch.columns()]
    joined = {
        column: np.concatenate([part[column] for _, part in layers]) for column in layers[0][1]
    }
    encoder = pd.Series([name for name, _ in layers], dtype="str")
    encoder = encoder.repeat([len(part["row"]) for _, part in layers]).reset_index(drop=True)
    gate = dict(zip(gates.names, gates.probability.float().cpu().numpy(), strict=True))
    table = pd.DataFrame(
        {
            "row": joined["row"],
            "encoder": encoder,
            **{name: joined[name] for name in ("stack", "layer", "head", "step", "selected")},
            "shared_selected": pd.arrays.BooleanArray(joined["shared_selected"], joined["without"]),
            **{name: joined[name] for name in ("sparsity", "attention_received", "confidence")},
            "gate": encoder.map(gate).astype("float32"),
        }
    )
    return table.sort_values("row", kind="stable", ignore_index=True)


def _branch_table(evidence: Callable[[Tensor], Tensor], gates: _GateWatch) -> pd.DataFrame:
    present = gates.present.cpu().numpy()
    logit = evidence(gates.logits).double().cpu().numpy()
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
