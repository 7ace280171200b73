r"""Choose and calculate the test that compares attributions between the labels.

If the models share no training subject with the explained ones, the labels of the explained
subjects are exchangeable given the models, and the permutation test of ``group_effects`` is exact.
In a cross-validation, each model has learned from the labels of subjects that other models explain.
The permutation test is then invalid: without any effect, with 48 subjects and 12 words of one or
two features, some q is below .05 in .12 to .29 of the studies with 5 folds, .31 to .56 with 10 and
.60 to .88 leaving one out (``experiments/benchmarks/statistics/words.py``).

Given its model, the comparison within the test subjects of one fold is exact. With the sums
:math:`T_f = \sum_{i \in f} (y_i - \bar y_f) a_i` over the folds and their variance :math:`V_f`
under permutations within the fold, the statistic is :math:`z = \sum T_f / \sqrt{R \sum V_f}`, where
:math:`R` is the number of partitions (repetitions) of the subjects. The :math:`T_f` have mean 0,
but they are correlated. If the attribution of a word is linear in the signed features :math:`g` of
the training subjects, :math:`T_f = g_f \cdot (G - g_f)` with :math:`G = \sum g_f`, so that
:math:`\sum T_f = 2 \sum_{f < h} g_f \cdot g_h` has twice the variance of independent folds. For
many folds and d independent features of a word, z has the law of :math:`r - d / r`, where :math:`r`
has a chi distribution with d degrees of freedom; its upper tail approaches that of N(0, 2) from
below as d grows. Its lower tail is heavier (:math:`G` near 0), and a model that has learned an
effect explains it in the direction of the label. Signed attributions are therefore tested in one
direction, :math:`p = 1 - \Phi(z / \sqrt v)`.

The limit, v = 2, is conservative: with 12 independent words, some q is below .05 in .007 to .009 of
the studies with three or more folds if d is 8, and in .025 to .032 if d is 64. With three or more
models, v is therefore 1.75, which has more power: the rates are .014 to .022 and .045 to .057, but
.067 to .079 if d is 512. Two folds need v = 2: with 1.75, the rate is .083 if d is 64 (``words.py
limits``).

If each model explains subjects of one label only, as in leaving one subject out, nothing can be
compared within a model. Over all subjects, :math:`\sum (y_i - \bar y) a_i` is the same sum of
products, and v is 2: comparisons between models are not exact given the models, and the reference
rests on the derivation and on simulation. Intercepts of such models are lower if a subject with
label 1 is left out, which is against the direction of the test.

Measures without a direction (selection, shares of a map) can be even functions of the training
labels. For products of two training folds, each product of three folds occurs in three :math:`T_f`,
the variance is at most three times that of independent folds, and :math:`p = 2 - 2 \Phi(|z| / \sqrt
3)`. They are not tested between models.

These references are derived for attributions that are linear (or quadratic) in the training labels;
for other models they rest on simulation.

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
# variance of z, relative to independent folds
DIRECTED_VARIANCE, UNDIRECTED_VARIANCE = 1.75, 3.0
FEW_MODELS_VARIANCE = 2.0  # directed; fewer than MIN_MODELS models are compared within themselves
MIN_MODELS = 3


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
    BETWEEN_MODELS = (
        "p: each model explains subjects of one label only, one-sided: the attribution is higher "
        "with label 1 in a comparison between models; their correlation is allowed for"
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

    @property
    def is_directed(self) -> bool:
        """Whether only higher values with label 1 are reported.

        Returns
        -------
        bool
            True for the one-sided tests of cross-validated models.
        """
        return self in (LabelTest.CONCORDANCE, LabelTest.BETWEEN_MODELS)


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


def compute_fold_p(z: Array, test: LabelTest, models: int) -> Array:
    """Compute p values of cross-validated models.

    Parameters
    ----------
    z : ndarray
        From ``compute_fold_z``.
    test : LabelTest
        ``CONCORDANCE``, ``BETWEEN_MODELS`` or ``WITHIN_MODELS``.
    models : int
        Number of sets of subjects that are compared within themselves, each by its model; 1 for
        ``BETWEEN_MODELS``.

    Returns
    -------
    ndarray
        p values; NaN where z is NaN.
    """
    if test.is_directed:
        variance = DIRECTED_VARIANCE if models >= MIN_MODELS else FEW_MODELS_VARIANCE
        return np.asarray(stats.norm.sf(z / variance**0.5))
    return np.asarray(2 * stats.norm.sf(np.abs(z) / UNDIRECTED_VARIANCE**0.5))
