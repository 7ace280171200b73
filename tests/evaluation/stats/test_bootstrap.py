"""The bootstrap over subjects: units, strata and size."""

import numpy as np
import pandas as pd
import pytest

from depmm.evaluation.stats.bca_interval import bootstrap_interval
from depmm.evaluation.stats.binary_metrics import accuracy
from depmm.evaluation.stats.bootstrap import assign_strata, bootstrap_weights


def test_subjects_are_resampled_with_all_sessions_within_strata(rng):
    subject = np.array([0, 0, 0, 1, 2, 2, 3, 4])
    strata = np.array(["a", "a", "a", "a", "b", "b", "b", "b"])
    weights = bootstrap_weights(subject, strata, 300, seed=1)
    assert weights.shape == (300, 8)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 0] != weights[:, 3]).any()
    # within each stratum as many subjects are drawn as it has: 2 in a, 3 in b
    assert (weights[:, [0, 3]].sum(1) == 2).all()
    assert (weights[:, [4, 6, 7]].sum(1) == 3).all()
    assert np.array_equal(weights, bootstrap_weights(subject, strata, 300, seed=1))
    assert not np.array_equal(weights, bootstrap_weights(subject, strata, 300, seed=2))


def test_resampling_weights_are_multinomial():
    weights = bootstrap_weights(np.arange(300), np.zeros(300), 400, seed=0)
    assert weights.dtype == np.uint8
    assert weights.mean(0) == pytest.approx(np.ones(300), abs=0.25)
    assert weights.var() == pytest.approx(1, abs=0.02)  # multinomial: 1 - 1/n


def test_counts_that_need_more_than_8_bits_are_kept(monkeypatch):
    class Same:
        def integers(self, low, high, size):
            return np.zeros(size, np.int64)  # draws one subject 300 times

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Same())
    weights = bootstrap_weights(np.arange(300), np.zeros(300), 2, seed=0)
    assert weights.tolist() == [[300] + [0] * 299] * 2


def test_a_subject_in_two_strata_is_an_error():
    with pytest.raises(ValueError, match="subject 5"):
        bootstrap_weights([5, 5], [0, 1], 10, seed=0)
    with pytest.raises(ValueError, match="strata"):
        bootstrap_weights([5, 5], [0], 10, seed=0)


def test_strata_belong_to_subjects_of_a_corpus():
    sessions = pd.DataFrame(
        {
            "corpus": ["a", "a", "a", "a", "b"],
            "subject": ["1", "1", "2", "3", "1"],  # 1 of corpus b is another subject
            "y_true": [0, 1, 0, 1, 1],
        }
    )
    codes, strata = assign_strata(sessions)
    assert codes.tolist() == [0, 0, 1, 2, 3]
    assert strata.tolist() == ["both", "both", "negative", "positive", "positive"]
    assert set(assign_strata(sessions.drop(columns="y_true"))[1]) == {"unlabelled"}


def test_resampling_subjects_has_its_coverage_and_resampling_rows_has_not():
    """Three sessions of a subject are identical: resampled rows underestimate the variance."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 3)
    covered = {"subjects": 0, "rows": 0}
    repeats = 150
    for seed in range(repeats):
        right = np.repeat(rng.random(40) < 0.7, 3).astype(int)
        for unit, codes in (("subjects", subjects), ("rows", np.arange(120))):
            weights = bootstrap_weights(codes, np.zeros(120), 300, seed)
            replicates = accuracy(np.ones(120), right, weights)
            result = bootstrap_interval(right.mean(), replicates, 0.9)
            covered[unit] += result.ci_low <= 0.7 <= result.ci_high
    assert 0.84 <= covered["subjects"] / repeats <= 0.96
    assert covered["rows"] / repeats < 0.75
