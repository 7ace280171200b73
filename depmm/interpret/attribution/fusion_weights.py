"""Record the weights of steps and modalities of fusions other than DEP-Former with forward hooks.

Recorded are the attention over steps of ``gru_attention``, the attention of each layer of
``cross_modal_transformer``, the gates of ``gated_multimodal_unit``, and the logits of all branches.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from depmm.models.fusion.cross_modal_transformer import (
    CrossModalEncoder,
    CrossModalLayer,
    CrossModalTransformer,
)
from depmm.models.fusion.gated_multimodal_unit import GatedMultimodalFusion
from depmm.models.fusion.gru_attention import GruAttention
from depmm.models.fusion.present_branches import present_branches
from depmm.models.masking import masked_mean
from depmm.models.model import DepressionModel


class FusionWeights(NamedTuple):
    """Prediction and recorded weights of a batch.

    Attributes
    ----------
    logits : Tensor, shape (B, out)
        The fused prediction.
    attention : DataFrame or None
        As in ``AttentionRecord``, without query selection: every step is selected, and ``sparsity``
        is NaN. ``encoder`` is the modality of steps that attend to steps of their own modality, and
        ``<source>_to_<target>`` of those that attend to another.
    branches : DataFrame
        As in ``AttentionRecord``. ``gate`` is the mean gate over steps and dimensions of the gated
        multimodal unit, and 1 for other fusions.
    """

    logits: Tensor
    attention: pd.DataFrame | None
    branches: pd.DataFrame


class _Attention(NamedTuple):
    """Received attention (B, H, L) of the steps of a modality in one layer."""

    encoder: str
    block: int
    layer: int
    modality: str
    received: Tensor


def record_weights(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> FusionWeights:
    """Run the fusion on encoded sessions and record its weights.

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
    FusionWeights
        The prediction with the tables of attention and branches.
    """
    fusion = model.fusion
    calls: list[_Attention] = []
    gates: list[Tensor] = []
    with ExitStack() as hooks:
        match fusion:
            case GruAttention():
                _hook_gru(fusion, calls, hooks)
            case CrossModalTransformer():
                _hook_transformer(fusion, calls, hooks)
            case GatedMultimodalFusion():
                handle = fusion.unit.register_forward_hook(lambda m, a, out: gates.append(out[1]))
                hooks.enter_context(handle)
        logits, branch_logits = model.fuse(features, masks)
    present = torch.stack(list(masks.values())).any(dim=0)
    weights = torch.ones(len(present), len(branch_logits))
    for values in gates:  # of one call
        weights = masked_mean(values.mean(-1), present).float().cpu()
    branches = build_branch_table(
        {name: model.head.logit(value) for name, value in branch_logits.items()},
        present_branches(fusion, masks, branch_logits),
        weights.numpy(),
    )
    attention = _build_attention_table(calls, masks) if calls else None
    return FusionWeights(logits, attention, branches)


def build_branch_table(
    logits: Mapping[str, Tensor], present: Tensor, gates: np.ndarray
) -> pd.DataFrame:
    """Build one row per session and branch.

    Parameters
    ----------
    logits : mapping of str to Tensor, shape (B,)
        Logit of each branch, `K` in all.
    present : Tensor, shape (B, K), bool
        Whether each session has the modality of the branch.
    gates : ndarray, shape (B, K)
        Weight of each branch.

    Returns
    -------
    DataFrame
        Columns row, branch, logit (NaN if not present), gate and present.
    """
    has = present.cpu().numpy()
    logit = torch.stack(list(logits.values()), dim=1).double().cpu().numpy()
    return pd.DataFrame(
        {
            "row": np.arange(len(has)).repeat(len(logits)),
            "branch": list(logits) * len(has),
            "logit": np.where(has, logit, np.nan).flatten(),
            "gate": np.asarray(gates, dtype=np.float32).flatten(),
            "present": has.flatten(),
        }
    )


def _hook_gru(fusion: GruAttention, calls: list[_Attention], hooks: ExitStack) -> None:
    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], weights: Tensor) -> None:
            calls.append(_Attention(name, 0, 0, name, weights.unsqueeze(1)))

        return hook

    for name, attention in fusion.attentions.items():
        hooks.enter_context(attention.register_forward_hook(keep(name)))


def _hook_transformer(
    fusion: CrossModalTransformer, calls: list[_Attention], hooks: ExitStack
) -> None:
    def keep(encoder: str, block: int, layer: int, modality: str) -> Callable[..., None]:
        def hook(
            module: nn.MultiheadAttention,
            args: tuple[Tensor, ...],
            options: dict[str, Any],
            output: object,
        ) -> None:
            # called once more, without hooks, because the forward pass does not compute weights
            options = options | {"need_weights": True, "average_attn_weights": False}
            query, key, value = args
            weights = nn.MultiheadAttention.forward(module, query, key, value, **options)[1]
            received = cast(Tensor, weights).mean(dim=2)  # over the queries
            calls.append(_Attention(encoder, block, layer, modality, received))

        return hook

    for target in fusion.modalities:
        sources = cast(nn.ModuleDict, fusion.cross[target])
        encoders = [(f"{source}_to_{target}", 0, source, sources[source]) for source in sources]
        for name, block, modality, encoder in [
            *encoders,
            (target, 1, target, fusion.memory[target]),
        ]:
            for index, layer in enumerate(cast(CrossModalEncoder, encoder).layers):
                hook = keep(name, block, index, modality)
                attention = cast(CrossModalLayer, layer).attention
                hooks.enter_context(attention.register_forward_hook(hook, with_kwargs=True))


def _build_attention_table(calls: list[_Attention], masks: dict[str, Tensor]) -> pd.DataFrame:
    """Build one row per session, layer, head and existing step."""
    parts = []
    for encoder, block, layer, modality, received in calls:
        exists = masks[modality].unsqueeze(1).expand_as(received)
        share = received.masked_fill(~exists, 0.0)
        share = share / share.sum(dim=-1, keepdim=True)
        row, head, step = (index.cpu().numpy() for index in exists.nonzero(as_tuple=True))
        part = pd.DataFrame(
            {"row": row, "block": block, "layer": layer, "head": head.astype("int8")}
        )
        part["step"] = step.astype("int32")
        part["attention_received"] = share[exists].float().cpu().numpy()
        part.insert(1, "encoder", encoder)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table = table.astype({"encoder": "str", "block": "int8", "layer": "int8"})
    table["selected"] = True
    table["shared_selected"] = pd.array([pd.NA] * len(table), dtype="boolean")
    table["sparsity"] = np.float32(np.nan)
    table["confidence"] = np.float32(np.nan)
    table["gate"] = np.float32(1)
    names = ["row", "encoder", "block", "layer", "head", "step", "selected", "shared_selected"]
    table = table[[*names, "sparsity", "attention_received", "confidence", "gate"]]
    return table.sort_values("row", kind="stable", ignore_index=True)
