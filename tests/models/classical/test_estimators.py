"""Estimators: hand values of outputs and weights, agreement with plain scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from depmm.config import ClassicalModelConfig
from depmm.config.experiment import sections_by_kind
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.models.classical.estimators import build_pipeline, linear_weights, predict_output

SECTIONS = sections_by_kind(ClassicalModelConfig)
SMALL = {"random_forest": {"n_trees": 25}, "gradient_boosting": {"n_trees": 20}}
CASES = [(kind, target) for kind, section in SECTIONS.items() for target in section.targets]


def build(kind: str, binary: bool = True, n_columns: int = 8, n_rows: int = 60, **settings):
    section = SECTIONS[kind](kind=kind, **{**SMALL.get(kind, {}), **settings})
    return build_pipeline(section, binary, n_rows, n_columns, seed=0)


@pytest.fixture(scope="module")
def rows():
    """Rows with the scales of decibels and hertz, a missing value and a column without values."""
    rng = np.random.default_rng(0)
    labels = np.tile([0.0, 1.0], 60)
    values = np.geomspace(0.1, 100, 8) * (rng.standard_normal((120, 8)) + labels[:, None])
    values[3, 1] = np.nan
    values[:, 7] = np.nan
    return values, labels


@pytest.mark.parametrize(("kind", "target"), CASES)
def test_every_model_separates_new_rows(rows, kind, target):
    values, labels = rows
    binary = target == "binary"
    score = labels if binary else 30.0 + 20.0 * labels
    fitted = build(kind, binary).fit(values[:60], score[:60].astype(int) if binary else score[:60])
    output = predict_output(fitted, values[60:])
    assert np.isfinite(output).all()
    assert auroc(labels[60:], output, unit_weights(60))[0] > 0.85
    if binary:  # a logit of 0 is the decision threshold of the classifier
        clear = np.abs(output) > 1e-6
        predicted = fitted.predict(values[60:])
        np.testing.assert_array_equal((output > 0)[clear], predicted[clear] == 1)
    else:
        assert np.abs(output - score[60:]).mean() < 12


def test_the_paper_s_svm_is_that_of_scikit_learn(rows):
    values, labels = rows[0][:, :6], rows[1].astype(int)
    values = np.nan_to_num(values)
    plain = make_pipeline(StandardScaler(), SVC(class_weight="balanced")).fit(values, labels)
    ours = build("svm", n_columns=6).fit(values, labels)
    np.testing.assert_allclose(
        predict_output(ours, values), plain.decision_function(values), rtol=0, atol=1e-9
    )


def test_missing_values_become_the_median_of_the_training_rows():
    values = np.array([[0.0], [1.0], [10.0], [np.nan]])
    fitted = build("ridge", n_columns=1, n_rows=4).fit(values, [0, 0, 1, 1])
    assert fitted[0].statistics_.tolist() == [1.0]
    np.testing.assert_allclose(
        predict_output(fitted, np.array([[np.nan]])), predict_output(fitted, np.array([[1.0]]))
    )


def test_votes_are_smoothed():
    values = np.arange(10.0).reshape(-1, 1)
    fitted = build("k_nearest", n_columns=1, n_neighbors=3).fit(values, [0] * 5 + [1] * 5)
    # 0 of 3 votes: 1/5; 2 of 3 votes: 3/5
    output = predict_output(fitted, np.array([[0.0], [4.9]]))
    np.testing.assert_allclose(output, np.log([1 / 4, 3 / 2]))


def test_the_classes_have_equal_weight():
    values = np.array([*np.linspace(-2, 1, 18), 0.6, 0.9]).reshape(-1, 1)
    labels = [0] * 18 + [1] * 2
    for kind in ("svm", "logistic_regression", "ridge", "elastic_net"):
        fitted = build(kind, n_columns=1, n_rows=20).fit(values, labels)
        assert predict_output(fitted, np.array([[0.75]]))[0] > 0, kind
    unweighted = make_pipeline(StandardScaler(), LogisticRegression()).fit(values, labels)
    assert unweighted.decision_function([[0.75]])[0] < 0


def test_weights_are_the_change_per_standard_deviation(rows):
    values, labels = np.nan_to_num(rows[0]), rows[1]
    std = values.std(axis=0)
    for kind, binary in (("logistic_regression", True), ("ridge", True), ("ridge", False),
                         ("elastic_net", False)):  # fmt: skip
        target = labels.astype(int) if binary else 30 + 20 * labels
        fitted = build(kind, binary).fit(values, target)
        weights = linear_weights(fitted)
        moved = values[:1] + np.diag(std)
        change = predict_output(fitted, moved) - predict_output(fitted, values[:1])
        np.testing.assert_allclose(weights[:7], change[:7], rtol=1e-6, atol=1e-9)
    assert linear_weights(build("svm").fit(values, labels.astype(int))) is None
    linear = build("svm", kernel="linear").fit(values, labels.astype(int))
    assert linear_weights(linear).shape == (8,)


def test_the_penalty_of_the_elastic_net_does_not_depend_on_the_number_of_rows(rows):
    values, labels = np.nan_to_num(rows[0]), rows[1].astype(int)
    once = build("elastic_net", n_rows=120).fit(values, labels)
    twice = build("elastic_net", n_rows=240).fit(np.tile(values, (2, 1)), np.tile(labels, 2))
    np.testing.assert_allclose(linear_weights(once), linear_weights(twice), rtol=0, atol=1e-3)
