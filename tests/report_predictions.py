"""Predictions of several folds and seeds for the tests of the reports."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def noisy_predictions(noise: float, n_subjects: int = 24) -> pd.DataFrame:
    """Build predictions of two folds with half of the subjects each.

    Parameters
    ----------
    noise : float
        Standard deviation of the logits and scores; a large one hides the labels.
    n_subjects : int, default 24
        Number of subjects, with one session each.

    Returns
    -------
    DataFrame
        Both targets.
    """
    rng = np.random.default_rng(5)
    rows = []
    for fold in (0, 1):
        for subject in range(n_subjects):
            label = subject % 2
            is_test = subject // 2 % 2 == fold
            rows.append(
                {
                    "corpus": "c",
                    "subject": f"p{subject}",
                    "session": "1",
                    "split": "test" if is_test else "validation" if subject < 8 else "train",
                    "fold": fold,
                    "seed": 0,
                    "y_true": label,
                    "y_prob": 1 / (1 + np.exp(1 - 2 * label - noise * rng.normal())),
                    "score": 5.0 + 20 * label,
                    "score_pred": 6.0 + 20 * label + noise * rng.normal(),
                    "instrument": "BDI-II",
                }
            )
    return pd.DataFrame(rows)


def make_predictions(
    subjects: int = 30,
    folds: int = 3,
    seeds: Sequence[int] = (0,),
    sessions: int = 1,
    separation: float = 2.0,
) -> pd.DataFrame:
    """Build predictions in which every subject is tested once per seed.

    The subjects that are tested in one fold are the validation subjects of the next one.

    Parameters
    ----------
    subjects, folds, sessions : int
        Number of subjects, of folds and of sessions per subject.
    seeds : sequence of int
        Seeds of the experiment.
    separation : float, default 2.0
        Distance of the mean logits of the two classes, in standard deviations.

    Returns
    -------
    DataFrame
        Both targets, with gender and instrument.
    """
    rng = np.random.default_rng(11)
    rows = []
    for seed in seeds:
        for fold in range(folds):
            for subject in range(subjects):
                turn = (subject // 2 - fold) % folds
                split = "test" if turn == 0 else "validation" if turn == 1 else "train"
                for session in range(sessions):
                    label = subject % 2
                    logit = separation * (label - 0.5) + rng.normal()
                    score = 8 + 15 * label + subject % 5 + session
                    rows.append(
                        {
                            "corpus": "c",
                            "subject": f"p{subject}",
                            "session": f"{session}",
                            "split": split,
                            "fold": fold,
                            "seed": seed,
                            "y_true": label,
                            "y_prob": 1 / (1 + np.exp(-logit)),
                            "score": float(score),
                            "score_pred": float(score + 3 * rng.normal()),
                            "gender": ("female", "male")[subject // 2 % 2],
                            "instrument": "BDI-II",
                        }
                    )
    return pd.DataFrame(rows)


def one_target(target: str, table: pd.DataFrame) -> pd.DataFrame:
    """Remove the predictions of the other target.

    Parameters
    ----------
    target : {"binary", "severity"}
        The target of the result.
    table : DataFrame
        Predictions of both targets.

    Returns
    -------
    DataFrame
        A copy.
    """
    other = {"binary": "score_pred", "severity": "y_prob"}[target]
    return table.assign(**{other: np.nan})
