"""Work that ``gpu.py`` measures: training steps of configs, encoders, a store of face crops."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from depmm.config import Config, ExtractConfig, load_config
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.inputs import Inputs
from depmm.models.encoders.build import build_encoder, complete_settings
from depmm.models.encoders.encoder import PrecomputableEncoder
from depmm.models.model import DepressionModel, build_model
from depmm.store.sessions import SessionStore
from depmm.training.losses import compute_batch_loss
from depmm.training.optim import build_optimizer, set_learning_rate

Work = Callable[[], object]
STEP_S, MAX_ROWS = 4, 60
# steps per session where a config does not fix their number; EmoAudioNet reads one segment
N_STEPS = {"emoaudionet": 1}
OTHER_N_STEPS = 12
CROP_SIZE = 224
SE_RESNET = "SE-ResNet-50"
FACE_ENCODER = {"kind": "frame_mean", "frozen": True, "frames": 1}


def make_batch(config: Config, n_sessions: int, quick: bool) -> dict[str, Inputs]:
    """Make a batch of complete sessions at the full sizes of a config; a second if quick."""
    data = config.data
    n_steps = 2 if quick else (config.model.num_steps or N_STEPS.get(config.name, OTHER_N_STEPS))
    generator = torch.Generator().manual_seed(0)
    batch = {}
    for name in data.features:
        encoder = config.model.encoders[name]
        width = {
            "face_map": lambda e: e.face_size**2,
            "voice_vector": lambda e: e.bands * e.columns,
            "feature_cnn": lambda e: e.features,
        }[encoder.kind](encoder)
        rows = 1 if encoder.kind != "feature_cnn" else 2 if quick else MAX_ROWS
        batch[name] = torch.randn(n_sessions, n_steps, rows, width, generator=generator)
    if "audio" in data.modalities and "audio" not in data.features:
        n_samples = 16_000 * (1 if quick else STEP_S)
        batch["audio"] = 0.1 * torch.randn(n_sessions, n_steps, n_samples, generator=generator)
    if "face" in data.modalities and "face" not in data.features:
        shape = (n_sessions, n_steps, data.frames_per_step, 3, data.face_size, data.face_size)
        batch["face"] = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return {
        name: Inputs(values, np.full(values.shape[:2], values.shape[2]))
        for name, values in batch.items()
    }


def load_system(name: str, quick: bool) -> tuple[Config, int]:
    """Load a shipped config that reads signals, and the sessions per batch that it trains with."""
    overrides = ["data.precompute_embeddings=[]"]
    config = load_config(name, overrides)
    if not quick:
        return config, config.training.batch_size
    if config.model.num_steps is not None:
        overrides.append("model.fusion.num_steps=2")
    if getattr(config.model.encoders.get("face"), "kind", "") in ("depnet", "frame_mean"):
        overrides.append("data.face_size=32")
        if config.model.encoders["face"].kind == "depnet":
            overrides.append("model.encoders.face.face_size=32")
    return load_config(name, overrides), 2


def build_training(
    config: Config, n_sessions: int, device: torch.device, half: bool, quick: bool
) -> tuple[Work, DepressionModel, Callable[[nn.Module], None]]:
    """Return a training step, its model, and a function that replaces (wraps) the model.

    The batch is on the device. Neither the step nor the loss waits for the device.
    """
    torch.manual_seed(0)
    output = config.target.output
    model = build_model(config.model, config.target.kind, (0.0, 63.0), output).to(device).train()
    optimizer = build_optimizer(model, config.training)
    set_learning_rate(optimizer, 1e-4)
    made = make_batch(config, n_sessions, quick)
    batch = {name: inputs.to(device) for name, inputs in made.items()}
    target = (torch.arange(n_sessions, device=device) % 2).float()
    weight = torch.full((n_sessions,), 1 / n_sessions, device=device)
    called: list[nn.Module] = [model]

    def replace(other: nn.Module) -> None:
        called[0] = other

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            result = called[0](batch)
        loss = compute_batch_loss(
            model.head,
            result,
            target,
            weight,
            config.training.auxiliary_loss_weight,
            config.training.branch_loss_weight,
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, model, replace


def transformer_settings(name: str, quick: bool) -> dict[str, Any]:
    """Return the settings of a pre-trained encoder with random weights: nothing is downloaded."""
    from transformers import HubertConfig, ViTConfig, Wav2Vec2FeatureExtractor, WavLMConfig

    small = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    build = {"hubert_base": HubertConfig, "wavlm_base": WavLMConfig, "vit_base": ViTConfig}[name]
    with tempfile.TemporaryDirectory() as folder:
        build(**(small if quick else {})).save_pretrained(folder)
        if name == "vit_base":
            processor = {
                "image_processor_type": "ViTImageProcessor",
                "do_resize": True,
                "size": {"height": CROP_SIZE, "width": CROP_SIZE},
                "resample": 2,
                "do_normalize": True,
                "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3,
            }
            Path(folder, "preprocessor_config.json").write_text(json.dumps(processor))
        else:
            Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        kind = "image_transformer" if name == "vit_base" else "speech_transformer"
        return complete_settings({"kind": kind, "source": folder})


def encoder_settings(name: str, quick: bool) -> dict[str, Any]:
    """Return the settings of an encoder of the table."""
    return FACE_ENCODER if name == SE_RESNET else transformer_settings(name, quick)


def build_encoding(
    settings: dict[str, Any], device: torch.device, half: bool, n_steps: int, quick: bool
) -> tuple[Work, int]:
    """Return the evaluation of an encoder on a batch of steps, and their number.

    Steps of speech have 4 s, and steps of the face one crop.
    """
    torch.manual_seed(0)
    encoder = build_encoder(settings).to(device).eval()
    assert isinstance(encoder, PrecomputableEncoder)
    n_steps = 2 if quick else n_steps
    if settings["kind"] == "speech_transformer":
        n_samples = 16_000 * (1 if quick else STEP_S)
        steps = 0.1 * torch.randn(n_steps, n_samples, device=device)
    else:
        shape = (n_steps, 1, 3, CROP_SIZE, CROP_SIZE)
        steps = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    lengths = np.full(n_steps, steps.shape[1])

    def encode() -> Tensor:
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            return encoder.precompute(steps, lengths)

    return encode, n_steps


def write_crops(folder: Path, n_sessions: int, n_steps: int) -> ExperimentData:
    """Write sessions with one JPEG crop per step, as ``depmm extract`` stores them."""
    rng = np.random.default_rng(0)
    store = SessionStore(folder, ExtractConfig())
    names = [f"S{index:03d}" for index in range(n_sessions)]
    for name in names:
        coarse = rng.integers(0, 256, (n_steps, 14, 14, 3), np.uint8)
        crops = [cv2.resize(crop, (CROP_SIZE, CROP_SIZE)) for crop in coarse]
        files = [np.ravel(cv2.imencode(".jpg", crop)[1]) for crop in crops]
        frames = np.arange(n_steps)
        with store.writer() as writer:
            writer.append("face.jpeg", np.concatenate(files))
            writer.append("face.jpeg_offset", np.cumsum([0, *map(len, files)]).astype(np.int64))
            writer.append("face.step_frames", np.stack([frames, frames + 1], 1).astype(np.int64))
            writer.append("face.detected", np.ones(n_steps, bool))
            writer.append("face.time_s", frames.astype(float))
            summary = {
                "n_steps": n_steps,
                "step_start_s": frames.astype(float).tolist(),
                "audio_s": 0.0,
                "n_frames": n_steps,
                "n_frames_with_face": n_steps,
                "n_steps_with_text": 0,
                "streams": {},
                "warnings": [],
                "source_hash": "",
                "source_files": {},
                "steps_hash": "",
            }
            store.put(writer.save(summary), store.path("random", name, name))
    sessions = pd.DataFrame({"corpus": "random", "subject": names, "session": names})
    sessions = sessions.assign(target=0.0, split="train", duration_s=float(n_steps))
    config = Config.model_validate(
        {
            "name": "crops",
            "data": {
                "manifest": folder,
                "store": folder,
                "modalities": ["face"],
                "frames_per_step": 1,
                "precompute_embeddings": ["face"],
            },
            "model": {"encoders": {"face": FACE_ENCODER}, "fusion": {"kind": "mean_pool"}},
        }
    )
    dataset = SessionDataset(sessions, store, config.data)
    return ExperimentData(sessions, dataset, (0.0, 1.0), {}, pd.DataFrame())
