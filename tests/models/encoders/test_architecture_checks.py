"""Configs of pre-trained networks: nothing but a network of published size is built from them."""

import builtins
import json
from pathlib import Path

import pytest
import torch
from speech_sources import write_source
from text_sources import TEXTS, write_text_source
from transformers import Wav2Vec2Config

from depmm.config import ModelConfig
from depmm.files.damage import DamagedFileError
from depmm.models.encoders.architecture_checks import check_network, check_sizes, remove_loading
from depmm.models.encoders.image_processing import ImageProcessing
from depmm.models.encoders.pretrained_source import build_network
from depmm.models.encoders.speech_features import build_preprocessing
from depmm.models.encoders.speech_transformer import SpeechTransformer
from depmm.models.encoders.text_tokens import TextTokenizer
from depmm.models.encoders.text_transformer import TextTransformer
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model

LOADING = {
    "auto_map": {"AutoModel": "someone/model--code.Model"},
    "quantization_config": {"load_in_8bit": True},
    "attn_implementation": "someone/kernels",
    "_attn_implementation_internal": "someone/kernels",
    "experts_implementation": "someone/kernels",
    "kernel_config": {"Linear": "someone/kernels"},
}


@pytest.mark.parametrize("name", LOADING)
def test_a_setting_that_loads_something_is_refused(name, monkeypatch):
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("the user is asked to run code"))
    for values in ({name: LOADING[name]}, {"vision_config": {name: LOADING[name]}}):
        with pytest.raises(ModelError) as info:
            build_network({"network": {"model_type": "wav2vec2", **values}})
        assert info.value.setting == name


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "timm_wrapper", "architecture": "hf-hub:someone/model"},
        {"model_type": "detr", "backbone_config": {"model_type": "timm_backbone"}},
        {"model_type": "vit", "image_size": 100_000},
        {"model_type": "videomae", "image_size": 224, "patch_size": 1, "num_frames": 16},
        {"model_type": "vivit", "image_size": 224, "tubelet_size": [1, 1, 1], "num_frames": 10_000},
    ],
)
def test_other_libraries_and_enormous_networks_are_refused(values):
    with pytest.raises(ModelError):
        build_network({"network": values})


def test_published_configs_are_accepted():
    check_network(Wav2Vec2Config().to_dict())
    videomae = {"image_size": 224, "patch_size": 16, "num_frames": 16, "tubelet_size": 2}
    check_network({"model_type": "videomae", **videomae})
    check_network({"model_type": "dinov2", "image_size": 518, "patch_size": 14, "auto_map": None})
    check_sizes({"size": {"shortest_edge": 256}, "crop_size": [224, 224], "n_fft": 400})


def test_a_source_is_described_without_its_own_code(tmp_path):
    source = write_source(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": LOADING["auto_map"]}))
    assert "auto_map" not in SpeechTransformer.describe(source)["network"]
    kept = remove_loading({"a": 1, "b": {"auto_map": 2, "c": 3}, "quantization_config": 4})
    assert kept == {"a": 1, "b": {"c": 3}, "quantization_config": 4}


def test_enormous_processors_are_refused():
    for values in ({"feature_size": 100_000}, {"n_fft": 10**5}, {"chunk_length": 10**5}):
        with pytest.raises(ModelError) as info:
            build_preprocessing("x", {"feature_extractor_type": "WhisperFeatureExtractor"} | values)
        assert info.value.setting in values
    numbers = (1.0, 0.0, [0.5] * 3, [0.5] * 3)
    for size, crop in (([10**5, 8], None), (None, [8, 10**5])):
        with pytest.raises(ModelError):
            ImageProcessing(size, 2, crop, *numbers)


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    source = write_text_source(folder / "source")
    text = {"kind": "text_transformer", "source": source, "embed_dim": 8}
    model = build_model(ModelConfig(encoders={"text": text}, fusion={"kind": "mean_pool"}))
    model.save_pretrained(folder / "run")
    return folder / "run"


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("network", "auto_map", LOADING["auto_map"]),
        ("network", "num_hidden_layers", 90),
        ("network", "encoder_layers", 90_000),
        ("processor", "tokenizer", "[" * 10_000),
        ("processor", "max_length", 2),
        ("processor", "pad_id", "0"),
    ],
)
def test_a_changed_run_is_refused(text_run, tmp_path, part, name, value):
    content = json.loads((text_run / "config.json").read_text())
    architecture = content["encoders"]["text"]["architecture"]
    if name == "encoder_layers":  # a family whose layers have this name
        architecture["network"] = {"model_type": "m2m_100", "encoder_layers": value}
    architecture[part][name] = value
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "model.safetensors").write_bytes((text_run / "model.safetensors").read_bytes())
    with pytest.raises(DamagedFileError) as info:
        DepressionModel.from_pretrained(tmp_path)
    assert info.value.file == tmp_path / "config.json"


def test_a_tokenizer_that_fails_is_named(tmp_path):
    described = TextTransformer.describe(write_text_source(tmp_path))["processor"]
    changed = json.loads(described["tokenizer"])
    changed["pre_tokenizer"] = {
        "type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": False,
    }  # fmt: skip
    tokenizer = TextTokenizer(**described | {"tokenizer": json.dumps(changed)})
    with pytest.raises(ModelError):  # after a bounded number of steps
        tokenizer.split("a" * 40 + "b")


def test_tokens_that_the_network_does_not_know_are_refused(tmp_path):
    source = write_text_source(tmp_path)
    encoder = TextTransformer(
        source, "frozen", {}, -1, 6, 0.0, TextTransformer.describe(source)
    ).eval()
    encoder.backbone.set_input_embeddings(torch.nn.Embedding(5, 16))
    texts = torch.frombuffer(bytearray(TEXTS[0].encode()), dtype=torch.uint8)[None]
    with pytest.raises(ModelError):
        encoder.pool(texts, [texts.shape[1]])
