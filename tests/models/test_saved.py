"""Saved models are checked before they are used: config, tensors and memory."""

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from depmm.config import ModelConfig
from depmm.errors import DepmmError
from depmm.files.damage import DamagedFileError
from depmm.models.errors import WeightsError
from depmm.models.model import DepressionModel, build_model
from depmm.models.saved import MAX_CONFIG_BYTES

SETTINGS = {
    "encoders": {
        "audio": {"kind": "mfcc_cnn", "n_mfcc": 8, "n_mels": 16, "channels": [8], "embed_dim": 8},
        "face": {"kind": "se_resnet", "blocks": [1], "channels": [8], "embed_dim": 8},
    },
    "fusion": {
        **{"kind": "dep_former", "adapter_hidden_dim": 16, "adapter_dim": 8, "embed_dim": 16},
        **{"n_heads": 2, "head_dim": 8, "ffn_dim": 16, "layers": [1, 1]},
    },
}


@pytest.fixture
def folder(tmp_path) -> Path:
    build_model(ModelConfig.model_validate(SETTINGS)).save_pretrained(tmp_path)
    return tmp_path


def rename(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[f"{name[:-1]}q"] = tensors.pop(name)


def drop(tensors: dict[str, torch.Tensor], name: str) -> None:
    del tensors[name]


def add(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors[name].clone()
    tensors["aaa"] = torch.zeros(1)


def transpose(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors[name].reshape(1, *tensors[name].shape)


def halve(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors[name].double()


def spoil(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name].view(-1)[0] = torch.nan


@pytest.mark.parametrize("change", [rename, drop, add, transpose, halve, spoil])
@pytest.mark.parametrize("load", [DepressionModel.from_pretrained, AutoModel.from_pretrained])
def test_one_wrong_tensor_is_named(folder, change, load):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in list(tensors)[::20]:
        changed = {key: value.clone() for key, value in tensors.items()}
        if change in (halve, spoil) and not changed[name].is_floating_point():
            continue
        change(changed, name)
        save_file(changed, path, {"format": "pt"})
        with pytest.raises(WeightsError) as info:
            load(folder)
        assert info.value.file == path
        assert info.value.value == ("aaa" if change is add else name)
        assert info.value.remedy
    save_file(tensors, path, {"format": "pt"})
    load(folder)


def variants(content: dict[str, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Replace every value of a config by odd values, one at a time."""

    def keys(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield (*above, key)
            if isinstance(value, dict | list):
                yield from keys(value, (*above, key))

    for path in keys(content):
        for value in (10**9, -(10**9), 1e300, "9" * 10_000, [], [[1] * 2000], {"a": {}}):
            changed = copy.deepcopy(content)
            section = changed
            for key in path[:-1]:
                section = section[key]
            section[path[-1]] = value
            yield [*path, str(value)[:20]], changed


def test_a_config_with_an_odd_value_is_refused_fast(folder):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    # no prediction depends on these
    for name in ("architectures", "transformers_version"):
        content.pop(name)
    path.write_text(json.dumps(content))
    DepressionModel.from_pretrained(folder)
    started = time.monotonic()
    changes = list(variants(content))
    assert len(changes) > 300
    for where, changed in changes:
        path.write_text(json.dumps(changed))
        with pytest.raises(DepmmError) as info:
            DepressionModel.from_pretrained(folder)
        assert info.value.file in (path, folder / "model.safetensors"), where
        assert info.value.remedy, where
    assert time.monotonic() - started < 60


def test_a_missing_setting_is_refused_and_not_replaced_by_its_default(folder):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for section in (content, content["encoders"], content["encoders"]["audio"], content["fusion"]):
        for name in list(section):
            if name in ("architectures", "dtype", "transformers_version"):
                continue
            value = section.pop(name)
            path.write_text(json.dumps(content))
            if value is None:  # the same as a missing one
                DepressionModel.from_pretrained(folder)
            else:
                with pytest.raises(DepmmError) as info:
                    DepressionModel.from_pretrained(folder)
                assert info.value.file in (path, folder / "model.safetensors")
            section[name] = value


@pytest.mark.parametrize("nested", ['{"a":' * 600 + "1" + "}" * 600, "[" * 600 + "]" * 600])
def test_a_deep_config_is_refused(folder, nested):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"fusion": {', f'"fusion": {{"deep": {nested}, ', 1))
    with pytest.raises(DamagedFileError, match="levels"):
        DepressionModel.from_pretrained(folder)


def test_an_enormous_config_is_not_read(folder):
    with (folder / "config.json").open("r+b") as file:
        file.truncate(MAX_CONFIG_BYTES + 1)  # a sparse file
    with pytest.raises(DamagedFileError, match="bytes"):
        DepressionModel.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["bert", "", None, 3])
def test_a_model_of_another_type_is_refused(folder, kind):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": kind}))
    with pytest.raises(DamagedFileError) as info:
        DepressionModel.from_pretrained(folder)
    assert info.value.file == path


def test_other_files_of_weights_are_not_used(folder):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(DepmmError) as info:
        DepressionModel.from_pretrained(folder)
    assert info.value.file == folder / "model.safetensors"


def test_a_model_that_is_saved_in_half_precision_is_loaded(folder, tmp_path):
    half = DepressionModel.from_pretrained(folder, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    again = DepressionModel.from_pretrained(tmp_path / "half")
    for name, value in half.state_dict().items():
        assert value.equal(again.state_dict()[name]), name


def test_normalisation_keeps_its_precision_whatever_the_name_of_the_modality(tmp_path):
    encoder = {"kind": "feature_cnn", "features": 5, "channels": [4], "embed_dim": 6}
    settings = {"encoders": {"running_gait": encoder}, "fusion": {"kind": "mean_pool"}}
    build_model(ModelConfig.model_validate(settings)).save_pretrained(tmp_path)
    half = DepressionModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert next(half.parameters()).dtype == torch.bfloat16
    buffers = {name.rpartition(".")[2]: value.dtype for name, value in half.named_buffers()}
    assert buffers == {"mean": torch.float32, "std": torch.float32}


def test_defaults_are_saved_with_the_model(tmp_path):
    model = build_model(ModelConfig.model_validate(SETTINGS))
    assert model.config.fusion["attention_sharing"] == "after_encoders"
    assert model.config.encoders["audio"]["dropout"] == 0.1
