"""Misclassified sessions, with the words that differ most from those of their label."""

import numpy as np
import pandas as pd

from depmm.evaluation.thresholds import Threshold, apply_threshold
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.explained_run import MODEL_KEY
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY


def find_misclassified(
    attributions: pd.DataFrame,
    predictions: pd.DataFrame,
    sessions: int,
    words: int,
    threshold: Threshold = "validation",
) -> pd.DataFrame:
    """Find the misclassified sessions, and their words that differ most from those of their label.

    With several models, a session is misclassified if most of them misclassify it, each by its
    threshold. Words are ranked by the difference of their occlusion to
    the mean of the other subjects with the same label, in the direction of the other label.

    Parameters
    ----------
    attributions : DataFrame
        One row per step: session key, split, fold, seed, ``label``, ``word``, ``valence`` and
        ``occlusion``.
    predictions : DataFrame
        Predictions of the run, with its validation sessions.
    sessions : int
        Largest number of sessions; those furthest from the threshold are first.
    words : int
        Largest number of words of each session.
    threshold : float or "validation", default "validation"
        Decision threshold; by default that of each model is chosen on its validation sessions.

    Returns
    -------
    DataFrame
        One row per session and word: session key, ``label``, ``y_prob`` and ``threshold`` (means
        over models), ``n_models``, ``n_misclassified`` (of these models), ``word``, ``valence``,
        ``occlusion`` and ``occlusion_of_others`` (mean of the other subjects with the label). A
        session has one row without a word if no word differs in this direction.

    Raises
    ------
    QuestionError
        If the run predicts scores.
    """
    errors = _list_errors(attributions, predictions, threshold).head(sessions)
    steps = attributions.dropna(subset=["word", "occlusion"])
    if steps.empty:  # a corpus without texts
        return errors.assign(word=None, valence=None, occlusion=np.nan, occlusion_of_others=np.nan)
    words_of_errors = _compare_with_others(steps).merge(errors[SESSION_KEY], on=SESSION_KEY)
    words_of_errors = words_of_errors[words_of_errors["towards"] > 0].sort_values(
        ["towards", "word"], ascending=[False, True]
    )
    words_of_errors = (
        words_of_errors.groupby(SESSION_KEY).head(words).drop(columns=["towards", "label"])
    )
    return errors.merge(words_of_errors, on=SESSION_KEY, how="left", sort=False)


def _list_errors(
    steps: pd.DataFrame, predictions: pd.DataFrame, threshold: Threshold
) -> pd.DataFrame:
    """List the explained sessions that most models misclassify, the furthest first."""
    if predictions["y_prob"].isna().all():
        raise QuestionError(
            "The run predicts scores and has no labels 0 and 1.",
            column="y_prob",
            remedy="Ask this question of a run with target.kind binary.",
        )
    keys = [*SESSION_KEY, *MODEL_KEY]
    decided = apply_threshold(predictions, threshold)
    decided = decided.merge(steps[[*keys, "label"]].drop_duplicates(), on=keys)
    decided = decided.dropna(subset=["label", "y_pred"])
    decided["error"] = (decided["y_pred"] != decided["label"]).astype(float)
    sessions = decided.groupby([*SESSION_KEY, "label"]).agg(
        y_prob=("y_prob", "mean"),
        threshold=("threshold", "mean"),
        n_models=("error", "size"),
        n_misclassified=("error", "sum"),
    )
    errors = sessions[sessions["n_misclassified"] * 2 > sessions["n_models"]].reset_index()
    beyond = (errors["y_prob"] - errors["threshold"]) * np.where(errors["label"] == 1, -1, 1)
    order = errors.assign(distance=-beyond).sort_values(["distance", *SESSION_KEY]).index
    return errors.loc[order].astype({"n_misclassified": int}).reset_index(drop=True)


def _compare_with_others(steps: pd.DataFrame) -> pd.DataFrame:
    """Compare each session's words with the mean of the other subjects with the same label."""
    reader = [*SUBJECT_KEY, "label", "word"]
    mean = steps.groupby(reader)["occlusion"].mean()
    by_label = mean.groupby(["label", "word"])
    others = (by_label.transform("sum") - mean) / (by_label.transform("size") - 1)
    words = steps.groupby([*SESSION_KEY, "label", "word"]).agg(
        valence=("valence", "first"), occlusion=("occlusion", "mean")
    )
    table = words.reset_index().merge(
        others.replace([np.inf, -np.inf], np.nan).rename("occlusion_of_others").reset_index(),
        on=reader,
    )
    difference = table["occlusion"] - table["occlusion_of_others"]
    return table.assign(towards=np.where(table["label"] == 1, -difference, difference))
