"""Tiny random speech transformers in the layout of published ones, for tests without downloads."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    ParakeetFeatureExtractor,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

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


TRANSFORMER = {name: SIZES[name] for name in list(SIZES)[:4]} | {"initializer_range": 0.3}
ENCODER_DECODER = {
    **{"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "vocab_size": 20},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "init_std": 0.3},
    **{"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "pad_token_id": 0},
    **{"bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0},
}
SEW = {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]}
# tiny networks of families that differ in attention, positions, padding or preprocessing; windows
# of Whisper have 1 s here and 30 s in published models
FAMILIES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "wav2vec2": ("wav2vec2", SIZES, Wav2Vec2FeatureExtractor()),
    "hubert": ("hubert", SIZES, Wav2Vec2FeatureExtractor()),
    "hubert_batch_norm": (
        "hubert",
        SIZES | {"conv_pos_batch_norm": True},
        Wav2Vec2FeatureExtractor(),
    ),
    "wavlm": ("wavlm", SIZES, Wav2Vec2FeatureExtractor(do_normalize=False)),
    "data2vec": (
        "data2vec-audio",
        SIZES | {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
        Wav2Vec2FeatureExtractor(),
    ),
    "unispeech_sat": ("unispeech-sat", SIZES, Wav2Vec2FeatureExtractor()),
    "sew": ("sew", SIZES | SEW, Wav2Vec2FeatureExtractor()),
    "conformer": ("wav2vec2-conformer", SIZES, Wav2Vec2FeatureExtractor()),
    "conformer_rotary": (
        "wav2vec2-conformer",
        SIZES | {"position_embeddings_type": "rotary"},
        Wav2Vec2FeatureExtractor(),
    ),
    "w2v_bert": ("wav2vec2-bert", TRANSFORMER, SeamlessM4TFeatureExtractor(padding_value=1)),
    "whisper": (
        "whisper",
        ENCODER_DECODER | {"max_source_positions": 50},
        WhisperFeatureExtractor(chunk_length=1),
    ),
    # its feature extractor is one that depmm does not know
    "parakeet": (
        "parakeet_encoder",
        TRANSFORMER | {"num_hidden_layers": 2, "subsampling_conv_channels": 8},
        ParakeetFeatureExtractor(),
    ),
}


def write_family(folder: Path, family: str) -> str:
    """Write a tiny model of one of ``FAMILIES`` with its feature extractor."""
    torch.manual_seed(0)
    model_type, sizes, extractor = FAMILIES[family]
    AutoModel.from_config(AutoConfig.for_model(model_type, **sizes)).save_pretrained(folder)
    extractor.save_pretrained(folder)
    return str(folder)
