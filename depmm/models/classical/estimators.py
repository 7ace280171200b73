"""Pipelines of scikit-learn: imputation, scaling and one estimator."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from depmm.config import ClassicalModelConfig
from depmm.config.classical import (
    AdaBoostConfig,
    ElasticNetConfig,
    GaussianProcessConfig,
    GradientBoostingConfig,
    KNearestConfig,
    LogisticRegressionConfig,
    RandomForestConfig,
    RidgeConfig,
    SvmConfig,
)

MAX_ITERATIONS = 10_000  # of linear models; the default of 100 is too few for correlated measures
MIN_PROBABILITY = 1e-6  # so that logits are finite


def build_pipeline(
    settings: ClassicalModelConfig, binary: bool, n_rows: int, n_columns: int, seed: int
) -> Pipeline:
    """Build imputation, scaling and estimator.

    Missing values are replaced by the median of the training rows (by 0 if a column has no value);
    columns are then scaled to mean 0 and standard deviation 1. Scores are scaled in the same way,
    so that a regularisation strength does not depend on their range.

    Parameters
    ----------
    settings : ClassicalModelConfig
        Kind of estimator and its hyper-parameters.
    binary : bool
        Whether the target is binary.
    n_rows : int
        Number of training rows.
    n_columns : int
        Number of measures.
    seed : int
        Seed of the random choices of the estimator.

    Returns
    -------
    Pipeline
        Not yet fitted.
    """
    if binary:
        estimator = _build_classifier(settings, n_rows, n_columns, seed)
    else:
        regressor = _build_regressor(settings, n_columns, seed)
        estimator = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), estimator)


def _build_classifier(
    settings: ClassicalModelConfig, n_rows: int, n_columns: int, seed: int
) -> BaseEstimator:
    match settings:
        case GaussianProcessConfig():
            return GaussianProcessClassifier(_make_kernel(n_columns), random_state=seed)
        case SvmConfig():
            return SVC(C=settings.C, kernel=settings.kernel, class_weight="balanced")
        case KNearestConfig():
            return KNeighborsClassifier(settings.n_neighbors, algorithm="brute")
        case AdaBoostConfig():
            return AdaBoostClassifier(n_estimators=settings.n_estimators, random_state=seed)
        case LogisticRegressionConfig():
            return LogisticRegression(
                C=settings.C, class_weight="balanced", max_iter=MAX_ITERATIONS
            )
        case RidgeConfig():
            return RidgeClassifier(alpha=settings.alpha, class_weight="balanced")
        case ElasticNetConfig():
            # scikit-learn's logistic regression adds the losses of the rows, its linear regression
            # averages them
            return LogisticRegression(
                C=1 / (settings.alpha * n_rows),
                l1_ratio=settings.l1_ratio,
                solver="saga",
                class_weight="balanced",
                max_iter=MAX_ITERATIONS,
                random_state=seed,
            )
        case RandomForestConfig():
            return RandomForestClassifier(
                settings.n_trees,
                min_samples_leaf=settings.min_samples_leaf,
                class_weight="balanced",
                random_state=seed,
            )
        case GradientBoostingConfig():
            return HistGradientBoostingClassifier(
                max_iter=settings.n_trees,
                learning_rate=settings.learning_rate,
                max_leaf_nodes=settings.max_leaf_nodes,
                min_samples_leaf=settings.min_samples_leaf,
                early_stopping=False,
                class_weight="balanced",
                random_state=seed,
            )


def _build_regressor(settings: ClassicalModelConfig, n_columns: int, seed: int) -> BaseEstimator:
    match settings:
        case GaussianProcessConfig():
            kernel = _make_kernel(n_columns) + WhiteKernel()  # scores of equal measures differ
            return GaussianProcessRegressor(kernel, random_state=seed)
        case SvmConfig():
            return SVR(C=settings.C, kernel=settings.kernel)
        case KNearestConfig():
            return KNeighborsRegressor(settings.n_neighbors, algorithm="brute")
        case AdaBoostConfig():
            return AdaBoostRegressor(n_estimators=settings.n_estimators, random_state=seed)
        case RidgeConfig():
            return Ridge(alpha=settings.alpha)
        case ElasticNetConfig():
            return ElasticNet(
                alpha=settings.alpha, l1_ratio=settings.l1_ratio, max_iter=MAX_ITERATIONS
            )
        case RandomForestConfig():
            return RandomForestRegressor(
                settings.n_trees, min_samples_leaf=settings.min_samples_leaf, random_state=seed
            )
        case GradientBoostingConfig():
            return HistGradientBoostingRegressor(
                max_iter=settings.n_trees,
                learning_rate=settings.learning_rate,
                max_leaf_nodes=settings.max_leaf_nodes,
                min_samples_leaf=settings.min_samples_leaf,
                early_stopping=False,
                random_state=seed,
            )
        case LogisticRegressionConfig():
            raise AssertionError("ClassicalConfig refuses a logistic regression of scores")


def _make_kernel(n_columns: int) -> ConstantKernel:
    # the distance of two rows in K scaled columns is about sqrt(2 K), far above the default length
    # scale of 1; the fit maximises the marginal likelihood from here
    return ConstantKernel() * RBF(np.sqrt(2 * n_columns))


def predict_output(pipeline: Pipeline, values: np.ndarray) -> np.ndarray:
    """Predict logits or scores.

    The decision function is used where an estimator has one: the log-odds of linear and boosted
    models, and the margin of SVM and ridge, whose sigmoid preserves ranks and the decision
    threshold but is not calibrated. Otherwise the logit is that of the probability. The k nearest
    neighbours and a forest vote; of n votes, p n positive ones have the probability
    (p n + 1) / (n + 2), so that no logit is infinite.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, from ``build_pipeline``.
    values : ndarray of float64, shape (N, K)
        Measures, NaN where they are missing.

    Returns
    -------
    ndarray of float64, shape (N,)
        Logits of the positive class, or scores.
    """
    estimator = pipeline[-1]
    if isinstance(estimator, TransformedTargetRegressor):
        scores: np.ndarray = pipeline.predict(values)
        return np.asarray(scores, float).reshape(len(values))
    if hasattr(estimator, "decision_function") and not isinstance(estimator, AdaBoostClassifier):
        logits: np.ndarray = pipeline.decision_function(values)
        return logits
    probability = pipeline.predict_proba(values)[:, 1]
    votes = getattr(estimator, "n_neighbors", None)
    if isinstance(estimator, RandomForestClassifier):
        votes = estimator.n_estimators
    if votes is not None:
        probability = (probability * votes + 1) / (votes + 2)
    probability = probability.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    result: np.ndarray = np.log(probability) - np.log1p(-probability)
    return result


def linear_weights(pipeline: Pipeline) -> np.ndarray | None:
    """Return the weights of a linear estimator on scaled measures.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, from ``build_pipeline``.

    Returns
    -------
    ndarray of float64, shape (K,), or None
        Change of the logit, or of the score in points, per standard deviation of each measure over
        the training rows; None if the estimator is not linear.
    """
    estimator = pipeline[-1]
    scale = 1.0
    if isinstance(estimator, TransformedTargetRegressor):
        scale = float(estimator.transformer_.scale_[0])
        estimator = estimator.regressor_
    if getattr(estimator, "kernel", "linear") != "linear" or not hasattr(estimator, "coef_"):
        return None
    weights: np.ndarray = np.ravel(estimator.coef_) * scale
    return weights
