r"""Choose and calculate the test that compares attributions between the labels.

If the models share no training subject with the explained ones, the labels of the explained
subjects are exchangeable given the models, and the permutation test of ``group_effects`` is exact.
In a cross-validation, each model has learned from the labels of subjects that other models explain.
The permutation test is then invalid:
without any effect, with 48 subjects and 12 words, some q is below .05 in .04 to .10 of the studies
with 5 folds, .09 to .18 with 10 and .17 to .51 leaving one out
(``experiments/benchmarks/statistics/words.py``).

Given its model, the comparison within the test subjects of one fold is exact. With the sums
:math:`T_f = \sum_{i \in f} (y_i - \bar y_f) a_i` over the folds and their variance :math:`V_f`
under permutations within the fold, the statistic is :math:`z = \sum T_f / \sqrt{R \sum V_f}`, where
:math:`R` is the number of partitions (repetitions) of the subjects. The :math:`T_f` have mean 0,
but they are correlated. If the attribution of a word is linear in the signed features :math:`g` of
the training subjects, :math:`T_f = g_f \cdot (G - g_f)` with :math:`G = \sum g_f`, so that
:math:`\sum T_f = 2 \sum_{f < h} g_f \cdot g_h` has twice the variance of independent folds. For
many folds and d independent features of a word, z has the law of :math:`r - (d - 1) / r`, where
:math:`r` has a chi distribution with d degrees of freedom; its upper tail approaches that of N(0,
2) from below as d grows. Its lower tail is heavier (:math:`G` near 0), and a model that has learned
an effect explains it in the direction of the label. Signed attributions are therefore tested in one
direction, :math:`p = 1 - \Phi(z / \sqrt 2)`.

Measures without a direction (selection, shares of a map) can be even functions of the training
labels. For products of two training folds, each product of three folds occurs in three :math:`T_f`,
the variance is at most three times that of independent folds, and :math:`p = 2 - 2 \Phi(|z| / \sqrt
3)`.

These references are derived for attributions that are linear (or quadratic) in the training labels;
for other models they rest on simulation. If each model explains a single subject, nothing can be
compared within a model. Comparisons between the models are invalid, because the training sets
differ in the label of the subject that is left out (false discoveries in up to .08 of studies with
the reference above), and no test is calculated.

References
----------
Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003, describe the
dependence of folds that share training data. Bengio and Grandvalet, "No unbiased estimator of the
variance of k-fold cross-validation", JMLR 5, 2004.
"""

from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from depmm.interpret.attribution.methods import SELECTED
from depmm.schemas.manifest import SUBJECT_KEY

Array = NDArray[np.float64]

MODEL = ["fold", "seed"]
SHARE = "share"  # measure of regions, unsigned like the selection
DIRECTED_VARIANCE, UNDIRECTED_VARIANCE = 2.0, 3.0  # of z, relative to independent folds


class LabelTest(Enum):
    """Test of the difference between the labels; the value describes it in titles and pages."""

    PERMUTATION = "p: permutation of subjects, two-sided"
    CONCORDANCE = (
        "p: cross-validated models, one-sided: the attribution is higher with label 1 within the "
        "subjects of a model; correlation of the folds is allowed for"
    )
    WITHIN_MODELS = (
        "p: cross-validated models, two-sided, within the subjects of a model; correlation of the "
        "folds is allowed for"
    )
    SINGLE_SUBJECTS = "no p and q: each model explains subjects of one label only"
    TRAINING_SUBJECTS = "no p and q: the models were trained with the labels of these subjects"

    @property
    def is_calculated(self) -> bool:
        """Whether the test has p values.

        Returns
        -------
        bool
            False if no valid test exists.
        """
        return self not in (LabelTest.SINGLE_SUBJECTS, LabelTest.TRAINING_SUBJECTS)


def assign_models(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Assign each row the set of subjects that its model explains.

    Models of several seeds that explain the same subjects have the same code, and their
    attributions can be averaged. A single code means that no model explains the subjects of
    another one, as with a test set.

    Parameters
    ----------
    rows : DataFrame
        Columns corpus and subject, and ``fold`` and ``seed`` if there are several models.

    Returns
    -------
    ndarray of int, shape (rows,)
        Code of the set, from 0.
    """
    keys = [name for name in MODEL if name in rows]
    if not keys:
        return np.zeros(len(rows), dtype=np.int64)
    model = rows.groupby(keys, sort=True).ngroup().to_numpy()
    pairs = rows[SUBJECT_KEY].assign(model=model).drop_duplicates()
    codes: dict[frozenset[Any], int] = {}
    by_model = np.zeros(model.max() + 1, dtype=np.int64)
    for index, group in pairs.groupby("model"):
        subjects = frozenset(group[SUBJECT_KEY].itertuples(index=False, name=None))
        by_model[int(str(index))] = codes.setdefault(subjects, len(codes))
    return np.asarray(by_model[model])


def is_directed(measure: str) -> bool:
    """Check whether positive values of a measure mean that the prediction is raised.

    Parameters
    ----------
    measure : str
        Column of the attributions, branches or regions.

    Returns
    -------
    bool
        False for the selection of the attention and the share of a map.
    """
    return not measure.startswith(SELECTED) and measure != SHARE


def compute_fold_z(
    values: Array,
    positive: NDArray[np.bool_],
    stratum: NDArray[Any],
    partitions: int = 1,
) -> Array:
    """Standardise the sum of the differences within strata by permutations within strata.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
        NaN if there is no value.
    positive : ndarray of bool, shape (rows,)
        Whether the row has label 1.
    stratum : ndarray, shape (rows,)
        Labels are compared within a stratum only: the subjects of one model.
    partitions : int, default 1
        Largest number of strata that contain the same subject; their sums are taken to be
        perfectly correlated.

    Returns
    -------
    ndarray, shape (columns,)
        z; NaN if no stratum has both labels or all of its values are equal.
    """
    total, variance = np.zeros((2, values.shape[1]))
    for code in np.unique(stratum):
        rows = stratum == code
        x, first = values[rows], positive[rows, None]
        has_value = np.isfinite(x)
        n, n1 = has_value.sum(0), (has_value & first).sum(0)
        mean = np.where(has_value, x, 0.0).sum(0) / np.maximum(n, 1)
        centred = np.where(has_value, x - mean, 0.0)
        total += np.where((n1 > 0) & (n1 < n), (centred * first).sum(0), 0.0)
        # variance of the sum of n1 of n values without replacement
        variance += n1 * (n - n1) / np.maximum(n * (n - 1), 1) * (centred**2).sum(0)
    scale = np.nansum(values**2, axis=0) * 1e-24  # equal values, in spite of rounding errors
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > scale, total / np.sqrt(partitions * variance), np.nan)


def compute_fold_p(z: Array, test: LabelTest) -> Array:
    """Compute p values of cross-validated models.

    Parameters
    ----------
    z : ndarray
        From ``compute_fold_z``.
    test : LabelTest
        ``CONCORDANCE`` or ``WITHIN_MODELS``.

    Returns
    -------
    ndarray
        p values; NaN where z is NaN.
    """
    if test is LabelTest.CONCORDANCE:
        return np.asarray(stats.norm.sf(z / DIRECTED_VARIANCE**0.5))
    return np.asarray(2 * stats.norm.sf(np.abs(z) / UNDIRECTED_VARIANCE**0.5))
