"""Explanations and predictions of a model on a GPU."""

import pandas as pd
import pytest
from imitated_gpu import answering_gpu, imitated_gpu
from untrained_models import build_untrained

from depmm.evaluation.batch_prediction import predict_sessions
from depmm.interpret.attribution.explain_sessions import explain_sessions
from depmm.interpret.attribution.methods import REQUESTABLE

MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"


def test_predictions_are_computed_on_the_gpu_and_read_once(corpus):
    model, data = build_untrained(corpus, MEAN_POOL)
    with imitated_gpu(model) as reads:
        table = predict_sessions(model, data.dataset, range(5), 2)
    assert table["index"].tolist() == [0, 1, 2, 3, 4]
    assert reads == [(5, 2)]


@pytest.mark.parametrize("method", REQUESTABLE)
@pytest.mark.parametrize("fusion", [[], [MEAN_POOL]], ids=["dep_former", "mean_pool"])
def test_explanations_are_computed_on_the_gpu(corpus, fusion, method):
    model, data = build_untrained(corpus, *fusion)
    steps = corpus.manifest.steps
    with imitated_gpu(model), answering_gpu():
        batches = list(explain_sessions(model, data, steps, "test", 0, 0, [method]))
    table = pd.concat([batch["attributions"] for batch in batches])
    n_sessions = len(data.indices("test"))
    assert len(table) == n_sessions * 4
