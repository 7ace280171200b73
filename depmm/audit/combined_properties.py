"""One model of all properties together: many weak properties can predict the label as one does.

A ridge regression of the label (the linear form of a penalised logistic regression) is fitted on
four fifths of the subjects and tested on the others. Numbers are replaced by their ranks and
categories by indicators; every property has variance 1, and the penalty is the number of training
subjects. Nothing is tuned. The folds are drawn without the labels, so that the p value of permuted
labels is exact; and as the fit is linear in the labels, all permutations need one factorisation.

References
----------
Ojala and Garriga, "Permutation tests for studying classifier performance", JMLR 11, 2010 (test 1).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from scipy import stats

from depmm.audit.associations import Association, sequential_p_value

Array = NDArray[np.float64]
N_FOLDS = 5
MIN_CLASS = 8  # subjects of the smaller class
_MIN_CATEGORY = 3  # subjects with a category that has an indicator
_MAX_CATEGORIES = 20  # a text with more values is a name or free text
_N_PERMUTATIONS = 499
_BATCH = 99
_SHOWN = 5  # properties in the description


@dataclass(frozen=True)
class _Design:
    """Encoded properties of subjects, shape (subjects, K), and the property of each column."""

    matrix: Array
    names: list[str]


def associate_combined(properties: pd.DataFrame, labels: pd.Series) -> Association | None:
    """Test all properties together.

    Parameters
    ----------
    properties : DataFrame, shape (subjects, properties)
        Numbers and text, one row per subject.
    labels : Series, shape (subjects,)
        1, 0, or NaN.

    Returns
    -------
    Association or None
        The effect size is ``2 AUROC - 1`` of the cross-validated model; None with fewer than
        ``MIN_CLASS`` subjects in a class or without a property that varies.
    """
    known = labels.notna().to_numpy()
    positive = labels[known].to_numpy(float) == 1
    n_positive = int(positive.sum())
    if min(n_positive, len(positive) - n_positive) < MIN_CLASS:
        return None
    design = _encode(properties[known])
    if len(set(design.names)) < 2:
        return None
    rng = np.random.default_rng(0)
    predict = _fit_folds(design.matrix, rng.permutation(len(positive)) % N_FOLDS)
    target = positive.astype(float)
    observed = float(_auroc(predict(target[:, None]), target[:, None])[0])

    def draw(size: int) -> Array:
        permuted = rng.permuted(np.repeat(target[:, None], size, axis=1), axis=0)
        return _auroc(predict(permuted), permuted)

    p_value = sequential_p_value(draw, observed, _N_PERMUTATIONS, _BATCH)
    weights = np.abs(_weights(design.matrix, target[:, None] - target.mean()))[:, 0]
    strength = pd.Series(weights).groupby(np.array(design.names)).max()
    strongest = strength.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    return Association(
        f"a linear model of {len(set(design.names))} properties predicts the label of "
        f"{len(positive)} subjects with a cross-validated AUROC of {observed:.2f}; the largest "
        f"weights are those of {', '.join(map(str, strongest))}",
        "2 AUROC - 1",
        2 * observed - 1,
        p_value,
    )


def _encode(properties: pd.DataFrame) -> _Design:
    """Encode numbers by ranks and categories by indicators; each property has variance 1."""
    columns: list[Array] = []
    names: list[str] = []
    for name in properties:
        values = properties[name]
        if is_numeric_dtype(values):
            numbers = values.to_numpy(float)
            known = ~np.isnan(numbers)
            ranks = np.zeros(len(numbers))
            ranks[known] = stats.rankdata(numbers[known])
            ranks[known] -= ranks[known].mean() if known.any() else 0.0
            block = ranks[:, None]
        else:
            counts = values.value_counts()
            levels = counts.index[counts >= _MIN_CATEGORY]
            if len(counts) > _MAX_CATEGORIES or len(levels) == 0:
                continue
            block = np.stack([(values == level).to_numpy(float) for level in levels], axis=1)
            block -= block.mean(axis=0)
        norms = block.std(axis=0)
        block = block[:, norms > 1e-12] / norms[norms > 1e-12]
        if block.shape[1]:
            columns.append(block / np.sqrt(block.shape[1]))
            names += [str(name)] * block.shape[1]
    matrix = np.concatenate(columns, axis=1) if columns else np.zeros((len(properties), 0))
    return _Design(matrix, names)


def _fit_folds(matrix: Array, folds: NDArray[np.intp]):  # type: ignore[no-untyped-def]
    """Return a function from labels, shape (subjects, P), to predictions by the other folds."""

    def predict(labels: Array) -> Array:
        predicted = np.empty(labels.shape)
        for fold in range(N_FOLDS):
            tested = folds == fold
            trained = matrix[~tested]
            mean = trained.mean(axis=0)
            centred = labels[~tested] - labels[~tested].mean(axis=0)
            # without the mean of the labels, which is lower for a fold of positive subjects
            predicted[tested] = (matrix[tested] - mean) @ _weights(trained - mean, centred)
        return predicted

    return predict


def _weights(matrix: Array, labels: Array) -> Array:
    """Fit a ridge regression whose penalty is the number of subjects."""
    n_subjects, n_columns = matrix.shape
    if n_columns <= n_subjects:
        gram = matrix.T @ matrix + n_subjects * np.eye(n_columns)
        return np.linalg.solve(gram, matrix.T @ labels)
    kernel = matrix @ matrix.T + n_subjects * np.eye(n_subjects)
    return np.asarray(matrix.T @ np.linalg.solve(kernel, labels))


def _auroc(predicted: Array, labels: Array) -> Array:
    """Compute the AUROC of each column; ties count half where a property gives them."""
    ranks = stats.rankdata(np.round(predicted, 10), axis=0)
    n_positive = labels.sum(axis=0)
    n_negative = len(labels) - n_positive
    statistic = (ranks * labels).sum(axis=0) - n_positive * (n_positive + 1) / 2
    return np.asarray(statistic / (n_positive * n_negative))
