"""Models that learn from feature streams: scaling, invalid values, settings that must agree."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_corpus import (
    FEATURE_CONFIG,
    make_feature_corpus,
)

from depmm.config import ConfigError, load_config
from depmm.data.batch import collate
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network


@pytest.fixture(scope="module")
def feature_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_feature_corpus(tmp_path_factory.mktemp("features"))


@pytest.fixture
def config(feature_corpus, tmp_path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(FEATURE_CONFIG.format(base=feature_corpus))
    return path


def test_features_are_scaled_by_training_subjects_and_predict_the_label(config, tmp_path):
    settings = load_config(config)
    folder = RunFolder(tmp_path / "run")
    train_network(settings, folder, build_accelerator(settings))
    table = pd.read_parquet(folder.predictions)
    test = table[table["split"] == "test"]
    assert len(test) == 2
    assert (
        test.loc[test["y_true"] == 1, "y_prob"].min()
        > test.loc[test["y_true"] == 0, "y_prob"].max()
    )

    model = DepressionModel.from_pretrained(folder.path)
    data = load_experiment_data(settings)
    steps = [step for index in data.indices("train") for step in data.dataset[None, index].audio]
    rows = np.concatenate(steps)
    assert len(rows) == 60 * 2 * len(data.indices("train"))
    np.testing.assert_allclose(model.encoders["audio"].mean, np.nanmean(rows, 0), rtol=1e-4)
    np.testing.assert_allclose(
        model.encoders["audio"].std[[0, 2]], np.nanstd(rows, 0)[[0, 2]], rtol=1e-3
    )


def test_a_session_without_a_stream_is_masked(config):
    data = load_experiment_data(load_config(config))
    items = [data.dataset[None, 0], data.dataset[None, 1]]
    empty = [row[:0, :0] for row in items[1].audio]
    batch = collate([items[0], type(items[1])(1, empty, items[1].face)])
    assert batch["audio"].shape == (2, 2, 60, 3)
    assert batch["audio_length"].tolist() == [[60, 60], [0, 0]]


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("data.features.face=null", "data.features.face"),
        ("data.augment={noise: 0.1}", "data.augment.noise"),
    ],
)
def test_config_and_streams_must_agree(override, setting, config):
    with pytest.raises(ConfigError) as info:
        load_config(config, [override])
    assert info.value.setting == setting


def test_a_stream_that_is_not_stored_is_refused(config):
    with pytest.raises(DataError) as info:
        load_experiment_data(load_config(config, ["data.features={audio: voyce, face: units}"]))
    assert (info.value.setting, info.value.value) == ("data.features.audio", "voyce")


def test_a_wrong_number_of_features_is_refused(config, tmp_path):
    settings = load_config(config, ["model.encoders.audio.features=4"])
    with pytest.raises(ModelError) as info:
        train_network(settings, RunFolder(tmp_path / "run"), build_accelerator(settings))
    assert (info.value.setting, info.value.value) == ("features", 3)
