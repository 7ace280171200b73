"""Build the fusion of steps and modalities from its settings."""

from typing import Any

from pydantic import TypeAdapter
from torch import nn

from depmm.config import (
    DepFormerConfig,
    DepFormerReleaseConfig,
    FusionConfig,
    MeanPoolConfig,
)
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.release import DepFormerRelease
from depmm.models.fusion.mean_pool import MeanPool


def build_fusion(values: dict[str, Any], in_dims: dict[str, int], out_features: int) -> nn.Module:
    """Build the fusion of steps and modalities from its settings.

    Parameters
    ----------
    values : dict
        Settings as in ``FusionConfig``, with ``kind``.
    in_dims : dict of str to int
        Feature size of each modality.
    out_features : int
        Logits per session.

    Returns
    -------
    DepFormer, DepFormerRelease or MeanPool
        A module that maps step features to logits.
    """
    settings = TypeAdapter(FusionConfig).validate_python(values)
    arguments = settings.model_dump(exclude={"kind"})
    match settings:
        case DepFormerConfig():
            return DepFormer(in_dims, out_features, **arguments)
        case DepFormerReleaseConfig():
            return DepFormerRelease(in_dims, out_features, **arguments)
        case MeanPoolConfig():
            return MeanPool(in_dims, out_features, **arguments)
    raise AssertionError(settings)
