"""Runs and tables of predictions are read."""

import pandas as pd
import pytest
from trained_runs import AUDIO, train_tiny

import depmm
from depmm.config import ConfigError, load_config
from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.files.damage import DamagedFileError
from depmm.runs.contents import read_run, read_threshold
from depmm.runs.costs import measure_cost
from depmm.runs.folder import RunError, RunFolder
from depmm.schemas.runs import HISTORY


def test_a_run_has_predictions_history_and_settings(corpus, tmp_path):
    path = train_tiny(corpus, tmp_path / "run", *AUDIO)
    contents = read_run(path)
    assert (contents.path, contents.name) == (path, "run")
    assert contents.config == load_config(path / "config.yaml")
    assert contents.config_text == (path / "config.yaml").read_text()
    assert len(contents.predictions) == 12
    HISTORY.check(contents.history)
    assert contents.environment["audit"].startswith("missing")
    assert (contents.audit, contents.tuning) == (None, None)
    assert contents.models == (".",)
    assert (contents.n_bootstrap, contents.confidence) == (100, 0.95)
    assert contents.threshold == "validation"
    assert contents.coverage is not None


def test_a_cross_validation_has_the_models_of_its_folds(corpus, tmp_path):
    overrides = [*AUDIO, "training.epochs=1", f"out={tmp_path}"]
    split = "split={kind: k_fold, folds: 2, validation: 0.4}"
    contents = read_run(depmm.cross_validate(corpus.config, [*overrides, split]))
    assert contents.models == ("seed-0-fold-0", "seed-0-fold-1")
    HISTORY.check(contents.history)
    assert contents.history["fold"].tolist() == [0, 1]
    cost = measure_cost(
        [RunFolder(contents.path / name) for name in contents.models], contents.history
    )
    weights = depmm.DepressionModel.from_pretrained(contents.path / contents.models[0]).parameters()
    assert cost.parameters == cost.trainable == sum(p.numel() for p in weights)
    assert cost.trainings == 2
    assert cost.training_s == pytest.approx(contents.history["seconds"].mean())


def test_a_table_of_predictions_without_a_run(corpus, tmp_path):
    path = train_tiny(corpus, tmp_path / "run", *AUDIO)
    table = pd.read_parquet(path / "predictions.parquet")
    table.to_csv(tmp_path / "mine.csv", index=False)
    contents = read_run(tmp_path / "mine.csv")
    assert (contents.path, contents.name) == (tmp_path, "mine")
    assert len(contents.predictions) == 12
    assert (contents.config, contents.history, contents.models) == (None, None, ())


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(RunError) as info:
        read_run(tmp_path / "none")
    assert info.value.file == tmp_path / "none"


def test_a_run_that_is_not_finished_is_refused(corpus, tmp_path):
    RunFolder(tmp_path).open(load_config(corpus.config))
    with pytest.raises(RunError) as info:
        read_run(tmp_path)
    assert info.value.file == tmp_path / "predictions.parquet"


@pytest.mark.parametrize("name", ["config.yaml", "history.parquet", "data_summary.json"])
def test_a_folder_in_place_of_a_file_is_refused(corpus, tmp_path, name):
    run = train_tiny(corpus, tmp_path / "run", *AUDIO, "training.epochs=1")
    (run / name).unlink()
    (run / name).mkdir()
    with pytest.raises((DamagedFileError, ConfigError)) as info:
        read_run(run)
    assert name in str(info.value)


def test_the_threshold_of_a_run_is_that_of_its_config(corpus, tmp_path):
    config = load_config(corpus.config, ["evaluation.threshold=0.25"])
    RunFolder(tmp_path / "run").open(config)
    assert read_threshold(tmp_path / "run") == 0.25
    assert read_threshold(tmp_path) == "validation"  # a folder of tables without a config


def test_an_error_in_a_table_names_the_file(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("subject,session,y_true,y_prob\n1,1,0,0.2\n2,2,1,7\n")
    with pytest.raises(PredictionTableError) as info:
        read_run(path)
    error = info.value
    assert (error.file, error.column, error.value) == (path, "y_prob", 7.0)
    assert str(error).startswith(f"{path}: y_prob is 7.0 in row 2 ")
    assert str(error).endswith(error.remedy)
