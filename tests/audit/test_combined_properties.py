"""The model of all properties together."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from depmm.audit.combined_properties import _auroc, _fit_folds, associate_combined


def make_properties(n_subjects: int, effect: float, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Draw 12 properties whose means differ by ``effect`` standard deviations."""
    rng = np.random.default_rng(seed)
    labels = pd.Series(rng.permutation(n_subjects) % 2).astype(float)
    values = rng.normal(size=(n_subjects, 12)) + effect * labels.to_numpy()[:, None]
    table = pd.DataFrame(values, columns=[f"recording.x{k}" for k in range(12)])
    return table.assign(**{"column.site": rng.choice(list("abc"), n_subjects)}), labels


def test_the_cross_validated_model_is_a_ridge_regression():
    rng = np.random.default_rng(0)
    for n_columns in (5, 60):  # fewer and more columns than subjects
        matrix, folds = rng.normal(size=(40, n_columns)), np.arange(40) % 5
        labels = (np.arange(40) % 3 == 0).astype(float)
        predicted = _fit_folds(matrix, folds)(labels[:, None])[:, 0]
        for fold in range(5):
            train = folds != fold
            model = Ridge(alpha=train.sum()).fit(matrix[train], labels[train])
            expected = model.predict(matrix[~train]) - labels[train].mean()
            np.testing.assert_allclose(predicted[~train], expected, atol=1e-9)
        auroc = _auroc(predicted[:, None], labels[:, None])[0]
        assert auroc == pytest.approx(roc_auc_score(labels, predicted))


def test_weak_properties_are_found_together():
    properties, labels = make_properties(80, 0.5, seed=1)
    result = associate_combined(properties, labels)
    assert result.p_value == pytest.approx(1 / 500)
    assert result.effect_size > 0.4


def test_the_p_value_is_uniform_without_an_association():
    p_values = np.array(
        [associate_combined(*make_properties(40, 0.0, seed)).p_value for seed in range(100)]
    )
    assert (p_values <= 0.1).mean() <= 0.19  # .10 is expected, with a standard deviation of .03


def test_too_few_subjects_or_properties_are_not_tested():
    properties, labels = make_properties(14, 1.0, seed=0)
    assert associate_combined(properties, labels) is None
    properties, labels = make_properties(40, 1.0, seed=0)
    assert associate_combined(properties[["recording.x0"]], labels) is None
