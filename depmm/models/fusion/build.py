"""Build the fusion of steps and modalities from its settings."""

from typing import Any

from pydantic import TypeAdapter
from torch import nn

from depmm.config import (
    CrossModalTransformerConfig,
    DepFormerConfig,
    DepFormerReleaseConfig,
    DepMambaConfig,
    FusionConfig,
    GatedMultimodalUnitConfig,
    GruAttentionConfig,
    MeanPoolConfig,
    PerceiverConfig,
)
from depmm.models.fusion.cross_modal_transformer import CrossModalTransformer
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.release import DepFormerRelease
from depmm.models.fusion.dep_mamba import DepMamba
from depmm.models.fusion.gated_multimodal_unit import GatedMultimodalFusion
from depmm.models.fusion.gru_attention import GruAttention
from depmm.models.fusion.mean_pool import MeanPool
from depmm.models.fusion.perceiver import Perceiver


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
    Module
        The fusion of the ``kind``, which maps step features to logits.
    """
    settings = TypeAdapter(FusionConfig).validate_python(values)
    arguments = settings.model_dump(exclude={"kind"})
    match settings:
        case DepFormerConfig():
            return DepFormer(in_dims, out_features, **arguments)
        case DepFormerReleaseConfig():
            return DepFormerRelease(in_dims, out_features, **arguments)
        case CrossModalTransformerConfig():
            return CrossModalTransformer(in_dims, out_features, **arguments)
        case PerceiverConfig():
            return Perceiver(in_dims, out_features, **arguments)
        case DepMambaConfig():
            return DepMamba(in_dims, out_features, **arguments)
        case GruAttentionConfig():
            return GruAttention(in_dims, out_features, **arguments)
        case GatedMultimodalUnitConfig():
            return GatedMultimodalFusion(in_dims, out_features, **arguments)
        case MeanPoolConfig():
            return MeanPool(in_dims, out_features, **arguments)
    raise AssertionError(settings)
