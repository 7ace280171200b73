"""Which steps the model's attention selects: hook on, forward, hook off."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from depmm.data.batch import ShareSampler, collate, evaluation_shares
from depmm.data.dataset import SessionDataset
from depmm.models.dep_former import DepFormer
from depmm.models.model import DepressionModel
from depmm.models.sparse_attention import QuerySelection


@torch.no_grad()
def record_selection(
    model: DepressionModel, dataset: SessionDataset, numbers: Sequence[int], batch_size: int = 8
) -> pd.DataFrame:
    """Record the queries that the first attention layer of each encoder selects.

    Only that layer sees every step by itself; behind it steps are mixed and halved.

    Parameters
    ----------
    model : a trained model
    dataset, numbers : the sessions
    batch_size : sessions per forward pass

    Returns
    -------
    columns ``number``, ``step``, ``encoder`` (multimodal, face, audio) and ``selected`` (share of
    heads that selected the step); no rows for a model without sparse attention
    """
    empty = pd.DataFrame({"number": [], "step": [], "encoder": [], "selected": []})
    if not isinstance(model.fusion, DepFormer):
        return empty
    model.eval()
    device = next(model.parameters()).device
    loader = DataLoader(
        dataset,
        batch_sampler=ShareSampler(evaluation_shares(numbers, batch_size), epoch=None),
        collate_fn=collate,
    )
    tables = []
    for batch in loader:
        number = batch.pop("number")
        seen: dict[str, Tensor] = {}
        handles = [
            module.register_forward_hook(_keep(seen, name))
            for name, module in _first_selections(model.fusion).items()
        ]
        try:
            output = model(**{k: v.to(device) for k, v in batch.items()})
        finally:
            for handle in handles:
                handle.remove()
        there = output.step_mask.cpu()
        row, step = there.nonzero(as_tuple=True)
        for encoder, selected in seen.items():
            share = selected.float().mean(dim=1).cpu()
            tables.append(
                pd.DataFrame(
                    {
                        "number": number[row],
                        "step": step,
                        "encoder": encoder,
                        "selected": share[row, step].double(),
                    }
                )
            )
    if not tables:
        return empty
    return pd.concat(tables).sort_values(["number", "step", "encoder"], ignore_index=True)


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
