"""Conformal sets and intervals: quantiles by hand, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from simulated_predictions import (
    resample,
    simulated_predictions,
)

from depmm.evaluation.stats import conformal_sets
from depmm.evaluation.stats.conformal_sets import conformal_quantile
from depmm.evaluation.stats.intervals import wilson_interval


def test_quantile_by_hand():
    scores = np.arange(1, 10) / 10  # nine subjects
    assert conformal_quantile(scores, 0.1).value == 0.9  # the 9th: ceil(10 * .9)
    assert conformal_quantile(scores, 0.2).value == 0.8
    assert conformal_quantile(scores, 0.25).value == 0.8  # ceil(7.5)
    assert conformal_quantile(np.arange(19), 0.05).value == 18
    few = conformal_quantile(scores[:8], 0.1)
    assert (few.unbounded, few.subjects, few.min_subjects) == (True, 8, 9)
    assert conformal_quantile([], 0.2).unbounded
    assert conformal_quantile(np.ones(9), 0.1).value == 1  # ties
    with pytest.raises(ValueError, match="alpha is 1"):
        conformal_quantile(scores, 1)


def test_a_subject_has_one_nonconformity_score():
    rows = pd.DataFrame({"corpus": "c", "subject": ["a", "a", "b"], "session": ["1", "2", "1"]})
    assert conformal_sets.max_per_subject(rows, [0.2, 0.7, 0.1]).tolist() == [0.7, 0.1]
    table = simulated_predictions(validation=30, test=30, sessions=3)
    fitted = conformal_sets.fit_label_sets(table, 0.1)
    counts = table.query("split == 'validation'").groupby("subject")["y_true"].first()
    assert fitted[0, 0][0].subjects == (counts == 0).sum()
    assert fitted[0, 0][1].subjects == (counts == 1).sum()
    # many copies of each session have no effect
    copies = pd.concat([table, table.assign(session=table["session"] + "b")])
    assert conformal_sets.fit_label_sets(copies, 0.1) == fitted


# 120 folds are 120 independent studies, each with other validation and test subjects
STUDIES = 120


@pytest.mark.slow
@pytest.mark.parametrize(("sharpness", "sessions"), [(1.0, 1), (4.0, 2)])
def test_label_sets_have_their_coverage_in_each_class(sharpness, sessions):
    table = simulated_predictions(50, 50, sharpness=sharpness, sessions=sessions, folds=STUDIES)
    content = conformal_sets.measure_label_sets(table, resample(table, n_bootstrap=1), 0.2)
    for name in ("0", "1", "all"):
        # 1 - alpha <= coverage <= 1 - alpha + 1 / (n + 1), n about 25 subjects of a class
        assert 0.8 - 0.02 < content["coverage"][name]["value"] < 0.8 + 1 / 20 + 0.02, name
    assert sum(content["sizes"].values()) == pytest.approx(1)
    assert 0.2 < content["sizes"]["one"] < 1


def test_too_few_subjects_give_unbounded_sets():
    table = simulated_predictions(validation=6, test=12)
    content = conformal_sets.measure_label_sets(table, resample(table), 0.1)
    assert content["unbounded"]
    assert content["min_subjects"] == 9
    assert content["sizes"] == {"empty": 0, "one": 0, "both": 1}
    assert content["coverage"]["all"]["value"] == 1
    assert content["coverage"]["all"]["ci_low"] == pytest.approx(
        wilson_interval(12, 12, 0.95).ci_low
    )
