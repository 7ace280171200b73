"""Configs are read: bases, overrides, names and round trips."""

from pathlib import Path

import pytest
import yaml

from depmm.config import (
    AugmentConfig,
    ConfigError,
    ExtractConfig,
    SplitConfig,
    TrainingConfig,
    dump_config,
    format_overrides,
    load_config,
    load_experiment,
    load_extract_config,
    load_measures_config,
    load_split_config,
    override_settings,
)

CONFIGS = sorted((Path(__file__).parents[2] / "experiments" / "configs").glob("*.yaml"))
DEMO = Path(__file__).parents[2] / "experiments" / "configs" / "demo.yaml"

NETWORK = [
    "model={encoders: {audio: {kind: mfcc_cnn}}, fusion: {kind: mean_pool}}",
    "training.epochs=3",
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_loaded_and_dumped_without_changes(path, tmp_path):
    config = load_experiment(path)
    assert config.name == path.stem
    copy = tmp_path / "config.yaml"
    copy.write_text(dump_config(config))
    assert load_experiment(copy) == config


def test_configs_that_share_a_store_share_the_settings_of_its_extraction():
    """With other settings, the sessions of a store are not found."""
    stores: dict[Path, tuple[str, object]] = {}
    for config in map(load_experiment, CONFIGS):
        first, settings = stores.setdefault(config.data.store, (config.name, config.extract))
        assert config.extract == settings, f"{config.name} and {first} share {config.data.store}"
    assert len(stores) < len(CONFIGS) / 2


def test_a_file_overrides_its_base_and_null_removes_settings():
    base, audio = load_config(DEMO), load_config(DEMO.with_name("demo_audio_only.yaml"))
    assert set(base.model.encoders) == {"audio", "face"}
    assert set(audio.model.encoders) == {"audio"}
    assert audio.training == base.training


def test_null_is_the_value_of_a_setting_that_allows_none(tmp_path):
    path = tmp_path / "child.yaml"
    path.write_text(
        f"base: {DEMO.with_name('emodb_negative.yaml')}\n"
        "training: {patience: null, epochs: null}\ndata: {augment: null}\n"
    )
    config = load_config(path)
    assert load_config("emodb_negative").training.patience == 8
    assert config.training.patience is None
    # these do not allow None and have their defaults, not the values of the base
    assert config.training.epochs == TrainingConfig().epochs != 25
    assert config.data.augment == AugmentConfig()
    assert load_config(config, ["training.learning_rate=0.01"]).training.patience is None


@pytest.mark.parametrize("name", ["demo", "emodb_negative"])
def test_null_in_an_override_is_the_value_of_a_setting_that_allows_none(name):
    assert load_config(name, ["training.patience=null"]).training.patience is None
    changed = override_settings(load_config(name), {"training.patience": None, "seed": None})
    assert (changed.training.patience, changed.seed) == (None, 0)


def test_null_keeps_the_names_of_settings_and_sections_checked():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["training.patiense=null"])
    assert info.value.setting == "training.patiense"
    assert load_config("classical_svm", ["classical=null", *NETWORK]).training.epochs == 3


def test_overrides_are_typed_yaml():
    config = load_config(DEMO, ["training.learning_rate=0.01", "data.modalities=[face, audio]"])
    assert config.training.learning_rate == 0.01
    assert config.data.modalities == ["face", "audio"]


def test_no_mixed_precision_needs_no_quotes():
    config = load_config(DEMO, ["training.mixed_precision=no"])  # false in YAML
    assert config.training.mixed_precision == "no"
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["training.mixed_precision=true"])
    assert info.value.setting == "training.mixed_precision"


def test_empty_braces_are_refused_because_they_would_change_nothing():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["training={}"])
    assert (info.value.setting, info.value.value) == ("training", "{}")


@pytest.mark.parametrize("order", [1, -1])
def test_a_kind_replaces_the_section_of_the_config_and_not_other_overrides(order):
    overrides = ["target.column=score", "target.kind=severity"][::order]
    target = load_config(DEMO, overrides).target
    assert (target.kind, target.column) == ("severity", "score")
    changes = dict(override.split("=") for override in overrides)
    assert override_settings(load_config(DEMO), changes).target == target
    overrides = ["model.fusion.kind=mean_pool", "model.subtract_session_mean=false"]
    fusion = load_config(DEMO, overrides).model.fusion
    assert fusion.model_dump() == {"kind": "mean_pool", "dropout": 0.1}


def test_an_included_config_is_loaded_by_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load_config("demo", ["seed=3"]) == load_config(DEMO, ["seed=3"])
    assert load_config(Path("demo_audio_only")).name == "demo_audio_only"
    assert load_extract_config("demo") == load_config(DEMO).extract


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1,", 1), ("name: x\na: ]", 2), ("name: !!python/object/apply:os.system [ls]", 1)],
)
def test_a_file_that_is_not_safe_yaml_is_refused_with_its_line(tmp_path, text, line):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as info:
        load_config(path)
    assert (info.value.file, info.value.line) == (path, line)


def test_a_file_that_is_not_a_mapping_is_refused(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- 1")
    with pytest.raises(ConfigError) as info:
        load_config(path)
    assert (info.value.file, info.value.value) == (path, [1])


def test_circular_bases_are_refused(tmp_path):
    path = tmp_path / "circular.yaml"
    path.write_text("base: circular.yaml")
    with pytest.raises(ConfigError) as info:
        load_config(path)
    assert (info.value.file, info.value.setting) == (path, "base")


def test_a_base_is_the_name_of_an_included_config_or_a_file_beside_the_config(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("base: demo\nname: own\n")
    own, demo = load_config(path), load_config("demo")
    assert (own.name, own.training, own.model) == ("own", demo.training, demo.model)
    (tmp_path / "demo").write_text("base: demo.yaml\ntraining: {epochs: 3}\n")
    (tmp_path / "demo.yaml").write_text(DEMO.read_text())
    assert load_config(path).training.epochs == 3
    path.write_text("base: deno\nname: own\n")
    with pytest.raises(ConfigError, match="demo"):
        load_config(path)


def test_a_base_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "child.yaml"
    path.write_text("base: none.yaml")
    with pytest.raises(ConfigError) as info:
        load_config(path)
    assert info.value.file == tmp_path / "none.yaml"


def test_a_config_is_no_url():
    with pytest.raises(ConfigError) as info:
        load_config("s3://bucket/config.yaml")
    assert info.value.value == "s3://bucket/config.yaml"


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ("{lo: 0.1, high: 0.2}", "tuning.space.training.learning_rate.low"),
        ("{low: 0.1, high: 0.2, loog: true}", "tuning.space.training.learning_rate.loog"),
        ("{low: 0.2, high: 0.1}", "tuning.space.training.learning_rate.low"),
        ("{low: 0, high: 0.1, log: true}", "tuning.space.training.learning_rate.low"),
        ("[]", "tuning.space.training.learning_rate"),
        ("3", "tuning.space.training.learning_rate"),
    ],
)
def test_an_error_of_a_tuning_space_names_the_setting_and_one_form(values, setting):
    tuning = (
        "tuning={metric: auroc, method: random, trials: 2, space: "
        f"{{training.learning_rate: {values}}}}}"
    )
    with pytest.raises(ConfigError) as info:
        load_experiment(DEMO, [tuning])
    assert info.value.setting == setting


@pytest.mark.parametrize("override", ["epochs", "=3"])
def test_an_override_needs_key_and_value(override):
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, [override])
    assert info.value.value == override


def test_an_override_that_is_not_yaml_is_refused():
    with pytest.raises(ConfigError) as info:
        load_config(DEMO, ["training.epochs=[1"])
    assert (info.value.setting, info.value.value) == ("training.epochs", "[1")


def test_settings_of_the_extraction_come_from_a_config_or_from_the_defaults():
    settings = load_extract_config(DEMO, ["audio.silence_db=-50.0"])
    assert settings.face == load_config(DEMO).extract.face
    assert settings.audio.silence_db == -50
    assert load_extract_config(None) == ExtractConfig()
    with pytest.raises(ConfigError) as info:
        load_extract_config(None, ["face.frame_per_second=3.0"])
    assert info.value.setting == "extract.face.frame_per_second"
    assert "frames_per_second" in info.value.remedy


def test_split_and_target_come_from_a_config_or_from_the_defaults():
    split, target = load_split_config("emodb_negative", ["folds=3"])
    assert (split.folds, target.column) == (3, "emotion")
    assert load_split_config(None)[0] == SplitConfig()
    with pytest.raises(ConfigError) as info:
        load_split_config(DEMO, ["fold=2"])
    assert (info.value.setting, info.value.value) == ("split.fold", "2")
    with pytest.raises(ConfigError) as info:
        load_split_config(DEMO, ["repeats=2"])
    assert (info.value.setting, info.value.value) == ("split.repeats", 2)


@pytest.mark.parametrize(
    "value", [1e-12, 3, True, None, "no", "a: b", [1, 0.5], {"kind": "svm", "C": 1e5}, "ö" * 200]
)
def test_formatted_overrides_are_read_back_as_the_same_values(value):
    text = format_overrides({"name": "x", "data.some": value})
    assert text.startswith("name=x data.some=")
    assert yaml.safe_load(text.removeprefix("name=x data.some=")) == value


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_begins_with_title_and_command(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    assert any("command" in line for line in header)
    assert yaml.safe_load(path.read_text())["name"] == path.stem


@pytest.mark.parametrize("value", ['""', '" "', '"a::b"', '"://x"', "3", "[a]", "true", '"a\\0b"'])
def test_a_store_that_is_neither_a_path_nor_a_url_is_refused(value):
    with pytest.raises(ConfigError) as info:
        load_config("demo", [f"data.store={value}"])
    assert info.value.setting == "data.store"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("s3://bucket/store", "s3://bucket/store"), ("stores/demo/", "stores/demo")],
)
def test_a_store_is_a_path_or_a_url(value, expected, tmp_path):
    config = load_config("demo", [f"data.store={value}"])
    assert config.data.store == expected
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "config.yaml") == config


def test_measures_read_target_and_extraction_in_any_order():
    settings = load_measures_config(DEMO, ["target.column=score", "target.kind=severity"])
    assert (settings.target.column, settings.target.kind) == ("score", "severity")
    assert settings.extract == load_config(DEMO).extract
    with pytest.raises(ConfigError) as error:
        load_measures_config(None, ["training.epochs=3"])
    assert error.value.setting == "training"
