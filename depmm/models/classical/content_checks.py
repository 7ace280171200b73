"""Checks of the pipelines of a file, before they predict.

skops builds objects of trusted types, with any content. Compiled code of scikit-learn uses some of
it without further checks: the children of a node of a tree, for example, are places in memory. Each
pipeline must therefore have the estimators of its settings, and indices that exist.
"""

from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import Tree

from depmm.config import ClassicalModelConfig
from depmm.models.classical.estimators import build_pipeline, predict_output

FORESTS = (
    AdaBoostClassifier, AdaBoostRegressor, RandomForestClassifier, RandomForestRegressor,
)  # fmt: skip
HISTOGRAMS = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
# of the training rows, which are not in the settings
OF_TRAINING = ("C", "random_state")


def check_pipeline(
    pipeline: Pipeline, settings: ClassicalModelConfig, binary: bool, n_columns: int
) -> None:
    """Check that a pipeline is one of the settings, and predicts.

    Parameters
    ----------
    pipeline : Pipeline
        From a file.
    settings : ClassicalModelConfig
        Kind of estimator and its hyper-parameters.
    binary : bool
        Whether the target is binary.
    n_columns : int
        Number of measures.

    Raises
    ------
    ValueError
        If it has another estimator, an index that does not exist, or does not predict.
    """
    expected = build_pipeline(settings, binary, 2, n_columns, 0)
    _require([name for name, _ in pipeline.steps] == [name for name, _ in expected.steps], "steps")
    for (name, step), (_, other) in zip(pipeline.steps, expected.steps, strict=True):
        _check_same(step, other, name)
    estimator = pipeline[-1]
    if isinstance(estimator, TransformedTargetRegressor):
        _check_same(estimator.regressor_, expected[-1].regressor, "regressor")
        _check_same(estimator.transformer_, expected[-1].transformer, "transformer")
        estimator = estimator.regressor_
    if isinstance(estimator, FORESTS):
        for tree in estimator.estimators_:
            _require(type(tree) in (DecisionTreeClassifier, DecisionTreeRegressor), "trees")
            _check_tree(tree.tree_, n_columns)
    elif isinstance(estimator, HISTOGRAMS):
        for predictor in (entry for iteration in estimator._predictors for entry in iteration):
            _check_histogram_tree(predictor, n_columns)
    elif isinstance(estimator, SVC | SVR):
        _check_support_vectors(estimator, n_columns)
    try:
        outputs = predict_output(pipeline, np.zeros((1, n_columns)))
    except Exception as error:  # missing or wrong attributes fail in many ways
        raise ValueError(f"it does not predict: {error}") from None
    _require(outputs.shape == (1,), "its prediction")


def _check_same(given: Any, expected: Any, name: str) -> None:
    """Compare type and hyper-parameters of an estimator with those of the settings."""
    _require(type(given) is type(expected), f"the type of {name}")
    parameters = given.get_params(deep=False)
    for key, value in expected.get_params(deep=False).items():
        if key not in OF_TRAINING and isinstance(value, str | bool | int | float | None):
            same = type(parameters[key]) is type(value)
            # as text, because NaN marks missing values
            _require(same and repr(parameters[key]) == repr(value), f"{key} of {name}")


def _check_tree(tree: Any, n_columns: int) -> None:
    """Check the nodes of a tree; a child comes after its parent, so that there is no circle."""
    _require(type(tree) is Tree and tree.n_features == n_columns, "the columns of a tree")
    nodes = tree.__getstate__()["nodes"]
    inner = nodes["left_child"] != -1
    _check_children(nodes["left_child"], nodes["right_child"], inner)
    _check_features(nodes["feature"][inner], n_columns)


def _check_histogram_tree(predictor: Any, n_columns: int) -> None:
    """Check the nodes of a tree of gradient boosting, which has no categories here."""
    _require(type(predictor) is TreePredictor, "the trees")
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    _check_children(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), inner)
    _check_features(nodes["feature_idx"][inner], n_columns)
    _require(not nodes["is_categorical"].any(), "the categories of a tree")


def _check_children(left: np.ndarray, right: np.ndarray, inner: np.ndarray) -> None:
    _require(len(inner) > 0, "an empty tree")
    for children in (left, right):
        after = children[inner] > np.flatnonzero(inner)
        _require(bool((after & (children[inner] < len(inner))).all()), "the children of a tree")


def _check_features(features: np.ndarray, n_columns: int) -> None:
    _require(bool(((features >= 0) & (features < n_columns)).all()), "the features of a tree")


def _check_support_vectors(estimator: Any, n_columns: int) -> None:
    """Check the sizes of the arrays that the library of support vector machines reads."""
    counts = np.asarray(estimator._n_support)
    # a regression has two equal counts, of which the second is not used
    n_vectors = int(counts.sum() if isinstance(estimator, SVC) else counts[0])
    correct = (
        counts.dtype == np.int32
        and counts.shape == (2,)
        and bool((counts >= 0).all())
        and estimator.support_.shape == (n_vectors,)
        and estimator.support_vectors_.shape == (n_vectors, n_columns)
        and estimator._dual_coef_.shape == (1, n_vectors)
        and estimator._intercept_.shape == (1,)
        and estimator._sparse is False
        and len(getattr(estimator, "classes_", (0, 1))) == 2
    )
    _require(correct, "the support vectors")


def _require(condition: bool, part: str) -> None:
    if not condition:
        raise ValueError(f"{part} cannot be used")
