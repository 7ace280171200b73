"""Settings: strict, composed, and clear about mistakes."""

from pathlib import Path

import pytest
import yaml

from depmm.config import (
    ConfigError,
    dump_config,
    extract_config,
    load_config,
    load_experiment,
)

CONFIGS = sorted((Path(__file__).parents[2] / "experiments" / "configs").glob("*.yaml"))
DEMO = Path(__file__).parents[2] / "experiments" / "configs" / "demo.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_survives_a_round_trip(path, tmp_path):
    config = load_experiment(path)
    assert config.name == path.stem
    copy = tmp_path / "config.yaml"
    copy.write_text(dump_config(config))
    assert load_experiment(copy) == config


def test_configs_of_one_store_read_what_one_extraction_wrote():
    """A store holds the sessions of one extraction's settings: with others it looks empty."""
    made: dict[Path, tuple[str, object]] = {}
    for config in map(load_experiment, CONFIGS):
        first, settings = made.setdefault(config.data.store, (config.name, config.extract))
        assert config.extract == settings, f"{config.name} and {first} share {config.data.store}"
    assert len(made) < len(CONFIGS) / 2


def test_base_changes_what_it_states_and_null_removes():
    fused, audio = load_config(DEMO), load_config(DEMO.with_name("demo_audio_only.yaml"))
    assert set(fused.model.encoders) == {"audio", "face"}
    assert set(audio.model.encoders) == {"audio"}
    assert audio.training == fused.training


def test_overrides_are_yaml_and_typed():
    config = load_config(DEMO, ["training.learning_rate=0.01", "data.modalities=[face, audio]"])
    assert config.training.learning_rate == 0.01
    assert config.data.modalities == ["face", "audio"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epoch=3", ["training.epoch", "unknown", "Did you mean 'epochs'"]),
        ("trainig.epochs=3", ["trainig", "Did you mean 'training'"]),
        ("model.fusion.head=2", ["model.fusion.head", "Did you mean 'n_heads'"]),
        ("model.encoders.audio.embed_dim=wide", ["model.encoders.audio.embed_dim", "'wide'"]),
        ("training.learning_rate=1e-4", ["training.learning_rate", "write 1.0e-4"]),
        ("training.epochs=2.5", ["training.epochs", "2.5"]),
        ("training.epochs=0", ["training.epochs", "greater than or equal to 1", "0"]),
        ("data.modalities=[audio]", ["data.modalities", "model.encoders"]),
        ("split={kind: k_fold, folds: 3, fold: 3}", ["split.fold is 3", "0 to 2"]),
        ("split={kind: k_fold, folds: 3, repeats: 2, fold: 6}", ["split.fold is 6", "0 to 5"]),
        ("split.repeats=2", ["split.repeats is 2", "official", "set split.kind to k_fold"]),
        ("split={kind: file}", ["split.file", "together"]),
        ("split.file=folds.csv", ["split.file", "split.kind file", "together"]),
        ("split.stratify_by=[label, label]", ["split.stratify_by repeats"]),
        (
            "split.stratify_by=[age]",
            ["split.stratify_by", "'label', 'gender' or 'corpus'", "'age'"],
        ),
        ("training.monitor=rmse", ["rmse", "binary"]),
        ("target={positive: [sad]}", ["together"]),
        ("name=../evil", ["name", "../evil"]),
        ("epochs", ["key=value"]),
        ("model.fusion={kind: mean_pool}", ["subtract_session_mean", "look alike", "false"]),
        ("model.fusion.kind=dep_fromer", ["model.fusion", "dep_fromer"]),
    ],
)
def test_a_mistake_names_value_place_and_remedy(override, words):
    with pytest.raises(ConfigError) as caught:
        load_config(DEMO, [override])
    for word in words:
        assert word in str(caught.value)


def test_files_that_are_no_config(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(broken)
    broken.write_text("- 1")
    with pytest.raises(ConfigError, match="mapping"):
        load_config(broken)
    broken.write_text("base: broken.yaml")
    with pytest.raises(ConfigError, match="leads back to itself"):
        load_config(broken)
    broken.write_text("name: !!python/object/apply:os.system [ls]")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(broken)


def test_extraction_settings_come_from_an_experiment_or_alone():
    settings = extract_config(DEMO, ["audio.silence_db=-50.0"])
    assert settings.face == load_config(DEMO).extract.face
    assert settings.audio.silence_db == -50
    with pytest.raises(ConfigError, match="Did you mean 'frames_per_second'"):
        extract_config(None, ["face.frame_per_second=3.0"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_opens_with_what_it_shows(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    assert any("command" in line for line in header)
    assert yaml.safe_load(path.read_text())["name"] == path.stem
