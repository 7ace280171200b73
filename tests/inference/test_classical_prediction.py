"""Classical runs: prediction of a recording, explanation, questions and a moved run."""

import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from trained_runs import AUDIO

from depmm.config import load_experiment
from depmm.data.experiment_data import load_experiment_data
from depmm.inference.classical_prediction import predict_classical
from depmm.inference.predictor import Predictor
from depmm.inference.trained_run import read_trained_run
from depmm.interpret.attribution.explain import explain
from depmm.interpret.errors import ExplanationError
from depmm.interpret.query.ask import ask
from depmm.runs.folder import RunFolder
from depmm.training.classical import train_classical

SECTION = "classical={model: {kind: ridge}, measures: {audio: [voice]}, unit: step, refit: true}"


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("classical") / "run"
    overrides = [AUDIO[0], "model=null", "training=null", SECTION]
    train_classical(load_experiment(corpus.config, overrides), RunFolder(path))
    return path


def test_a_moved_run_predicts_a_session_as_the_training_did(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "moved")
    trained = read_trained_run(moved)
    assert trained.models == {}
    assert trained.description["n_models"] == 1
    config = trained.config
    data = load_experiment_data(config)
    table = pd.read_parquet(run / "predictions.parquet")
    index = data.indices("test")[0]
    dataset = type(data.dataset)(
        data.sessions.iloc[[index]], data.dataset.store, config.data, config.seed
    )
    predictions, (attribution,), missing = predict_classical(
        config, trained.classical_models, dataset
    )
    assert predictions["y_prob"].item() == pytest.approx(table["y_prob"].iloc[index], abs=1e-9)
    assert len(attribution) == 4
    assert 0 <= missing < 1
    assert np.nansum(attribution) == pytest.approx(0, abs=1e-9)  # relative to the session


def test_a_recording_without_a_voice_is_a_warning(run, tmp_path):
    """Otherwise the medians of the training subjects would be predicted in silence."""
    noise = np.random.default_rng(0).normal(scale=0.02, size=32000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    warnings = Predictor(run).predict(tmp_path / "noise.wav").warnings
    assert "missing_inputs" in {warning.name for warning in warnings}


def test_validation_sessions_are_predicted_without_their_labels(corpus, run, tmp_path):
    """With refit, the threshold would otherwise be chosen on fitted sessions."""
    without = SECTION.replace("refit: true", "refit: false")
    overrides = [AUDIO[0], "model=null", "training=null", without]
    train_classical(load_experiment(corpus.config, overrides), RunFolder(tmp_path))
    tables = [pd.read_parquet(path / "predictions.parquet") for path in (run, tmp_path)]
    difference = (tables[0]["y_prob"] - tables[1]["y_prob"]).abs()
    assert (difference[tables[0]["split"] != "test"] == 0).all()
    assert (difference[tables[0]["split"] == "test"] > 1e-6).all()


def test_a_run_is_explained_and_asked(run):
    report = explain(run)
    assert set(report.rows) == {"attributions", "measure_weights", "measure_importance"}
    groups = ask(run, "measures")
    assert {"pitch", "mfcc", "all"} <= set(groups["group"])
    weights = ask(run, "measure-weights", top=3)
    assert weights["weight"].abs().is_monotonic_decreasing
    inputs = pd.read_csv(run / "measures.csv")
    assert set(weights["input"]) <= set(inputs["input"])
    assert (inputs["missing"] <= inputs["rows"]).all()
    with pytest.raises(ExplanationError) as info:
        explain(run, methods=["shapley"])
    assert info.value.value == "shapley"
