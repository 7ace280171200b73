"""Tiny random speech transformers in the layout of published ones, for tests without downloads."""

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel

# large initial weights, so that attention and position affect the output
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "initializer_range": 0.3,
}


def write_source(
    folder: Path, family: str = "hubert", norm: str = "group", normalize: bool = True, seed: int = 0
) -> str:
    """Write a model in the layout of the hub; large models have ``norm="layer"``."""
    torch.manual_seed(seed)
    stable = norm == "layer"
    config = AutoConfig.for_model(
        family, feat_extract_norm=norm, do_stable_layer_norm=stable, conv_bias=stable, **SIZES
    )
    AutoModel.from_config(config).save_pretrained(folder)
    extractor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "do_normalize": normalize,
        "return_attention_mask": stable,
        "sampling_rate": 16000,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor))
    return str(folder)
