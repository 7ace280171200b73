"""Tiny random vision models in the layout of published ones, for tests without downloads."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
# processor configs as published, with smaller sizes: ViT (old layout), DINOv2, CLIP, SigLIP 2,
# DINOv3 (a processor of torchvision only), VideoMAE (old layout), ViViT
PROCESSORS: dict[str, dict[str, Any]] = {
    "vit": {
        "feature_extractor_type": "ViTFeatureExtractor",
        "do_resize": True,
        "size": 32,
        "resample": 2,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
    "dinov2": {
        "image_processor_type": "BitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 37},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        **IMAGENET,
    },
    "clip": {
        "feature_extractor_type": "CLIPFeatureExtractor",
        "do_resize": True,
        "size": 32,
        "resample": 3,
        "do_center_crop": True,
        "crop_size": 32,
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    },
    "siglip": {
        "image_processor_type": "SiglipImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
    "dinov3_vit": {
        "image_processor_type": "DINOv3ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        **IMAGENET,
    },
    "videomae": {
        "feature_extractor_type": "VideoMAEFeatureExtractor",
        "do_resize": True,
        "size": 32,
        "resample": 2,
        "do_center_crop": True,
        "do_normalize": True,
        "crop_size": 32,
        **IMAGENET,
    },
    "vivit": {
        "image_processor_type": "VivitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 36},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 127.5,
        "offset": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
}
SAME_PROCESSOR = {"deit": "clip", "beit": "vit", "dinov2_with_registers": "dinov2"} | {
    "timesformer": "videomae"
}
# large initial weights, so that attention and position affect the output
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.3,
}


def write_processor(folder: Path, family: str, **changes) -> str:
    """Write the processor config of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    values = PROCESSORS[SAME_PROCESSOR.get(family, family)] | changes
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return str(folder)


def write_vision_source(folder: Path, family: str = "vit", seed: int = 0, **sizes) -> str:
    """Write a model in the layout of the hub; clip and siglip also have their text network."""
    torch.manual_seed(seed)
    sizes = SIZES | sizes
    if family in ("clip", "siglip"):
        text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        text |= {"intermediate_size": 32, "vocab_size": 20, "max_position_embeddings": 8}
        config = AutoConfig.for_model(family, text_config=text, vision_config=sizes)
    else:
        config = AutoConfig.for_model(family, **sizes)
    AutoModel.from_config(config).save_pretrained(folder)
    return write_processor(folder, family)
