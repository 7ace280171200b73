"""Speech transformers: equal to the transformers library for single steps, for any batch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from speech_sources import write_source
from transformers import (
    AutoModel,
    SEWConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
)

from depmm.config import ModelConfig
from depmm.inputs import Inputs
from depmm.models.encoders import speech_transformer
from depmm.models.encoders.speech_transformer import (
    SpeechTransformer,
    shortest_input,
)
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model

# large models; test_speech_families has base models of every family
CASES = [("wav2vec2", "layer", True), ("wavlm", "layer", True), ("wavlm", "group", False)]
LENGTHS = [9000, 16000, 1, 401, 150, 12345]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_source(tmp_path_factory.mktemp("hubert"))


def encoder_of(source: str, **settings) -> SpeechTransformer:
    torch.manual_seed(1)
    settings = {"adaptation": "frozen", "lora": {}, "layer": None, **settings}
    architecture = SpeechTransformer.describe(source)
    encoder = SpeechTransformer(
        source, embed_dim=6, dropout=0.0, architecture=architecture, **settings
    )
    encoder.load_pretrained()
    return encoder.eval()


def waveforms(lengths: list[int] = LENGTHS) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw steps of different levels, with noise instead of zeros in the padding."""
    generator = torch.Generator().manual_seed(0)
    waveform = torch.rand(len(lengths), max(lengths), generator=generator) - 0.45
    return waveform * torch.linspace(0.1, 1, len(lengths))[:, None], torch.tensor(lengths)


def by_hand(source: str, waveform: torch.Tensor) -> list[torch.Tensor]:
    """Average each hidden state over time, with the feature extractor and model of transformers."""
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(source)
    network = AutoModel.from_pretrained(source).eval()
    signal = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="pt").input_values
    signal = torch.nn.functional.pad(signal, (0, max(0, 400 - signal.shape[1])))
    with torch.no_grad():
        output = network(signal, output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    return [state[0].mean(dim=0) for state in states]


@pytest.mark.parametrize(("family", "norm", "normalize"), CASES)
def test_each_step_equals_transformers_on_the_single_step(family, norm, normalize, tmp_path):
    source = write_source(tmp_path, family, norm, normalize)
    encoder = encoder_of(source)
    waveform, length = waveforms()
    together = encoder.precompute(waveform, length)
    assert together.shape == (len(length), encoder.precompute_dim) == (len(length), 4 * 16)
    for row, samples in enumerate(LENGTHS):
        alone = encoder.precompute(waveform[row : row + 1, :samples], length[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-4)
        expected = torch.cat(by_hand(source, waveform[row, :samples]))
        torch.testing.assert_close(together[row], expected, rtol=0, atol=1e-4)
    differ = (together[:, None] - together).abs().amax(dim=-1)
    assert (differ + torch.eye(len(length)) > 1e-2).all()


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_layer_selects_the_hidden_state(layer, norm, tmp_path):
    source = write_source(tmp_path, "wav2vec2", norm)
    encoder = encoder_of(source, layer=layer)
    waveform, length = waveforms([5000])
    expected = by_hand(source, waveform[0])[layer]
    torch.testing.assert_close(encoder.precompute(waveform, length)[0], expected, rtol=0, atol=1e-4)
    assert encoder.precompute_dim == 16
    linear = encoder.projection[-1]
    torch.testing.assert_close(
        encoder(waveform, length)[0], linear.weight @ expected + linear.bias, rtol=0, atol=1e-4
    )


def test_hidden_states_are_mixed_with_softmax_weights(source):
    encoder = encoder_of(source)
    with torch.no_grad():
        encoder.projection[0].logit.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]))
    waveform, length = waveforms([5000, 3000])
    weights = np.exp([0, 1, -1, 2]) / np.exp([0, 1, -1, 2]).sum()
    states = by_hand(source, waveform[0])
    mixed = sum(float(w) * state for w, state in zip(weights, states, strict=True))
    expected = encoder.projection[-1](mixed)
    result = encoder(waveform, length)
    assert result.shape == (2, encoder.embed_dim) == (2, 6)
    torch.testing.assert_close(result[0], expected, rtol=0, atol=1e-4)


def test_parts_and_order_of_a_batch_do_not_change_the_output(source, monkeypatch):
    encoder = encoder_of(source)
    waveform, length = waveforms()
    whole = encoder.precompute(waveform, length)
    monkeypatch.setattr(speech_transformer, "STEPS_AT_ONCE", 2)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    parts = encoder.precompute(waveform[order], length[order])
    torch.testing.assert_close(parts, whole[order], rtol=0, atol=1e-4)


def test_the_level_matters_only_without_normalisation(tmp_path):
    waveform, length = waveforms([8000])
    for normalize in (True, False):
        source = write_source(tmp_path / str(normalize), "wav2vec2", "layer", normalize)
        encoder = encoder_of(source)
        change = encoder.precompute(waveform, length) - encoder.precompute(3 * waveform, length)
        assert (change.abs().max() < 1e-3) == normalize


def test_the_shortest_input_is_one_frame_of_the_published_models():
    assert shortest_input(Wav2Vec2Config()) == 400
    assert shortest_input(SEWConfig()) == 400 + 320


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("frozen", [True, False])
def test_gradients_reach_the_network_only_if_it_is_fine_tuned(frozen, norm, tmp_path):
    adaptation = "frozen" if frozen else "full"
    encoder = encoder_of(write_source(tmp_path, "wavlm", norm), adaptation=adaptation)
    encoder.requires_grad_(True)  # as transformers' from_pretrained does
    encoder.train()
    assert encoder.training
    assert encoder.backbone.training != frozen
    waveform, length = waveforms([3000, 2000])
    encoder(waveform, length).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        if name.startswith("backbone."):
            assert parameter.requires_grad != frozen, name
            assert (parameter.grad is None) == frozen, name
        else:
            assert parameter.grad is not None, name
    if not frozen:
        first = encoder.backbone.feature_extractor.conv_layers[0].conv.weight.grad
        assert first.isfinite().all()
        assert first.abs().max() > 0


def test_a_frozen_network_is_deterministic_in_training(source):
    encoder = encoder_of(source).train()
    waveform, length = waveforms([20000, 30000])
    assert torch.equal(encoder(waveform, length), encoder(waveform, length))


def test_a_fine_tuned_network_does_not_drop_layers_or_mask_frames(tmp_path):
    source = write_source(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    dropouts = {name: 0.0 for name in values if name.endswith("dropout")}
    values |= {**dropouts, "layerdrop": 0.9, "mask_time_prob": 0.9, "mask_time_length": 2}
    (tmp_path / "config.json").write_text(json.dumps(values))
    encoder = encoder_of(source, adaptation="full")
    waveform, length = waveforms([20000, 30000])
    expected = encoder(waveform, length)
    torch.testing.assert_close(encoder.train()(waveform, length), expected, rtol=0, atol=1e-4)


def settings_of(source: str, **encoder) -> ModelConfig:
    audio = {"kind": "speech_transformer", "source": source, "embed_dim": 8, **encoder}
    return ModelConfig(encoders={"audio": audio}, fusion={"kind": "mean_pool"})


@pytest.mark.parametrize(("family", "norm", "normalize"), CASES)
def test_a_saved_model_needs_no_source(family, norm, normalize, tmp_path):
    source = write_source(tmp_path / "source", family, norm, normalize)
    model = build_model(settings_of(source)).eval()
    waveform, length = waveforms([5000, 3000, 200, 4000])
    x = {"audio": Inputs(waveform.view(2, 2, -1), length.view(2, 2))}
    expected = model(x).logits
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    loaded = DepressionModel.from_pretrained(tmp_path / "run")
    saved = dict(model.named_parameters())
    assert all(torch.equal(value, saved[name]) for name, value in loaded.named_parameters())
    # memory from a file can have another alignment, so that other kernels are used
    torch.testing.assert_close(loaded(x).logits, expected, rtol=0, atol=1e-5)
    frozen = [p for n, p in loaded.named_parameters() if "backbone" in n]
    assert not any(parameter.requires_grad for parameter in frozen)


def test_build_model_loads_the_weights_of_the_source(source):
    model = build_model(settings_of(source))
    loaded = model.encoders["audio"].backbone.state_dict()
    published = load_file(Path(source) / "model.safetensors")
    name = "encoder.layers.1.attention.k_proj.weight"
    assert torch.equal(loaded[name], published[name])
    described = settings_of(source, architecture=SpeechTransformer.describe(source))
    again = build_model(described).encoders["audio"].backbone.state_dict()
    assert all(torch.equal(loaded[name], again[name]) for name in loaded)


def test_half_precision_sources_are_converted_to_float32(tmp_path):
    source = write_source(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    halves = {name: value.half() for name, value in weights.items()}
    save_file(halves, tmp_path / "model.safetensors", {"format": "pt"})
    values = json.loads((tmp_path / "config.json").read_text()) | {"dtype": "float16"}
    (tmp_path / "config.json").write_text(json.dumps(values))
    encoder = encoder_of(source)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def refusal(settings: ModelConfig) -> ModelError:
    """Build a model that cannot be built, and return its error."""
    with pytest.raises(ModelError) as info:
        build_model(settings)
    return info.value


def test_an_incomplete_architecture_is_refused(source):
    with pytest.raises(ModelError) as info:
        encoder_of(source, layer=4)
    assert (info.value.setting, info.value.value) == ("layer", 4)
    with pytest.raises(ModelError) as info:
        SpeechTransformer(source, "frozen", {}, None, 6, 0.0, architecture={})
    assert info.value.setting == "architecture"


def test_a_source_of_another_architecture_is_refused(source, tmp_path):
    large = write_source(tmp_path / "large", "hubert", "layer")
    error = refusal(settings_of(large, architecture=SpeechTransformer.describe(source)))
    assert (error.setting, error.value) == ("architecture.network.conv_bias", True)
