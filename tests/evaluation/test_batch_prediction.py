"""Predictions by several processes, and the schema of the table that a run writes."""

import numpy as np
import pandas as pd
import pytest
import torch

from depmm.config import load_config
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.batch_prediction import predict_sessions, prediction_table, session_seed
from depmm.models.model import build_model
from depmm.schemas.predictions import PREDICTIONS


@pytest.mark.parametrize(
    ("override", "measured", "missing"),
    [
        ("target={kind: binary, column: label}", "y_true", ["score", "score_pred"]),
        ("target={kind: severity, column: score}", "score", ["y_true", "y_prob"]),
    ],
)
def test_the_table_of_a_run_fits_its_schema(corpus, tmp_path, override, measured, missing):
    config = load_config(corpus.config, [override])
    data = load_experiment_data(config)
    torch.manual_seed(0)
    model = build_model(config.model, config.target.kind, data.score_range)
    predicted = predict_sessions(model, data.dataset, range(len(data.dataset)), batch_size=4)
    table = prediction_table(config, data, predicted)
    table.to_parquet(tmp_path / "predictions.parquet")
    written = pd.read_parquet(tmp_path / "predictions.parquet")
    PREDICTIONS.check(written)
    order = [name for name in PREDICTIONS.names if name in written]
    assert written.columns.tolist() == order
    assert {"age", "duration_s", "n_steps"} <= set(written)
    assert written[measured].notna().all()
    assert written[missing].isna().all(axis=None)


def test_processes_share_the_sessions(corpus):
    config = load_config(corpus.config, [])
    data = load_experiment_data(config)
    torch.manual_seed(0)
    model = build_model(config.model)
    indices = list(range(len(data.dataset)))
    alone = predict_sessions(model, data.dataset, indices, 3).set_index("index")
    parts = [
        predict_sessions(model, data.dataset, indices, 3, rank, n_processes=2) for rank in (0, 1)
    ]
    together = pd.concat(parts).set_index("index").sort_index()
    assert together.index.tolist() == indices
    np.testing.assert_allclose(
        together["prediction"], alone["prediction"].sort_index(), rtol=0, atol=1e-5
    )


def test_seeds_of_sessions_depend_on_their_whole_key():
    keys = [("c", "1", "23"), ("c", "12", "3"), ("d", "1", "23")]
    assert len({session_seed(key) for key in keys}) == 3
    assert session_seed(keys[0]) == session_seed(list(keys[0]))
