"""Errors of settings have the setting, its value and a remedy."""

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from torch import nn

from depmm.config import ConfigError, Modality, load_config, load_experiment
from depmm.config.experiment import encoders_of

DEMO = Path(__file__).parents[2] / "experiments" / "configs" / "demo.yaml"
CLASSICAL = DEMO.with_name("classical_svm.yaml")


@pytest.mark.parametrize(
    ("override", "setting", "value", "suggestion"),
    [
        ("training.epoch=3", "training.epoch", 3, "epochs"),
        ("trainig.epochs=3", "trainig", {"epochs": 3}, "training"),
        ("model.fusion.head=2", "model.fusion.head", 2, "n_heads"),
        ("model.encoders.audio.n_mel=2", "model.encoders.audio.n_mel", 2, "n_mels"),
    ],
)
def test_an_unknown_setting_suggests_the_closest_one(override, setting, value, suggestion):
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, [override])
    assert (info.value.setting, info.value.value) == (setting, value)
    assert info.value.file == DEMO
    assert repr(suggestion) in info.value.remedy
    assert info.value.remedy in str(info.value)


@pytest.mark.parametrize(
    ("override", "setting", "value"),
    [
        ("model.encoders.audio.embed_dim=wide", "model.encoders.audio.embed_dim", "wide"),
        ("training.epochs=2.5", "training.epochs", 2.5),
        ("data.manifest=''", "data.manifest", ""),
        ("training.epochs=0", "training.epochs", 0),
        ("training.learning_rate=-1.0", "training.learning_rate", -1.0),
        ("training.phases=[{epochs: 3, learning_rate: 0.1}]", "training.epochs", 14),
        ("split.stratify_by=[age]", "split.stratify_by.0", "age"),
        ("name=../evil", "name", "../evil"),
        ("data.modalities=[audio, audio]", "data.modalities", ["audio", "audio"]),
        ("data.modalities=[audio]", "data.modalities", ["audio"]),
        ("data={features: {face: units}, augment: null}", "data.features.face", "units"),
        (
            "data={precompute_embeddings: [audio], augment: null}",
            "data.precompute_embeddings",
            "audio",
        ),
        ("data.features={face: units}", "data.augment.flip", True),
        ("data.precompute_embeddings=[audio]", "data.augment.gain_db", 1.0),
        ("split={kind: k_fold, folds: 3, fold: 3}", "split.fold", 3),
        ("split={kind: k_fold, folds: 3, repeats: 2, fold: 6}", "split.fold", 6),
        ("split.repeats=2", "split.repeats", 2),
        ("split={kind: file}", "split.file", None),
        ("split.file=folds.csv", "split.file", Path("folds.csv")),
        ("split.stratify_by=[label, label]", "split.stratify_by", ["label", "label"]),
        ("training.monitor=rmse", "training.monitor", "rmse"),
        (
            "training.weights={audio: a.safetensors}",
            "training.weights.audio",
            Path("a.safetensors"),
        ),
        ("target={positive: [sad]}", "target.negative", None),
        ("target={positive: [a], negative: [a, b]}", "target.positive", ["a"]),
        ("target={kind: levels, positive: [a], negative: [b]}", "target.positive", ["a"]),
        ("target.output=ordinal", "target.output", "ordinal"),
        ("target.output=linear", "target.output", "linear"),
        ("target={kind: severity, range: [63, 0]}", "target.range", None),
        ("target={kind: severity, range: [63.0, 0.0]}", "target.range", [63.0, 0.0]),
        ("model.fusion={kind: mean_pool}", "model.subtract_session_mean", True),
        ("model.encoders.audio={kind: se_resnet}", "model.encoders.audio.kind", "se_resnet"),
        ("model.encoders.face.blocks=[1]", "model.encoders.face.channels", [8, 8, 16]),
        (
            "model.encoders.face={kind: face_map, face_size: 64}",
            "data.face_size",
            56,
        ),
        ("model.encoders.face={kind: voice_vector}", "model.encoders.face.kind", "voice_vector"),
        ("model.encoders.audio={kind: feature_cnn, features: 3}", "data.features.audio", None),
        ("data.features={face: landmarks}", "data.augment.flip", True),
        ("data.steps.first=0", "data.steps.first", 0),
        ("data.modalities=[audio, gait]", "data.features.gait", None),
        ("data.modalities=[audio, Gait]", "data.modalities.1", "Gait"),
        ("data.modalities=[audio, values]", "data.modalities.1", "values"),
        ("data.modalities=[audio, cross]", "data.modalities.1", "cross"),
        ("model.fusion.cross_attention=[audio]", "model.fusion.cross_attention", ["audio"]),
        (
            "model.fusion.cross_attention=[audio, audio]",
            "model.fusion.cross_attention",
            ["audio", "audio"],
        ),
        (
            "model.fusion.cross_attention=[audio, text]",
            "model.fusion.cross_attention",
            ["audio", "text"],
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(override, setting, value):
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, [override])
    assert info.value.setting == setting
    assert info.value.file == DEMO
    if value is not None:
        assert info.value.value == value


@pytest.mark.parametrize("kind", ["severity", "levels"])
@pytest.mark.parametrize("balance", ["weighted_loss", "oversample"])
def test_scores_have_no_classes_to_balance(kind, balance):
    target = [f"target.kind={kind}", "target.column=score", "training.monitor=loss"]
    load_config(DEMO, target)
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, [*target, f"training.class_balance={balance}"])
    assert (info.value.setting, info.value.value) == ("training.class_balance", balance)


def test_a_stream_needs_an_encoder_that_reads_rows():
    stream = ["data.augment=null", "data.features={audio: v, face: f}"]
    fitting = [
        "model.encoders.audio={kind: voice_vector}",
        "model.encoders.face={kind: face_map, face_size: 224}",  # data.face_size is not used
    ]
    load_config(DEMO, stream + fitting)
    for encoder, setting in zip(fitting, ("face", "audio"), strict=True):
        with pytest.raises(ConfigError) as info:
            load_config(DEMO, [*stream, encoder])
        assert info.value.setting == f"data.features.{setting}"
        assert "feature_cnn" in str(info.value)  # what fits
        assert "mfcc_cnn, which reads waveform" in str(info.value) or setting == "face"
    assert encoders_of("face", "rows") == ["face_map", "feature_cnn"]
    assert encoders_of("audio", "rows") == ["feature_cnn", "voice_vector"]
    assert "feature_cnn" not in encoders_of("audio", "waveform")
    assert {"depnet", "face_map", "frame_mean", "se_resnet"} <= set(encoders_of("face", "crops"))
    assert encoders_of("gait") == ["feature_cnn"]
    assert "feature_cnn" in encoders_of("text")


def test_names_that_a_container_of_modules_has_are_no_modalities():
    container = nn.ModuleDict()
    names = [name for name in dir(container) if re.fullmatch("[a-z][a-z0-9_]*", name)]
    # other libraries may add attributes to torch's classes while tests run in this process
    names = [
        n for n in names if getattr(getattr(container, n), "__module__", "torch")[:5] == "torch"
    ]
    assert "keys" in names
    for name in names:
        with pytest.raises(ValidationError):
            TypeAdapter(Modality).validate_python(name)
    nn.ModuleDict({name: nn.Linear(1, 1) for name in ("audio", "text", "gait", "index", "step")})


def test_a_kind_that_does_not_exist_names_its_section():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["model.fusion.kind=dep_fromer"])
    assert (info.value.setting, info.value.value) == ("model.fusion.kind", "dep_fromer")
    assert "'dep_former'" in info.value.remedy


def test_a_misspelt_choice_is_corrected():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["split.kind=kfold"])
    assert (info.value.setting, info.value.value) == ("split.kind", "kfold")
    assert "'k_fold'" in info.value.remedy


def test_the_message_of_a_wrong_override_begins_with_the_override():
    for override in ("training.epoch=3", "model.fusion={kind: mean_pol}"):
        with pytest.raises(ConfigError) as info:
            load_config(DEMO, [override])
        assert str(info.value).startswith(f"override {override!r}: ")


def test_a_number_that_yaml_reads_as_text_has_a_remedy():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["training.weight_decay=1e-4"])
    assert (info.value.setting, info.value.value) == ("training.weight_decay", "1e-4")
    assert "1.0e-4" in info.value.remedy


def test_all_problems_are_listed_and_the_first_one_is_described():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["training.epoch=3", "name=../evil"])
    assert info.value.setting == "name"
    assert len(str(info.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("data.modalities=[audio, face]", "data.modalities"),
        ("target.output=classes", "target.output"),
        ("classical={unit: step, pooling: [mean, std]}", "classical.pooling"),
        ("classical.fusion=late", "classical.fusion"),
        ("classical.measures.audio=[voise]", "classical.measures.audio"),
        ("classical.measures.audio=[voice, voice.pitch]", "classical.measures.audio"),
        ("classical.measures.audio=[stream]", "classical.measures.audio"),
        ("classical.measures.audio=[face]", "classical.measures.audio"),
        ("classical.model={kind: forest}", "classical.model.kind"),
        ("classical.model=null", "classical.model"),
        ("classical.n_mffc=12", "classical.n_mffc"),
        ("training.epochs=3", "training"),
        ("data.augment.gain_db=0.1", "data.augment"),
        ("data.precompute_embeddings=[audio]", "data.precompute_embeddings"),
        ("classical.model={kind: adaboost, C: 3.0}", "classical.model.C"),
    ],
)
def test_a_setting_that_a_classical_baseline_cannot_use_is_named(override, setting):
    with pytest.raises(ConfigError) as info:
        load_experiment(CLASSICAL, [override])
    assert info.value.setting == setting


@pytest.mark.parametrize(
    ("path", "setting"), [(CLASSICAL, "classical"), ("classical_svm_nested", "classical")]
)
def test_a_training_refuses_the_config_of_a_classical_baseline(path, setting):
    with pytest.raises(ConfigError) as info:
        load_config(path)
    assert info.value.setting == setting


def test_a_training_refuses_a_config_with_tuning():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["tuning={metric: auroc, grid: {training.epochs: [1, 2]}}"])
    assert info.value.setting == "tuning"


@pytest.mark.parametrize(
    ("grid", "setting", "value"),
    [
        ("{clasical.C: [1.0]}", "clasical", {"C": 1.0}),
        ("{classical.n_mffc: [2]}", "classical.n_mffc", 2),
        ("{classical.model.C: [1.0, 1e1]}", "classical.model.C", "1e1"),
        ("{classical.model.C: [0.0]}", "classical.model.C", 0.0),
        ("{classical.model.C: [1.0, 1]}", "tuning.grid", {"classical.model.C": 1}),
        ("{classical.model.C: 1.0}", "tuning.grid.classical.model.C", 1.0),
        ("{classical.model.C: []}", "tuning.grid.classical.model.C", []),
        ("{}", "tuning.grid", {}),
        (
            "{classical.model: [{kind: adaboost}], classical.model.C: [2.0]}",
            "classical.model.C",
            2.0,
        ),
        ("{split.validation: [0.2, 0.3]}", "split", {"split.validation": 0.3}),
        ("{target.column: [gender]}", "target", {"target.column": "gender"}),
        ("{seed: [0, 1]}", "seed", {"seed": 1}),
        ("{evaluation.n_gate_samples: [7]}", "evaluation", {"evaluation.n_gate_samples": 7}),
        ("{data.manifest: [other]}", "data.manifest", {"data.manifest": "other"}),
        ("{data: [{store: other}]}", "data.store", {"data": {"store": "other"}}),
        ("{tuning.folds: [4]}", "tuning", {"tuning.folds": 4}),
    ],
)
def test_a_candidate_that_cannot_be_used_is_named(grid, setting, value):
    with pytest.raises(ConfigError) as info:
        load_experiment(CLASSICAL, [f"tuning={{metric: auroc, folds: 2, grid: {grid}}}"])
    assert (info.value.setting, info.value.value) == (setting, value)
    assert info.value.file == CLASSICAL


def test_a_candidate_may_not_change_the_precision_of_the_devices():
    grid = "{training.mixed_precision: ['no', bf16]}"
    with pytest.raises(ConfigError) as info:
        load_experiment(DEMO, [f"tuning={{metric: auroc, grid: {grid}}}"])
    assert info.value.setting == "training.mixed_precision"
