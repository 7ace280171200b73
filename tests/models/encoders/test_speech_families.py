"""Every family of speech models: equal to transformers for single steps, for any batch."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from speech_sources import FAMILIES, write_family, write_source
from torch import Tensor
from transformers import (
    ASTFeatureExtractor,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    Wav2Vec2FeatureExtractor,
)

from depmm.config import ModelConfig
from depmm.models.encoders.adaptation import attention_projections
from depmm.models.encoders.speech_transformer import SpeechTransformer
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model
from depmm.training.checkpoint import load_trainable_state, trainable_state

LENGTHS = np.array([9000, 16000, 1, 401, 16000, 12345])
LORA = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": []}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("families")
    return {family: write_family(folder / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def waveform() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    waveform = torch.rand(len(LENGTHS), max(LENGTHS), generator=generator) - 0.45
    return waveform * torch.linspace(0.1, 1, len(LENGTHS))[:, None]


def encoder_of(source: str, **settings) -> SpeechTransformer:
    torch.manual_seed(1)
    settings = {"adaptation": "frozen", "lora": LORA, "layer": None, **settings}
    architecture = SpeechTransformer.describe(source)
    encoder = SpeechTransformer(
        source, embed_dim=6, dropout=0.0, architecture=architecture, **settings
    )
    encoder.load_pretrained()
    return encoder.eval()


def by_hand(source: str, sound: Tensor) -> Tensor:
    """Average each hidden state over the sound, with extractor and model of transformers."""
    extractor = AutoFeatureExtractor.from_pretrained(source)
    network = AutoModel.from_pretrained(source).eval()
    inputs = extractor(
        sound.numpy(), sampling_rate=16000, return_tensors="pt", return_attention_mask=True
    )
    mask = inputs["attention_mask"]
    if network.config.model_type == "whisper":  # which does not use the mask
        inputs.pop("attention_mask")
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    with torch.no_grad():
        output = network(**inputs, output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    # a published mask leaves out silence behind the sound, or half a pair of frames
    share = mask.float().mean().item()
    return torch.cat([x[0, : int(np.ceil(share * x.shape[1] - 1e-3))].mean(dim=0) for x in states])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_equals_transformers_and_does_not_depend_on_its_batch(family, sources, waveform):
    encoder = encoder_of(sources[family])
    together = encoder.precompute(waveform, LENGTHS)
    n_states = encoder.architecture["n_states"]
    assert together.shape == (len(LENGTHS), 16 * n_states) == (len(LENGTHS), encoder.precompute_dim)
    longer = torch.nn.functional.pad(waveform, (0, 5000), value=0.3)
    torch.testing.assert_close(encoder.precompute(longer, LENGTHS), together, rtol=0, atol=1e-4)
    for row in range(len(LENGTHS)):
        one = slice(row, row + 1)
        alone = encoder.precompute(waveform[one, : LENGTHS[row]], LENGTHS[one])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=2e-4)
    for row in (1, 5):
        expected = by_hand(sources[family], waveform[row, : LENGTHS[row]])
        torch.testing.assert_close(together[row], expected, rtol=0, atol=2e-4)
    differ = (together[:, None] - together).abs().amax(dim=-1)
    assert (differ + torch.eye(len(LENGTHS)) > 1e-3).all()


def test_the_head_of_a_fine_tuned_model_is_left_out(tmp_path, waveform):
    torch.manual_seed(0)
    model_type, sizes, extractor = FAMILIES["wav2vec2"]
    labels = {0: "arousal", 1: "valence", 2: "dominance"}
    config = AutoConfig.for_model(model_type, id2label=labels, **sizes)
    network = AutoModelForAudioClassification.from_config(config).eval()
    network.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    with torch.no_grad():
        signal = extractor(waveform[1].numpy(), sampling_rate=16000, return_tensors="pt")
        expected = network.base_model(**signal).last_hidden_state[0].mean(dim=0)
    vector = encoder_of(str(tmp_path), layer=3).precompute(waveform[1:2], LENGTHS[1:2])
    torch.testing.assert_close(vector[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["wav2vec2", "wavlm", "w2v_bert", "whisper"])
def test_preprocessing_equals_the_feature_extractor(family, sources, waveform):
    encoder = encoder_of(sources[family])
    extractor = AutoFeatureExtractor.from_pretrained(sources[family])
    features = encoder.preprocessing(waveform, LENGTHS)
    for row, n in enumerate(LENGTHS):
        if n < 560:  # padded here, refused or without a variance there
            continue
        expected = extractor(waveform[row, :n].numpy(), sampling_rate=16000, return_tensors="pt")[
            encoder.preprocessing.input_name
        ][0]
        size = features.n_positions if family == "whisper" else features.lengths[row]
        axis = 1 if family == "whisper" else 0
        value = features.values[row].narrow(axis, 0, size)
        torch.testing.assert_close(value, expected.narrow(axis, 0, size), rtol=0, atol=2e-3)


def test_a_long_step_has_several_windows_of_whisper(sources):
    encoder = encoder_of(sources["whisper"])
    sound = torch.rand(2, 40000, generator=torch.Generator().manual_seed(0)) - 0.5
    lengths = np.array([40000, 16000])
    vectors = encoder.precompute(sound, lengths)
    parts = [sound[:1, i : i + 16000] for i in (0, 16000, 32000)]
    means = torch.cat([encoder.precompute(x, np.array([x.shape[1]])) for x in parts])
    frames = torch.tensor([50.0, 50.0, 25.0])
    expected = (frames[:, None] * means).sum(0) / 125
    torch.testing.assert_close(vectors[0], expected, rtol=0, atol=1e-4)
    alone = encoder.precompute(sound[1:, :16000], lengths[1:])
    torch.testing.assert_close(vectors[1:], alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["wavlm", "conformer_rotary", "w2v_bert", "whisper"])
def test_low_rank_updates_alone_are_trained_and_saved(family, sources, waveform, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(sources[family], source)
    audio = {"kind": "speech_transformer", "source": str(source), "embed_dim": 4, "dropout": 0.0}
    settings = {"adaptation": "lora", "lora": {"rank": 2, "alpha": 4.0}}
    config = ModelConfig(encoders={"audio": audio | settings}, fusion={"kind": "mean_pool"})
    model = build_model(config)
    encoder = model.encoders["audio"]
    frozen = encoder_of(str(source))
    lengths = np.array([9000, 12345])
    x = waveform[[0, 5]]
    torch.testing.assert_close(  # the update starts at zero
        encoder.eval().precompute(x, lengths), frozen.precompute(x, lengths), rtol=0, atol=1e-4
    )
    trained = {n for n, p in encoder.backbone.named_parameters() if p.requires_grad}
    projections = attention_projections(frozen.backbone)
    assert trained == {
        f"{name}.lora_{matrix}.default.weight" for name in projections for matrix in "AB"
    }
    encoder(x, lengths).square().sum().backward()
    for name, parameter in encoder.backbone.named_parameters():
        assert (parameter.grad is not None) == (name in trained), name
    with torch.no_grad():
        for name, parameter in encoder.backbone.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.1)
    changed = encoder.precompute(x, lengths)
    assert (changed - frozen.precompute(x, lengths)).abs().max() > 1e-2
    fixed = {n for n, p in model.named_parameters() if not p.requires_grad}
    state = trainable_state(model, fixed)
    assert {n for n in state if ".lora_" in n} == {f"encoders.audio.backbone.{n}" for n in trained}
    resumed = build_model(config)  # another initialisation, then the checkpoint
    load_trainable_state(resumed, state, fixed, tmp_path)
    torch.testing.assert_close(
        resumed.encoders["audio"].eval().precompute(x, lengths), changed, rtol=0, atol=1e-4
    )
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    loaded = DepressionModel.from_pretrained(tmp_path / "run").encoders["audio"]
    torch.testing.assert_close(loaded.precompute(x, lengths), changed, rtol=0, atol=1e-4)
    assert {n for n, p in loaded.backbone.named_parameters() if p.requires_grad} == trained


def test_a_layer_that_is_not_called_cannot_be_adapted(sources, waveform):
    encoder = encoder_of(
        sources["whisper"], adaptation="lora", lora={**LORA, "targets": ["fc1", "layers.1.fc2"]}
    )
    adapted = [name for name, m in encoder.backbone.named_modules() if hasattr(m, "lora_A")]
    assert adapted == ["layers.0.fc1", "layers.1.fc1", "layers.1.fc2"]
    layer = encoder.backbone.layers[0]
    layer.unused, layer.fc1 = layer.fc1, torch.nn.Linear(16, 32)
    with pytest.raises(ModelError) as info:
        encoder.precompute(waveform[:1], LENGTHS[:1])
    assert info.value.value == ["layers.0.unused"]
    with pytest.raises(ModelError) as info:
        encoder_of(sources["whisper"], adaptation="lora", lora={**LORA, "targets": ["query"]})
    assert info.value.setting == "lora.targets"


def refusal(folder: Path, config, extractor) -> ModelError:
    AutoModel.from_config(config).save_pretrained(folder)
    extractor.save_pretrained(folder)
    with pytest.raises(ModelError) as info:
        SpeechTransformer.describe(str(folder))
    assert info.value.setting == "source"
    return info.value


def test_models_without_hidden_states_of_16_khz_audio_are_refused(tmp_path):
    bert = AutoConfig.for_model(
        "bert", vocab_size=5, hidden_size=4, num_hidden_layers=1, num_attention_heads=1
    )
    assert refusal(tmp_path / "bert", bert, Wav2Vec2FeatureExtractor()).value == "bert"
    folder = tmp_path / "8k"
    write_source(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder)
    with pytest.raises(ModelError) as info:
        SpeechTransformer.describe(str(folder))
    assert info.value.value == 8000
    ast = AutoConfig.for_model(
        "audio-spectrogram-transformer",
        **{"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1},
    )
    error = refusal(tmp_path / "ast", ast, ASTFeatureExtractor())
    assert error.value == "audio-spectrogram-transformer"
