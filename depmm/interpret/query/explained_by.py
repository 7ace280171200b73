"""Describe which models explained which subjects, and in which order words were read."""

from pathlib import Path

import numpy as np
import pandas as pd

from depmm.interpret.query.label_tests import MODEL, LabelTest
from depmm.runs.folder import list_model_folders
from depmm.runs.lineage import find_training_subjects
from depmm.schemas.manifest import SUBJECT_KEY

REMEDY = {
    LabelTest.SINGLE_SUBJECTS: (
        "Labels cannot be compared within the subjects of a model, and a measure without a "
        "direction cannot be compared between models, because the training sets differ in the "
        "label of the subject that is left out. Effects are descriptive, and there are no p, q and "
        "intervals. Use split.kind k_fold with 5 folds, or a separate test set."
    ),
    LabelTest.TRAINING_SUBJECTS: (
        "The models were trained with the labels of the explained subjects. Effects are "
        "descriptive, and there are no p, q and intervals. Explain the test split."
    ),
}
INTERVALS = "confidence intervals are given the models and do not allow for it."
CROSS_VALIDATED = {
    LabelTest.CONCORDANCE: (
        "Labels are compared within the subjects of a model. p allows for the correlation of the "
        f"folds; {INTERVALS}"
    ),
    LabelTest.BETWEEN_MODELS: (
        "Labels are compared between models, whose training sets differ in the label of the "
        "subject that is left out. p allows for the correlation of the models, by a derivation for "
        f"linear models and by simulation; {INTERVALS}"
    ),
}
CROSS_VALIDATED[LabelTest.WITHIN_MODELS] = CROSS_VALIDATED[LabelTest.CONCORDANCE]
ONE_ORDER = (
    "Every word has the same position in all sessions: an effect of a word cannot be separated "
    "from an effect of its position."
)


def describe_models(run: Path | None, rows: pd.DataFrame, test: LabelTest) -> list[str]:
    """Describe how many models explained how many subjects, and what this means for the test.

    Parameters
    ----------
    run : Path, optional
        Folder of the run, whose splits contain the training subjects of each model.
    rows : DataFrame
        The explained rows: corpus, subject, ``fold`` and ``seed``.
    test : LabelTest
        The test of the result.

    Returns
    -------
    list of str
        Sentences.
    """
    keys = [name for name in MODEL if name in rows]
    explained = rows[[*SUBJECT_KEY, *keys]].drop_duplicates()
    counts = explained.groupby(keys).size() if keys else pd.Series([len(explained)])
    n_subjects = len(explained.drop_duplicates(SUBJECT_KEY))
    each = _format_range(counts.min(), counts.max())
    if len(counts) == 1:
        sentence = f"1 model explained {n_subjects} subjects."
    else:
        sentence = f"{len(counts)} models explained {n_subjects} subjects, {each} subjects each."
    if (shared := _count_shared(run, explained)) is not None:
        low, high = shared.min(), shared.max()
        if high == 0:
            sentence += " No model was trained or validated with an explained subject."
        else:
            sentence += (
                f" A model was trained or validated with {_format_range(low, high)} of the "
                "explained subjects."
            )
    meaning = CROSS_VALIDATED.get(test) or REMEDY.get(test)
    return [f"{sentence} {meaning}" if meaning else sentence]


def describe_order(rows: pd.DataFrame) -> list[str]:
    """Describe a confound of words with their positions.

    Parameters
    ----------
    rows : DataFrame
        Rows of attributions with ``word`` and ``step``.

    Returns
    -------
    list of str
        A sentence if each word has one position in all sessions, else nothing.
    """
    words = rows.dropna(subset=["word"])
    positions = words.groupby("word")["step"].nunique()
    return [ONE_ORDER] if len(positions) > 1 and (positions == 1).all() else []


def _count_shared(run: Path | None, explained: pd.DataFrame) -> pd.Series | None:
    """Count the explained subjects that each model was trained or validated with, by its split."""
    subjects = explained[SUBJECT_KEY].astype(str).drop_duplicates()
    counts = []
    for folder in list_model_folders(run) if run else []:
        used = find_training_subjects(folder.path)
        if used is None:
            return None
        used = used[SUBJECT_KEY].astype(str).drop_duplicates()
        counts.append(len(subjects.merge(used, on=SUBJECT_KEY)))
    return pd.Series(counts) if counts else None


def _format_range(low: float, high: float) -> str:
    return f"{low:.0f}" if np.isclose(low, high) else f"{low:.0f} to {high:.0f}"
