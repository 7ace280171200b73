"""The model with every kind of encoder and fusion: building, training, saving and sampling."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from model_builders import ENCODERS, FUSIONS, PRETRAINED, inputs_of, model_of
from pydantic import ValidationError
from speech_sources import write_source
from text_sources import write_text_source
from transformers import AutoConfig, AutoModel
from vision_sources import write_vision_source

from depmm.config import EncoderConfig, FusionConfig, ModelConfig, load_config
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.batch_prediction import predict_sessions, prediction_table, session_seed
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Return additional settings of encoders that need a pre-trained model."""
    sources = {
        "speech_transformer": write_source(tmp_path_factory.mktemp("hubert")),
        "image_transformer": write_vision_source(tmp_path_factory.mktemp("vit")),
        "video_transformer": write_vision_source(
            tmp_path_factory.mktemp("videomae"), "videomae", num_frames=2
        ),
        "text_transformer": write_text_source(tmp_path_factory.mktemp("bert")),
    }
    return {kind: {"source": folder} for kind, folder in sources.items()}


def kinds(union) -> set[str]:
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["kind"].annotation)[0] for member in members}


def test_every_kind_of_the_config_is_tested():
    assert kinds(EncoderConfig) == {*ENCODERS, *PRETRAINED}
    # the fusion of the release needs two modalities: see test_release
    assert kinds(FusionConfig) == {*FUSIONS, "dep_former_release"}


def assert_same_state(model: DepressionModel, loaded: DepressionModel) -> None:
    states = zip(model.state_dict().items(), loaded.state_dict().items(), strict=True)
    for (name, a), (_, b) in states:
        assert torch.equal(a, b), name


@pytest.mark.parametrize("encoder", [*ENCODERS, *PRETRAINED])
def test_every_encoder_is_trained_saved_and_loaded(encoder, source, tmp_path):
    model = model_of(encoder, "mean_pool", **source.get(encoder, {}))
    x = inputs_of(encoder)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    loss = model.head.loss(model(x).logits, torch.tensor([0.0, 1.0])).sum()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    after = [p for p in model.parameters() if p.requires_grad]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))

    model.eval()
    saved = model(x).prediction
    model.save_pretrained(tmp_path)
    assert not [p.name for p in tmp_path.iterdir() if p.suffix in (".bin", ".pkl", ".pt")]
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(loaded, DepressionModel)
    assert_same_state(model, loaded)
    # memory from a file can have another alignment, so that other kernels are used
    torch.testing.assert_close(loaded(x).prediction, saved, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("encoder", "fusion"),
    [(encoder, fusion) for encoder in ENCODERS for fusion in ("dep_former", "mean_pool")]
    + [("mfcc_cnn", fusion) for fusion in FUSIONS if fusion not in ("dep_former", "mean_pool")],
)
@torch.no_grad()
def test_predictions_in_half_precision_are_close(encoder, fusion, source, tmp_path):
    model = model_of(encoder, fusion, **source.get(encoder, {})).eval()
    model.save_pretrained(tmp_path)
    half = AutoModel.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    # tables of front-ends and normalisation keep their precision
    buffers = {n: b for n, b in half.named_buffers() if b.is_floating_point()}
    assert all(b.dtype == torch.float32 for n, b in buffers.items() if "running_" not in n)
    x = inputs_of(encoder)
    prediction = half(x).prediction
    torch.testing.assert_close(prediction.float(), model(x).prediction, rtol=0, atol=2e-2)
    # also if all tensors of the model are cast
    cast = DepressionModel.from_pretrained(tmp_path).to(torch.bfloat16).eval()
    assert cast(x).prediction.isfinite().all()


def test_auto_classes_open_a_saved_model(tmp_path):
    model_of("mfcc_cnn", "dep_former").save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).target == "binary"
    assert isinstance(AutoModel.from_pretrained(tmp_path), DepressionModel)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_severity_stays_in_the_range_of_its_instrument(fusion):
    model = model_of("mfcc_cnn", fusion, target="severity").eval()
    score = model(inputs_of("mfcc_cnn")).prediction
    assert ((score > 0) & (score < 63)).all()


def test_an_encoder_of_another_modality_is_refused():
    with pytest.raises(ValidationError) as info:
        ModelConfig(encoders={"audio": {"kind": "se_resnet"}}, fusion={"kind": "mean_pool"})
    assert info.value.errors()[0]["ctx"]["error"].setting == "encoders.audio.kind"


def test_missing_inputs_are_named():
    model, x = model_of("mfcc_cnn", "mean_pool"), inputs_of("mfcc_cnn")
    for inputs in ({}, {"audio": replace(x["audio"], lengths=[[1, 1, 1], [1, 1, 1]])}):
        with pytest.raises(ModelError) as info:
            model(inputs)
        assert info.value.value == "audio"
    x["audio"].lengths[1] = 0
    with pytest.raises(ModelError) as info:
        model(x)
    assert info.value.value == [1]


def test_modalities_that_the_model_does_not_have_are_ignored():
    model, x = model_of("mfcc_cnn", "mean_pool").eval(), inputs_of("mfcc_cnn")
    both = model(x | inputs_of("se_resnet")).prediction
    torch.testing.assert_close(both, model(x).prediction)


@pytest.fixture(scope="module")
def data(corpus):
    return load_experiment_data(load_config(corpus.config, []))


def build_with_large_weights(corpus, *overrides) -> DepressionModel:
    torch.manual_seed(0)
    config = load_config(corpus.config, list(overrides))
    model = build_model(config.model).eval()
    # large weights, because the predictions of new branches hardly differ
    for layer in model.fusion.output_layers.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=2.0)
    return model


def predict(model, data, indices=None, **settings):
    indices = range(len(data.dataset)) if indices is None else indices
    return predict_sessions(
        model, data.dataset, indices, **{"batch_size": 5, "n_gate_samples": 100, **settings}
    )


def test_sampling_does_not_change_the_prediction(corpus, data):
    model = build_with_large_weights(corpus)
    sampled, without = predict(model, data), predict(model, data, n_gate_samples=0)
    # up to rounding, which depends on the alignment of memory; a mean of samples differs by 1e-3
    np.testing.assert_allclose(sampled["prediction"], without["prediction"], rtol=0, atol=1e-5)
    assert "gate_std" not in without
    assert (sampled["gate_std"] > 1e-2).all()
    named = prediction_table(load_config(corpus.config, []), data, sampled)
    np.testing.assert_array_equal(named["gate_std"], sampled["gate_std"])
    assert "gate_std" not in prediction_table(load_config(corpus.config, []), data, without)
    assert not model.training
    assert not [m for m in model.modules() if m._forward_hooks]


def test_gate_samples_are_the_same_alone_and_in_any_batch(corpus, data):
    model = build_with_large_weights(corpus)
    together = predict(model, data)["gate_std"].to_numpy()
    torch.manual_seed(99)  # the global generator is not used
    alone = predict(model, data, batch_size=1)["gate_std"].to_numpy()
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-6)
    reordered = predict(model, data, indices=[7, 2, 0], batch_size=2)
    np.testing.assert_allclose(reordered["gate_std"], together[[7, 2, 0]], rtol=1e-3, atol=1e-6)
    # the seed depends on the key of the session only
    keys = [("c", "1", "23"), ("c", "12", "3"), ("c", "1", "23")]
    seeds = [session_seed(key) for key in keys]
    assert seeds[0] == seeds[2] != seeds[1]


def test_samples_by_seed_and_their_mean(corpus, data):
    model = build_with_large_weights(corpus)
    ((_, inputs),) = evaluation_batches(data.dataset, [0, 1, 2], 3, torch.device("cpu"))
    output, sampled = model.sample(4000, [1, 2, 3], inputs)
    assert sampled.shape == (4000, 3)
    again = model.sample(4000, [1, 5, 3], inputs)[1]
    torch.testing.assert_close(again[:, [0, 2]], sampled[:, [0, 2]], rtol=0, atol=1e-5)
    assert (again[:, 1] - sampled[:, 1]).abs().max() > 1e-2
    logits = torch.logit(sampled.double()).mean(dim=0)
    torch.testing.assert_close(logits, output.logits.squeeze(-1).double(), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    "override", ["model.fusion.fusion_weights=fixed", "model.fusion={kind: mean_pool}"]
)
def test_fusions_without_random_gates_are_not_sampled(corpus, data, override):
    assert "gate_std" not in predict(build_with_large_weights(corpus, override), data)


@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_branches_of_a_missing_modality_are_masked(fusion):
    encoder = {"kind": "feature_cnn", **ENCODERS["feature_cnn"]}
    config = ModelConfig(
        encoders={"audio": encoder, "face": encoder}, fusion={"kind": fusion, **FUSIONS[fusion]}
    )
    model, x = build_model(config).eval(), inputs_of("feature_cnn")["audio"]
    missing = replace(x, lengths=np.array([[30, 20], [0, 0]]))
    output = model({"audio": x, "face": missing})
    names = list(output.branch_logits)
    assert output.branch_mask.tolist() == [
        [True] * len(names),
        [name in ("audio", "multimodal") for name in names],
    ]
    complete = replace(x, lengths=np.full((2, 2), 30))
    assert model({"audio": complete, "face": complete}).branch_mask is None
