r"""Compare two groups of subjects in many columns: effect size, interval and permutation test.

The groups are the labels 0 and 1. The effect is Hedges' g [1]_,

.. math:: g = \left(1 - \frac{3}{4 f - 1}\right) \frac{\bar x_1 - \bar x_0}{s},

where :math:`s` is the pooled standard deviation and :math:`f` its degrees of freedom; the factor
removes the bias of Cohen's d in small groups. The p value is that of a permutation test with
Student's t as statistic,

.. math:: p = \frac{1 + \#\{b : |t_b| \ge |t|\}}{1 + B},

over B random labellings [2]_, and q its Benjamini-Hochberg adjustment over the columns [3]_.
Intervals are BCa bootstrap intervals over subjects [4]_, given the models. The permutation test is
that of models which were not trained with the labels of the compared subjects;
``label_tests`` contains those of cross-validated models, whose labels are compared within the
subjects of a model.

With strata (gender, for example) subjects are compared within strata only: the difference is the
coefficient of the label in a linear model of label and stratum, and labels are permuted and
subjects drawn within strata. With one stratum, this is the usual difference of means with its
permutation test and bootstrap.

Of 1,500 simulated effects of 1, the 95 % interval covered the true effect in 94.8 % with 48
subjects in each group, 94.4 % with 24, 94.9 % with 14 and 92.5 % with 6; the mean estimate was
within .01 of the true effect. Of 300 simulated studies of 48 subjects and 40 columns without any
effect, 3 % had a q < .05 (5 % within two unequal strata). A column that differed between strata
only, by 1.5, had a q < .05 in 22 % of 200 studies without strata, and in none with strata.

References
----------
.. [1] Hedges, "Distribution theory for Glass's estimator of effect size and related estimators",
   Journal of Educational Statistics 6(2), 1981.
.. [2] Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications in
   Genetics and Molecular Biology 9(1), 2010.
.. [3] Benjamini and Hochberg, "Controlling the false discovery rate", JRSS B 57(1), 1995.
.. [4] Efron and Tibshirani, "An introduction to the bootstrap", Chapman and Hall, 1993, Chap. 14.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.evaluation.stats.bca_interval import bootstrap_interval, leave_subjects_out
from depmm.evaluation.stats.bootstrap import assign_strata, bootstrap_weights
from depmm.evaluation.stats.weighted_sums import Array
from depmm.interpret.query.label_tests import LabelTest, compute_fold_p, compute_fold_z
from depmm.multiple_testing import benjamini_hochberg
from depmm.schemas.manifest import SUBJECT_KEY

UNIT = [*SUBJECT_KEY, "label", "stratum", "models"]  # index of a matrix of subjects
MIN_SUBJECTS = 3  # smallest number of subjects per group for a test and an interval
CHUNK = 256  # labellings or draws at a time, which bounds the memory for many columns
ROUNDING = 1e-12  # share of the sum of squares below which a deviation is a rounding error


class Comparison(NamedTuple):
    """Differences for every labelling or draw and every column, arrays of shape (D, columns).

    Effects are infinite if the variance within groups is 0 but the means differ, and NaN if a group
    has fewer than two subjects or all values are equal.

    Attributes
    ----------
    difference : ndarray
        Difference of the means, label 1 minus label 0.
    effect : ndarray
        Hedges' g.
    t : ndarray
        Student's t.
    """

    difference: Array
    effect: Array
    t: Array


def compare_columns(
    matrix: pd.DataFrame,
    permutations: int = 5000,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    test: LabelTest = LabelTest.PERMUTATION,
) -> pd.DataFrame:
    """Compare every column of a matrix of subjects between the labels.

    In a permutation test, all columns have the same permutations of the labels. The statistic is
    Student's t, because the number of values per group varies between labellings if values are
    missing. A labelling is left out for a column if a group has fewer than two of its values.

    Parameters
    ----------
    matrix : DataFrame, shape (subjects, columns)
        Values with the index ``UNIT``; NaN if a subject has no value. ``models`` is the code of the
        models that explain the subject (``label_tests.assign_models``); labels are compared within
        ``stratum`` and ``models``.
    permutations : int, default 5000
        Random labellings; the smallest possible p is 1 / (permutations + 1).
    draws : int, default 2000
        Bootstrap draws of subjects; 0 for no intervals.
    confidence : float, default 0.95
        Confidence level of the intervals.
    seed : int, default 0
        Seed of permutations and draws.
    test : LabelTest, default LabelTest.PERMUTATION
        Test of the difference.

    Returns
    -------
    DataFrame
        One row per column with its name, sorted by the size of the effect (in one-sided tests, by
        the effect) and then by name, rare columns last:
        ``n_positive`` and ``n_negative`` (subjects), ``mean_positive``, ``mean_negative``,
        ``difference``, ``effect``, its ``ci_low`` and ``ci_high`` (given the models), ``p``, ``q``
        and ``rare`` (fewer than three subjects in a group: no interval and no test). ``p``, ``q``
        and the interval are NaN if ``test`` is not calculated.
    """
    positive, _ = _split_index(matrix)
    comparison = compare_observed(matrix)
    count = _count_subjects(matrix, 1), _count_subjects(matrix, 0)
    rare = np.minimum(*count) < MIN_SUBJECTS
    p, low, high = np.full((3, len(rare)), np.nan)
    tested = ~rare & ~np.isnan(comparison.effect)
    if test.is_calculated and tested.any():
        part = matrix.loc[:, tested]
        if test is LabelTest.PERMUTATION:
            p[tested] = _permute(part, comparison.t[tested], permutations, seed)
        else:
            z = compute_fold_z(part.to_numpy(dtype=float), *_split_index(part), _partitions(part))
            p[tested] = compute_fold_p(z, test, part.index.get_level_values("models").nunique())
        if draws and (finite := tested & np.isfinite(comparison.effect)).any():
            low[finite], high[finite] = _compute_intervals(
                matrix.loc[:, finite], comparison.effect[finite], draws, confidence, seed
            )
    names = list(map(str, matrix.columns.names))
    size = comparison.effect if test.is_directed else np.abs(comparison.effect)
    table = matrix.columns.to_frame(index=False).assign(
        n_positive=count[0],
        n_negative=count[1],
        mean_positive=matrix[positive].mean().to_numpy(),
        mean_negative=matrix[~positive].mean().to_numpy(),
        difference=comparison.difference,
        effect=comparison.effect,
        ci_low=low,
        ci_high=high,
        p=p,
        q=benjamini_hochberg(p),
        rare=rare,
        size=-size.round(12),  # equal columns are equal in spite of rounding
    )
    return table.sort_values(["rare", "size", *names], ignore_index=True).drop(columns="size")


def compare_observed(matrix: pd.DataFrame) -> Comparison:
    """Compare the observed labels in every column of a matrix.

    Parameters
    ----------
    matrix : DataFrame, shape (subjects, columns)
        As in ``compare_columns``.

    Returns
    -------
    Comparison
        Arrays of shape (columns,).
    """
    positive, stratum = _split_index(matrix)
    weights = np.ones((1, len(matrix)))
    values = matrix.to_numpy(dtype=float)
    return Comparison(*(part[0] for part in compare(values, positive[None], weights, stratum)))


def compute_drawn_effects(matrix: pd.DataFrame, weights: NDArray[Any]) -> Array:
    """Compute the effect of every column in every draw of the subjects.

    Parameters
    ----------
    matrix : DataFrame, shape (subjects, columns)
        As in ``compare_columns``.
    weights : ndarray, shape (D, subjects)
        Multiplicity of each subject.

    Returns
    -------
    ndarray, shape (D, columns)
        Hedges' g.
    """
    values, (positive, stratum) = matrix.to_numpy(dtype=float), _split_index(matrix)
    chunks = np.split(weights.astype(float), range(CHUNK, len(weights), CHUNK))
    parts = [compare(values, positive[None], chunk, stratum).effect for chunk in chunks]
    return np.concatenate(parts)


def assign_drawing_strata(matrix: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Assign each row its subject and the stratum within which the subject is drawn.

    Parameters
    ----------
    matrix : DataFrame, shape (subjects, columns)
        As in ``compare_columns``.

    Returns
    -------
    codes : ndarray, shape (subjects,)
        Index of the subject of each row.
    strata : ndarray of str, shape (subjects,)
        Label and stratum.
    """
    units = matrix.index.to_frame(index=False)
    codes, label = assign_strata(units.rename(columns={"label": "y_true"}))
    # subjects with both labels form one stratum: a stratum of one subject allows only one draw
    stratum = np.where(label == "both", "", units["stratum"].astype(str))
    return codes, np.array([f"{a}/{b}" for a, b in zip(label, stratum, strict=True)])


def compare(
    values: Array, positive: NDArray[np.bool_], weights: Array, stratum: NDArray[Any]
) -> Comparison:
    """Compare two groups in every column, under every labelling or draw.

    Parameters
    ----------
    values : ndarray, shape (subjects, columns)
        NaN if there is no value.
    positive : ndarray of bool, shape (D or 1, subjects)
        The labels.
    weights : ndarray, shape (D or 1, subjects)
        Multiplicity of each subject.
    stratum : ndarray of int, shape (subjects,)
        Stratum of each subject.

    Returns
    -------
    Comparison
        Arrays of shape (D, columns).
    """
    has_value = np.isfinite(values)
    members = [np.flatnonzero(stratum == code) for code in np.unique(stratum)]
    # centred on the means of strata, because squares of large values lose small differences
    centred = np.where(has_value, values, 0.0)
    for rows in members:
        mean = centred[rows].sum(0) / np.maximum(has_value[rows].sum(0), 1)
        centred[rows] = np.where(has_value[rows], centred[rows] - mean, 0.0)
    squares = centred**2
    scale = np.nansum(values**2, axis=0) * ROUNDING**2
    first, second = weights * positive, weights * ~positive
    shape = max(len(positive), len(weights)), values.shape[1]
    # of the linear model of label and stratum: counts, the label's squares and its cross product
    # with the values after the strata are projected out, and the squares of the values
    n1, n0, label_squares, cross, total_squares = np.zeros((5, *shape))
    for rows in members:
        k1, k0 = first[:, rows] @ has_value[rows], second[:, rows] @ has_value[rows]
        sum1, sum0 = first[:, rows] @ centred[rows], second[:, rows] @ centred[rows]
        total = np.maximum(k1 + k0, np.finfo(float).tiny)
        n1, n0 = n1 + k1, n0 + k0
        label_squares += k1 * k0 / total
        cross += (k0 * sum1 - k1 * sum0) / total
        total_squares += (first + second)[:, rows] @ squares[rows] - (sum1 + sum0) ** 2 / total
    freedom = n1 + n0 - sum(has_value[rows].any(0) for rows in members) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.where(label_squares > 0, cross / label_squares, np.nan)
        residual = total_squares - cross * difference
        residual = np.where(residual > ROUNDING * total_squares, residual, 0.0)
        deviation = np.sqrt(residual / freedom)
        defined = (n1 > 1) & (n0 > 1) & (label_squares > 0) & (freedom > 1)
        defined &= total_squares > scale
        standard = np.where(defined, difference / deviation, np.nan)
    correction = 1 - 3 / (4 * np.maximum(freedom, 2) - 1)
    return Comparison(difference, standard * correction, standard * label_squares**0.5)


def _split_index(matrix: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return whether each row has label 1, and the code of its stratum and models."""
    units = matrix.index.to_frame(index=False)
    stratum = units.groupby(["stratum", "models"]).ngroup().to_numpy()
    return units["label"].to_numpy() == 1, stratum


def _count_subjects(matrix: pd.DataFrame, label: int) -> NDArray[np.int64]:
    """Count the subjects of a label with a value; in repeated folds, a subject has several rows."""
    rows = matrix[matrix.index.get_level_values("label") == label].notna()
    return np.asarray(rows.groupby(level=SUBJECT_KEY).any().sum().to_numpy(dtype=np.int64))


def _partitions(matrix: pd.DataFrame) -> int:
    """Return the largest number of different sets of models that explain a subject."""
    units = matrix.index.to_frame(index=False)
    return int(units.groupby(SUBJECT_KEY)["models"].nunique().max())


def _permute(matrix: pd.DataFrame, t: Array, permutations: int, seed: int) -> Array:
    """Compute the share of labellings, including the observed one, with at least its |t|."""
    values, (positive, stratum) = matrix.to_numpy(dtype=float), _split_index(matrix)
    weights = np.ones((1, len(matrix)))
    rng = np.random.default_rng(seed)
    extreme, defined = np.ones((2, len(t)))
    for start in range(0, permutations, CHUNK):
        order = rng.random((min(CHUNK, permutations - start), len(positive)))
        labels = np.empty(order.shape, dtype=bool)
        for code in np.unique(stratum):
            rows = np.flatnonzero(stratum == code)
            labels[:, rows] = positive[rows][order[:, rows].argsort(axis=1)]
        permuted = np.abs(compare(values, labels, weights, stratum).t)
        extreme += (permuted >= np.abs(t) * (1 - 1e-9)).sum(0)
        defined += (~np.isnan(permuted)).sum(0)
    return np.asarray(extreme / defined)


def _compute_intervals(
    matrix: pd.DataFrame, effect: Array, draws: int, confidence: float, seed: int
) -> tuple[list[float], list[float]]:
    codes, strata = assign_drawing_strata(matrix)
    jackknife = leave_subjects_out(codes, strata, seed)
    drawn = compute_drawn_effects(matrix, bootstrap_weights(codes, strata, draws, seed))
    left_out = compute_drawn_effects(matrix, jackknife.weights)
    intervals = [
        bootstrap_interval(
            value, drawn[:, k], confidence, jackknife.acceleration(value, left_out[:, k])
        )
        for k, value in enumerate(effect)
    ]
    return [each.ci_low for each in intervals], [each.ci_high for each in intervals]
