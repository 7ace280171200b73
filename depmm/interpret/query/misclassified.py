"""People whom the model takes for the other group, and the words that made it so."""

import numpy as np
import pandas as pd

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.evaluation.thresholds import apply_threshold

MODEL_KEY = ["split", "fold", "seed"]


def misclassified(
    attributions: pd.DataFrame, predictions: pd.DataFrame, sessions: int, words: int
) -> pd.DataFrame:
    """Find the sessions on the wrong side, and their words that are most unlike their group.

    Of several models the majority decides, each by the threshold of its own validation sessions. A
    word counts by how far its contribution lies from the mean of the other people of the group, in
    the direction of the other group.

    Parameters
    ----------
    attributions : one row a step: session key, split, fold, seed, ``group``, ``word``,
        ``valence``, ``occlusion``
    predictions : of the run, with its validation sessions
    sessions : at most, furthest beyond the threshold first
    words : of each session at most

    Returns
    -------
    one row a session and word: session key, ``group``, ``y_prob`` and ``threshold`` (means over
    models), ``models``, ``wrong`` (how many of them), ``word``, ``valence``, ``occlusion``,
    ``others_of_group`` (their mean); a session without such a word has one row without a word

    Raises
    ------
    ValueError : no words, or scores instead of groups
    """
    steps = attributions.dropna(subset=["word", "occlusion"])
    if steps.empty:
        raise ValueError(
            "no step has a word: this question needs a corpus whose steps carry text "
            "(steps.parquet)"
        )
    wrong = _on_the_wrong_side(steps, predictions).head(sessions)
    found = _unlike_words(steps).merge(wrong[SESSION_KEY], on=SESSION_KEY)
    found = found[found["towards"] > 0].sort_values(["towards", "word"], ascending=[False, True])
    found = found.groupby(SESSION_KEY).head(words).drop(columns=["towards", "label"])
    return wrong.merge(found, on=SESSION_KEY, how="left", sort=False)


def _on_the_wrong_side(steps: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Explained sessions that most models put on the other side, furthest first."""
    if predictions["y_prob"].isna().all():
        raise ValueError(
            "there are scores, not the groups 0 and 1: ask this of a run with target.kind binary"
        )
    keys = [*SESSION_KEY, *MODEL_KEY]
    own = apply_threshold(predictions).merge(steps[[*keys, "label"]].drop_duplicates(), on=keys)
    own = own.dropna(subset=["label", "y_pred"])
    own["wrong"] = (own["y_pred"] != own["label"]).astype(float)
    sessions = own.groupby([*SESSION_KEY, "label"]).agg(
        y_prob=("y_prob", "mean"),
        threshold=("threshold", "mean"),
        models=("wrong", "size"),
        wrong=("wrong", "sum"),
    )
    wrong = sessions[sessions["wrong"] * 2 > sessions["models"]].reset_index()
    beyond = (wrong["y_prob"] - wrong["threshold"]) * np.where(wrong["label"] == 1, -1, 1)
    order = wrong.assign(far=-beyond).sort_values(["far", *SESSION_KEY]).index
    return wrong.loc[order].astype({"wrong": int}).reset_index(drop=True)


def _unlike_words(steps: pd.DataFrame) -> pd.DataFrame:
    """Each session's words beside the mean of the other people of its group."""
    read_by = [*SUBJECT_KEY, "label", "word"]
    mean = steps.groupby(read_by)["occlusion"].mean()
    of_group = mean.groupby(["label", "word"])
    others = (of_group.transform("sum") - mean) / (of_group.transform("size") - 1)
    own = steps.groupby([*SESSION_KEY, "label", "word"]).agg(
        valence=("valence", "first"), occlusion=("occlusion", "mean")
    )
    table = own.reset_index().merge(
        others.replace([np.inf, -np.inf], np.nan).rename("others_of_group").reset_index(),
        on=read_by,
    )
    unlike = table["occlusion"] - table["others_of_group"]
    return table.assign(towards=np.where(table["label"] == 1, -unlike, unlike))
