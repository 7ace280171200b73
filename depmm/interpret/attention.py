"""Which steps the model's attention selects: hook on, forward, hook off."""

import pandas as pd
import torch
from torch import Tensor, nn

from depmm.models.dep_former import DepFormer
from depmm.models.model import DepressionModel
from depmm.models.sparse_attention import QuerySelection


@torch.no_grad()
def record_selection(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> pd.DataFrame:
    """Record the queries that the first attention layer of each encoder selects.

    Only that layer sees every step by itself; behind it steps are mixed and halved.

    Parameters
    ----------
    model : a trained model in evaluation mode
    features, masks : encoded sessions, from ``DepressionModel.encode``

    Returns
    -------
    columns ``row`` (of the batch), ``step``, ``encoder`` (multimodal, face, audio) and ``selected``
    (share of heads that selected the step); no rows for a model without sparse attention
    """
    tables = [pd.DataFrame({"row": [], "step": [], "encoder": [], "selected": []})]
    if not isinstance(model.fusion, DepFormer):
        return tables[0]
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(_keep(seen, name))
        for name, module in _first_selections(model.fusion).items()
    ]
    try:
        model.fuse(features, masks)
    finally:
        for handle in handles:
            handle.remove()
    row, step = torch.stack(list(masks.values())).any(dim=0).cpu().nonzero(as_tuple=True)
    for encoder, selected in seen.items():
        share = selected.double().mean(dim=1).cpu()[row, step]
        tables.append(
            pd.DataFrame({"row": row, "step": step, "encoder": encoder, "selected": share})
        )
    return pd.concat(tables[1:], ignore_index=True)


def _first_selections(fusion: DepFormer) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    for name, encoder in fusion.encoders.items():
        for module in encoder.stacks[0].layers[0].modules():  # type: ignore[index, union-attr]
            if isinstance(module, QuerySelection):
                found[name] = module
    return found


def _keep(seen: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = output

    return hook
