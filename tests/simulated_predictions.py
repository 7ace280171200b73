"""Small predictions tables with known properties."""

import numpy as np
import pandas as pd
import scipy.stats
from scipy.special import expit

from depmm.evaluation.prediction_checks import check_predictions
from depmm.evaluation.stats.resampled_sessions import resample_sessions
from depmm.evaluation.thresholds import apply_threshold


def simulated_predictions(validation=60, test=60, seed=0, sharpness=1.0, sessions=1, folds=1):
    """Simulate probabilities with ``sharpness`` times the true logit; severity with unit noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold in range(folds):
        for split, subjects in (("train", 4), ("validation", validation), ("test", test)):
            for subject in range(subjects):
                true_logit = rng.normal(scale=2)
                label = int(rng.random() < expit(true_logit))
                for session in range(sessions):
                    score = rng.uniform(5, 40)
                    rows.append(
                        {
                            "corpus": "c",
                            "subject": f"{split}-{fold}-{subject}",
                            "session": f"s{session}",
                            "split": split,
                            "fold": fold,
                            "seed": 0,
                            "y_true": label,
                            "y_prob": expit(sharpness * true_logit),
                            "score": float(np.clip(score + rng.normal(), 0, 63)),
                            "score_pred": score,
                            "instrument": "BDI-II",
                        }
                    )
    return check_predictions(pd.DataFrame(rows))


def resample(predictions, n_bootstrap=100):
    return resample_sessions(apply_threshold(predictions), n_bootstrap, 0.95, 0)


def two_fold_predictions():
    """Make two folds of one seed; the probabilities of fold 1 are a tenth of those of fold 0."""
    rows = []
    for fold, scale in ((0, 1.0), (1, 0.1)):
        for split, numbers in (
            ("train", range(6)),
            ("validation", range(6, 10)),
            ("test", (10, 11)),
        ):
            for number in numbers:
                label = number % 2
                rows.append(
                    {
                        "corpus": "c",
                        "subject": f"{fold}-{number}",
                        "session": "1",
                        "split": split,
                        "fold": fold,
                        "seed": 0,
                        "y_true": label,
                        "y_prob": scale * (0.3 + 0.4 * label + 0.01 * number),
                        "score": 10.0 * label + fold,
                        "score_pred": 5.0,
                    }
                )
    return pd.DataFrame(rows)


def paired_predictions(skill, seeds=(0,), subjects=24, sessions=1):
    rng = np.random.default_rng(int(100 * skill))
    rows = []
    for seed in seeds:
        for subject in range(2 * subjects):
            for session in range(sessions):
                label = subject % 2
                row = {
                    "corpus": "c",
                    "subject": f"p{subject}",
                    "session": str(session),
                    "split": "test" if subject < subjects else "validation",
                    "fold": 0,
                    "seed": seed,
                    "y_true": label,
                    "y_prob": scipy.stats.norm.cdf(skill * (label - 0.5) + rng.normal()),
                    "score": 10.0 * label + subject % 7,
                    "score_pred": 10.0 * label + subject % 7 + rng.normal(0, 4 / (skill + 1)),
                    "instrument": "BDI-II",
                }
                rows.append(row)
    return pd.DataFrame(rows)
