"""The registry of metrics."""

from metric_references import BANDS, DECISIONS, PROBABILITIES, SCORES

from depmm.evaluation.stats.metrics import METRICS, metric_names


def test_every_metric_has_a_reference():
    assert {*DECISIONS, *PROBABILITIES, *SCORES, *BANDS} == set(METRICS)
    assert metric_names("severity") == [*SCORES, *BANDS]
