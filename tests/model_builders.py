"""Small models of every kind, their settings and random inputs."""

import numpy as np
import torch
from torch import Tensor

from depmm.config import ModelConfig
from depmm.inputs import Inputs
from depmm.models.encoders.build import build_encoder
from depmm.models.encoders.encoder import Encoder
from depmm.models.model import DepressionModel, build_model

SAMPLE_RATE = 16_000
# small sizes of every encoder; a speech_transformer also needs a source
ENCODERS = {
    "mfcc_cnn": {"channels": [8], "embed_dim": 8},
    "spectrogram_cnn": {"seconds": 1.0, "channels": [4, 4], "embed_dim": 8},
    "attention_resnet": {"channels": 8, "hop_length": 160, "n_fft": 512, "n_mels": 40},
    "emoaudionet": {"channels": 8, "branches": ["mfcc"]},
    "speech_transformer": {"embed_dim": 8},
    "voice_vector": {"bands": 5, "columns": 10},
    "face_map": {"face_size": 32},
    "feature_cnn": {"features": 5, "channels": [8], "embed_dim": 8},
    "se_resnet": {"blocks": [1], "channels": [8], "reduction": 2, "embed_dim": 8},
    "depnet": {"face_size": 32, "frames": 2, "channels": 4, "embed_dim": 8, "dropout": 0.0},
    "frame_mean": {"frozen": True, "frames": 1},
}
# those that need a source: see vision_sources and text_sources
PRETRAINED = {
    "image_transformer": {"embed_dim": 8},
    "video_transformer": {"embed_dim": 8},
    "text_transformer": {"embed_dim": 8},
}
FACE_ENCODERS = {"se_resnet", "depnet", "frame_mean", "face_map"}
FACE_ENCODERS |= {"image_transformer", "video_transformer"}
FUSIONS = {
    "dep_former": {
        "adapter_hidden_dim": 16,
        "adapter_dim": 8,
        "embed_dim": 8,
        "n_heads": 2,
        "head_dim": 4,
        "ffn_dim": 8,
        "sampling_factor": 1,
    },
    "cross_modal_transformer": {"embed_dim": 8, "n_heads": 2, "n_layers": 1, "n_self_layers": 1},
    "perceiver": {
        "n_latents": 3,
        "latent_dim": 8,
        "context_dim": 6,
        "n_heads": 2,
        "head_dim": 6,
        "n_layers": 1,
    },
    "dep_mamba": {"embed_dim": 8, "layers": [8, 6], "expand": 2, "state_dim": 3},
    "gru_attention": {"hidden_dim": 5, "attention_dim": 4},
    "gated_multimodal_unit": {"hidden_dim": 6},
    "mean_pool": {},
}
# fusions that pool the steps, so that their order has no effect
ORDERLESS = {"mean_pool", "gated_multimodal_unit"}


def encoder_of(kind: str, **settings) -> Encoder:
    """Build an encoder with its default settings, except the given ones."""
    torch.manual_seed(0)
    return build_encoder({"kind": kind, **settings})


def model_of(encoder: str, fusion: str, target: str = "binary", **settings) -> DepressionModel:
    """Build a small model of one modality; ``settings`` are additional settings of the encoder."""
    torch.manual_seed(0)
    modality = "face" if encoder in FACE_ENCODERS else "audio"
    if encoder == "text_transformer":
        modality = "text"
    sizes = (ENCODERS | PRETRAINED)[encoder]
    config = ModelConfig(
        encoders={modality: {"kind": encoder, **sizes, **settings}},
        fusion={"kind": fusion, **FUSIONS[fusion]},
    )
    return build_model(config, target, (0.0, 63.0))


def inputs_of(encoder: str) -> dict[str, Inputs]:
    """Draw random inputs of two sessions with two steps for the model of an encoder."""
    generator = torch.Generator().manual_seed(0)
    if encoder in FACE_ENCODERS:
        faces = torch.randint(0, 256, (2, 2, 2, 3, 32, 32), generator=generator).byte()
        return {"face": Inputs(faces, np.array([[2, 1], [2, 0]]))}
    if encoder == "text_transformer":
        return {"text": text_inputs([["I have been feeling tired.", "Yes."], ["No, 我不知道!"]])}
    if encoder == "feature_cnn":
        rows = torch.randn(2, 2, 30, 5, generator=generator)
        rows[0, 0, 3] = torch.nan
        return {"audio": Inputs(rows, np.array([[30, 20], [30, 0]]))}
    waveform = torch.rand(2, 2, 16000, generator=generator) - 0.5
    return {"audio": Inputs(waveform, np.array([[16000, 15000], [16000, 0]]))}


def text_inputs(sessions: list[list[str]]) -> Inputs:
    """Encode the texts of the steps of sessions, with noise after their ends."""
    steps = [[text.encode() for text in session] for session in sessions]
    shape = (len(steps), max(map(len, steps)), max(len(x) for step in steps for x in step))
    values = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    lengths = np.zeros(shape[:2], np.int64)
    for row, session in enumerate(steps):
        for index, text in enumerate(session):
            values[row, index, : len(text)] = np.frombuffer(text, np.uint8)
            lengths[row, index] = len(text)
    return Inputs(torch.from_numpy(values), lengths, on_host=True)


def voices(lengths: list[int], padded: int | None = None) -> tuple[Tensor, np.ndarray]:
    """Synthesise noisy tones of different pitch and level, zero after their lengths."""
    generator = torch.Generator().manual_seed(0)
    waveform = torch.zeros(len(lengths), padded or max(lengths))
    for row, n in enumerate(lengths):
        t = torch.arange(n) / SAMPLE_RATE
        level = 0.05 * (row + 1) * (1 + torch.sin(2 * torch.pi * (2 + row) * t))
        tone = torch.sin(2 * torch.pi * (150 + 140 * row) * t)
        waveform[row, :n] = level * tone + 0.02 * torch.randn(n, generator=generator)
    return waveform, np.array(lengths)


def random_crops(*shape: int, size: int = 64, seed: int = 0) -> Tensor:
    """Draw random uint8 crops."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*shape, 3, size, size), dtype=torch.uint8, generator=generator)


def parameters_without_gradient(module: torch.nn.Module) -> list[str]:
    """List the parameters without gradient or with a gradient of zero."""
    return [n for n, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
