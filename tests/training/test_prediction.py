"""Predictions of a network during training."""

import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from trained_runs import AUDIO

from depmm.config import load_config
from depmm.data.batch import SessionLoader
from depmm.data.experiment_data import load_experiment_data
from depmm.models.model import build_model
from depmm.training.experiment import build_accelerator
from depmm.training.prediction import predict_on_all_processes, validate


@pytest.fixture
def experiment(corpus):
    """Return config, data and a new model of the tiny experiment."""
    folds = "split={kind: k_fold, folds: 2, validation: 0.5}"
    config = load_config(corpus.config, [*AUDIO, folds])
    torch.manual_seed(0)
    return config, load_experiment_data(config), build_model(config.model)


def test_predictions_are_sorted_by_session(experiment):
    config, data, model = experiment
    accelerator = build_accelerator(config)
    loader = SessionLoader(data.dataset, accelerator.device)
    table = predict_on_all_processes(config, model, [7, 2, 5], accelerator, loader)
    all_sessions = predict_on_all_processes(config, model, list(range(12)), accelerator, loader)
    assert table["index"].tolist() == [2, 5, 7]
    expected = all_sessions.set_index("index")["prediction"].loc[[2, 5, 7]]
    assert table["prediction"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_validation_by_hand(experiment):
    config, data, model = experiment
    accelerator = build_accelerator(config)
    loader = SessionLoader(data.dataset, accelerator.device)
    row = validate(config, data, model, accelerator, loader)
    sessions = data.indices("validation")
    table = predict_on_all_processes(config, model, sessions, accelerator, loader)
    target = data.sessions["target"].iloc[sessions].to_numpy()
    assert row["val_auroc"] == pytest.approx(roc_auc_score(target, table["prediction"]))
    loss = torch.nn.functional.binary_cross_entropy(
        torch.tensor(table["prediction"].to_numpy()), torch.tensor(target), reduction="none"
    )
    by_class = pd.Series(loss.numpy()).groupby(target).mean()
    assert row["val_loss"] == pytest.approx(by_class.mean(), rel=1e-4)
