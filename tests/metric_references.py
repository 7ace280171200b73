"""Reference implementations of the metrics, and resampled rows."""

import numpy as np
import scipy.stats
import sklearn.metrics as sk

DECISIONS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "specificity": lambda y, p: sk.recall_score(y, p, pos_label=0),
    "f1_positive": sk.f1_score,
    "f1_macro": lambda y, p: sk.f1_score(y, p, average="macro"),
    "f1_weighted": lambda y, p: sk.f1_score(y, p, average="weighted"),
    "mcc": sk.matthews_corrcoef,
}


PROBABILITIES = {
    "auroc": sk.roc_auc_score,
    "auprc": sk.average_precision_score,
    "brier": sk.brier_score_loss,
    "log_loss": sk.log_loss,
}


def ccc_by_definition(a, b):
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    return 2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)


SCORES = {
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "pearson": lambda a, b: scipy.stats.pearsonr(a, b).statistic,
    "spearman": lambda a, b: scipy.stats.spearmanr(a, b).statistic,
    "ccc": ccc_by_definition,
}


BANDS = {"quadratic_kappa": lambda a, b: sk.cohen_kappa_score(a, b, weights="quadratic")}


def resampled(rng, n, n_replicates=25):
    """Sample rows with replacement, and return the same replicates as counts."""
    rows = rng.integers(0, n, (n_replicates, n))
    return rows, np.stack([np.bincount(r, minlength=n) for r in rows])
