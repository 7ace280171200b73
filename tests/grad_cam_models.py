"""Tiny models with convolutions, their inputs, and landmarks of a drawn face."""

import numpy as np
import torch

from depmm.config import ModelConfig
from depmm.inputs import Inputs
from depmm.interpret.attribution.face_regions import (
    OVAL,
    PARTS,
)
from depmm.models.model import DepressionModel, build_model

SE_RESNET = {"kind": "se_resnet", "blocks": [1], "channels": [8], "reduction": 2, "embed_dim": 8}

AUDIO_ENCODERS = {
    "spectrogram_cnn": {"seconds": 1.0, "channels": [2, 3], "embed_dim": 4},
    "attention_resnet": {"depth": 18, "channels": 2},
    "mfcc_cnn": {"channels": [4, 4], "embed_dim": 4},
    "emoaudionet": {"channels": 4},
}

DEPNET = {"kind": "depnet", "face_size": 32, "frames": 2, "channels": 2, "embed_dim": 4}


def build_tiny_model(**encoders: dict) -> DepressionModel:
    """Build a model of tiny encoders with random weights."""
    torch.manual_seed(0)
    fusion = {"kind": "mean_pool", "dropout": 0.0}
    return build_model(ModelConfig(encoders=encoders, fusion=fusion)).eval()


def make_audio(lengths: list[list[int]], size: int = 16000) -> dict[str, Inputs]:
    """Make noise of given lengths for each step; equal lengths have equal noise."""
    audio = torch.zeros(len(lengths), len(lengths[0]), size)
    for row, steps in enumerate(lengths):
        for step, length in enumerate(steps):
            generator = torch.Generator().manual_seed(length)
            audio[row, step, :length] = torch.rand(length, generator=generator) - 0.5
    return {"audio": Inputs(audio, np.array(lengths))}


def make_crops(n_crops: int, seed: int, size: int = 32) -> dict[str, Inputs]:
    """Make crops of noise; every second one has a red square in its upper left corner."""
    generator = torch.Generator().manual_seed(seed)
    crops = torch.randint(60, 140, (n_crops, 1, 1, 3, size, size), generator=generator).byte()
    crops[1::2, ..., 0, 2:10, 2:10] = 250
    return {"face": Inputs(crops, np.ones((n_crops, 1)))}


def make_landmarks() -> np.ndarray:
    """Place each group of landmarks on a circle, and all others in the centre of the crop."""
    points = np.full((478, 2), 112.0)
    circles = zip(
        [("oval", OVAL), *PARTS],
        [(112, 112, 90), (112, 120, 14), (112, 160, 18), (75, 90, 10), (149, 90, 10),
         (75, 65, 8), (149, 65, 8)],
        strict=True,
    )  # fmt: skip
    for (_, group), (x, y, radius) in circles:
        angle = 2 * np.pi * np.arange(len(group)) / len(group)
        points[list(group)] = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
    return points


def train_corner_model() -> DepressionModel:
    """Train a model for 40 steps to detect a red corner in crops."""
    model = build_tiny_model(face=SE_RESNET)
    crops = make_crops(16, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    target = (torch.arange(16) % 2).float()
    for _ in range(40):
        loss = model.head.loss(model(crops).logits, target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    return model
