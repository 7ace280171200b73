"""The pages of the published systems agree with the configs."""

import re
import sys
from pathlib import Path

import pytest

from depmm.config import AugmentConfig, list_configs, load_config, load_experiment
from depmm.models.fusion.build import build_fusion

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))

import system_pages  # noqa: E402  (a script of the documentation, not a package)

SYSTEMS = system_pages.read_systems()


@pytest.mark.parametrize("name", SYSTEMS)
def test_page_is_up_to_date(name):
    page = (DOCS / "systems" / f"{name}.md").read_text(encoding="utf-8")
    assert page == system_pages.write_page(SYSTEMS[name]), "run: make systems"


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_changed_setting_is_explained(name):
    assert system_pages.unexplained_settings(SYSTEMS[name]) == []


@pytest.mark.parametrize("name", SYSTEMS)
def test_configs_of_the_page_exist(name):
    known = {config for config, _ in list_configs()}
    assert {SYSTEMS[name].config, *SYSTEMS[name].configs} <= known


def test_a_deviation_needs_a_reason():
    config = load_config("spectrogram_cnn")
    row = {"point": "batch", "paper": "7", "source": "Sec. 1", "setting": "training.batch_size"}
    with pytest.raises(ValueError, match="without a reason"):
        system_pages.judge(system_pages.Row(**row, published=7), config)
    same = config.training.batch_size
    with pytest.raises(ValueError, match="does not deviate"):
        system_pages.judge(system_pages.Row(**row, published=same, reason="old"), config)
    assert system_pages.judge(system_pages.Row(**row, published=same), config) == "same"
    deviating = system_pages.Row(**row, published=7, reason="memory")
    assert system_pages.judge(deviating, config) == "deviation"


def test_a_changed_setting_without_a_row_is_found():
    system = SYSTEMS["spectrogram_cnn"]
    kept = [row for row in system.rows if row.setting != "training.class_balance"]
    shorter = system.model_copy(update={"rows": kept})
    assert system_pages.unexplained_settings(shorter) == ["training.class_balance"]


@pytest.mark.parametrize("model", ["svm", "gaussian_process", "k_nearest", "adaboost"])
def test_systems_mfcc_of_the_classical_baselines_are_those_of_the_page(model):
    settings = load_experiment(f"classical_{model}").classical
    assert (settings.unit, settings.pooling) == ("session", ["mean"])
    rows = {row.point: row.here for row in SYSTEMS["attention_resnet"].rows}
    mfcc = f"{settings.n_mfcc} MFCC of {settings.n_mels} mel bands"
    assert mfcc in rows["baselines"]
    assert "mean over the steps of a session" in rows["baselines"]


def test_parameters_of_the_fusion_baselines_are_those_of_the_models():
    page = (DOCS / "systems" / "fusion_baselines.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*?\| `(\w+)` \| ([\d,]+) \|", page, re.MULTILINE)
    known = {config for config, _ in list_configs()}
    assert len(rows) == 7
    for kind, config, count in rows:
        fusion = build_fusion({"kind": kind}, {"audio": 25, "face": 136}, 1)
        assert sum(p.numel() for p in fusion.parameters()) == int(count.replace(",", "")), kind
        assert config in known


# Adam or AdamW: learning rate, weight decay, of all parameters, batch size, epochs, clipping
@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("mult", (1e-3, 0.0, False, 24, 40, 0.8)),
        ("perceiver_fusion", (1e-4, 0.01, True, 8, 200, None)),
        ("dep_mamba", (8e-5, 0.0, False, 16, 120, None)),
    ],
)
def test_systems_training_of_the_fusion_baselines_is_that_of_the_authors(name, training):
    config = load_config(name)
    assert config.data.augment == AugmentConfig()
    settings = config.training
    assert (settings.optimizer, settings.warmup_epochs, settings.patience) == ("adamw", 0.0, None)
    rate, decay = settings.learning_rate, settings.weight_decay
    rest = (settings.decay_biases, settings.batch_size, settings.epochs, settings.max_grad_norm)
    assert (rate, decay, *rest) == training
