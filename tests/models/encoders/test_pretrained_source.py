"""Pre-trained speech models: incomplete, damaged and unsupported sources are refused."""

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from speech_sources import write_source

from depmm.models.encoders.pretrained_source import read_network_weights
from depmm.models.encoders.speech_transformer import SpeechTransformer
from depmm.models.errors import ModelError


def describe_and_read(source: str) -> None:
    read_network_weights(source, SpeechTransformer.describe(source), "speech_transformer")


def refusal(source: str) -> ModelError:
    """Read a source that cannot be used, and return the error."""
    with pytest.raises(ModelError) as info:
        describe_and_read(source)
    return info.value


def test_a_source_is_described_and_read(tmp_path):
    source = write_source(tmp_path, "wavlm")
    described = SpeechTransformer.describe(source)
    network = described["network"]
    assert network["model_type"] == "wavlm"
    assert network["layerdrop"] == 0.0
    assert "_name_or_path" not in network
    assert described["processor"]["do_normalize"]
    assert (described["n_states"], described["hidden_dim"]) == (4, 16)
    weights = read_network_weights(source, described, "speech_transformer")
    saved = load_file(tmp_path / "model.safetensors")
    name = "encoder.layers.1.feed_forward.output_dense.weight"
    assert torch.equal(weights[name], saved[name])


def test_a_source_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for missing in (str(tmp_path / "none"), "unknown/missing-model"):
        error = refusal(missing)
        assert (error.setting, error.value) == ("source", missing)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_an_incomplete_source_is_refused(name, tmp_path):
    source = write_source(tmp_path)
    (tmp_path / name).unlink()
    error = refusal(source)
    assert (error.setting, error.value) == ("source", source)


def test_a_source_with_code_is_refused(tmp_path):
    source = write_source(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    assert refusal(source).value == source


def test_a_damaged_source_is_refused(tmp_path):
    source = write_source(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor")
    assert refusal(source).value == source


def test_missing_tensors_are_named(tmp_path):
    source = write_source(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer_norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert refusal(source).value == ["encoder.layer_norm.weight"]


def test_a_model_of_another_family_is_refused(tmp_path):
    source = write_source(tmp_path / "hubert")
    bert = tmp_path / "bert"
    shutil.copytree(source, bert)
    (Path(bert) / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert refusal(str(bert)).value == "bert"
