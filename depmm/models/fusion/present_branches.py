"""The branches of a fusion whose modalities a session has."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.release import DepFormerRelease


def present_branches(
    fusion: nn.Module, masks: Mapping[str, Tensor], branches: Iterable[str]
) -> Tensor:
    """Find the branches whose modalities each session has.

    Parameters
    ----------
    fusion : Module
        The fusion.
    masks : mapping of str to Tensor, shape (B, L), bool
        Steps that have the modality.
    branches : iterable of str
        Names of the branches, in the order of the fusion.

    Returns
    -------
    Tensor, shape (B, K), bool
        True if the session has the modality of the branch; for ``multimodal`` any, for the
        cross-attention query and key.
    """
    if isinstance(fusion, DepFormer | DepFormerRelease):
        return fusion.present_branches(dict(masks))
    has = {name: mask.any(dim=1) for name, mask in masks.items()}
    has["multimodal"] = torch.stack(list(has.values())).any(dim=0)
    return torch.stack([has[name] for name in branches], dim=1)
