"""Small models of DEP-Former that are given encoded steps, and the steps of their tokens."""

import torch

from depmm.config import ModelConfig
from depmm.models.fusion.dep_former.layers import EncoderLayer
from depmm.models.model import DepressionModel, build_model

WIDTHS = {"audio": 6, "face": 5}

FUSION = {
    "kind": "dep_former",
    "adapter_hidden_dim": 16,
    "adapter_dim": 8,
    "embed_dim": 16,
    "n_heads": 2,
    "head_dim": 8,
    "ffn_dim": 16,
    "layers": [2, 1, 1],
    "sampling_factor": 1,
}
RELEASE = {name: value for name, value in FUSION.items() if name != "layers"}
RELEASE |= {"kind": "dep_former_release", "num_steps": 7}

LAYER = ["row", "encoder", "block", "layer", "head"]

# session of 7 steps and of 5: (block, layer) -> step -> token, by hand
TOKENS = {
    0: {
        (0, 0): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6},
        (0, 1): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6},
        (1, 0): {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3},
        (2, 0): {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1},
    },
    1: {
        (0, 0): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
        (0, 1): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
        (1, 0): {0: 0, 1: 0, 2: 1, 3: 1, 4: 2},
        (2, 0): {0: 0, 1: 0, 2: 0, 3: 0, 4: 1},
    },
}
for _tokens in TOKENS.values():
    _tokens[2, 1] = _tokens[2, 0]  # the attention sharing unit of audio and face
# the stacks of the release read the last 7, 4 and 2 steps; the last layer is the sharing unit
RELEASE_TOKENS = {
    (0, 0): {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6},
    (0, 1): {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3},
    (0, 2): {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1},
    (0, 3): {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1},
    (1, 0): {3: 0, 4: 1, 5: 2, 6: 3},
    (1, 1): {3: 0, 4: 0, 5: 1, 6: 1},
    (1, 2): {3: 0, 4: 0, 5: 1, 6: 1},
    (2, 0): {5: 0, 6: 1},
    (2, 1): {5: 0, 6: 1},
}


def build_tiny(modalities: tuple[str, ...] = ("audio", "face"), **fusion) -> DepressionModel:
    """Build a model that is given encoded steps, so that its encoders never run."""
    small = {
        "audio": {"kind": "mfcc_cnn", "channels": [4], "embed_dim": WIDTHS["audio"]},
        "face": {"kind": "se_resnet", "blocks": [1], "channels": [4], "embed_dim": WIDTHS["face"]},
    }
    torch.manual_seed(0)
    values = fusion if "kind" in fusion else {**FUSION, **fusion}
    encoders = {name: small[name] for name in modalities}
    return build_model(ModelConfig.model_validate({"encoders": encoders, "fusion": values})).eval()


def make_steps(lengths: list[int], modalities: tuple[str, ...] = ("audio", "face"), seed: int = 0):
    """Make encoded sessions of some lengths without missing modalities."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    features = {
        name: torch.randn(len(lengths), longest, WIDTHS[name], generator=generator)
        for name in modalities
    }
    present = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return features, {name: present.clone() for name in modalities}


def get_layer(model: DepressionModel, encoder: str, block: int, layer: int) -> EncoderLayer:
    layers = model.fusion.encoders[encoder].blocks[block]
    return layers[layer] if layer < len(layers) else model.fusion.encoders[encoder].sharing_unit


def get_layers(encoder: str) -> list[tuple[int, int]]:
    return [key for key in TOKENS[0] if encoder != "multimodal" or key != (2, 1)]
