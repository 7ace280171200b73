"""Graphs in onnxruntime against torch."""

import json

import pytest
import torch
from model_builders import ENCODERS

from depmm.config import DataConfig, ModelConfig
from depmm.models.model import build_model
from depmm.models.onnx.encoders import exported_encoder
from depmm.models.onnx.errors import OnnxError
from depmm.models.onnx.model import write_onnx

DATA = {"manifest": "m", "store": "s", "face_size": 32, "frames_per_step": 2}


def model_with(fusion: dict, **encoders: dict):
    """Build a small model and the settings of what it reads."""
    torch.manual_seed(0)
    features = {name: "rows" for name in encoders if name not in ("audio", "face")}
    data = DataConfig(**DATA, modalities=list(encoders), features=features)
    return build_model(ModelConfig(encoders=encoders, fusion=fusion)).eval(), data


def encoder(kind: str) -> dict:
    return {"kind": kind, **ENCODERS[kind]}


@pytest.mark.slow
def test_encoders_and_mean_pool(tmp_path):
    model, data = model_with(
        {"kind": "mean_pool"}, audio=encoder("voice_vector"), face=encoder("face_map"),
        movement=encoder("feature_cnn"),
    )  # fmt: skip
    errors = write_onnx(model, data, tmp_path)
    assert set(errors) == {
        *("encoder_audio.onnx", "encoder_face.onnx", "encoder_movement.onnx", "fusion.onnx")
    }
    assert max(errors.values()) <= 1e-4
    graphs = json.loads((tmp_path / "onnx.json").read_text())["graphs"]
    assert graphs["encoder_face.onnx"]["values"] == {
        "type": "uint8",
        "shape": ["N", "T", 3, 32, 32],
    }
    assert graphs["fusion.onnx"]["mask_audio"] == {"type": "bool", "shape": ["B", "L"]}


@pytest.mark.parametrize("kind", ["attention_resnet", "spectrogram_cnn", "depnet"])
def test_what_cannot_be_exported_is_named(kind, tmp_path):
    name = "face" if kind == "depnet" else "audio"
    model, _ = model_with({"kind": "mean_pool"}, **{name: encoder(kind)})
    with pytest.raises(OnnxError) as caught:
        exported_encoder(name, model.encoders[name])
    assert caught.value.setting == f"model.encoders.{name}.kind"


def test_other_fusions_are_named(tmp_path):
    model, data = model_with({"kind": "gru_attention"}, audio=encoder("mfcc_cnn"))
    with pytest.raises(OnnxError) as caught:
        write_onnx(model, data, tmp_path / "onnx")
    assert caught.value.setting == "model.fusion.kind"
    assert not (tmp_path / "onnx").exists()
