"""Check that the sets of a split have every class."""

import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.split_files import SplitError
from depmm.corpora.stratified_assignment import SubjectKey
from depmm.schemas.manifest import SPLITS

_REMEDIES = {  # of a set without a class: setting, and what to do
    "k_fold": (
        "split.folds",
        "Lower split.folds, change split.validation, or add subjects of that class.",
    ),
    "leave_one_subject_out": (
        "split.validation",
        "Change split.validation, or add subjects of that class.",
    ),
    "official": (
        "split.kind",
        "Use split.kind=k_fold, or another target: the corpus publishes these sets.",
    ),
    "file": ("split.file", "Correct the file, or use split.kind=k_fold."),
}


def check_classes(
    sessions: pd.DataFrame, labels: pd.Series, parts: dict[SubjectKey, str], config: SplitConfig
) -> None:
    """Check that every class is in train, validation and, for k-fold, test.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus and subject.
    labels : Series
        Class of each session, null if unknown.
    parts : dict of tuple to str
        Set of each subject.
    config : SplitConfig
        The design.

    Raises
    ------
    SplitError
        If a set has no session of a class.
    """
    keys = zip(sessions["corpus"], sessions["subject"], strict=True)
    rows = pd.DataFrame({"subject": list(keys), "class": labels.astype(object).to_numpy()})
    rows = rows.dropna(subset=["class"])
    rows["part"] = rows["subject"].map(parts)
    names = sorted(set(rows["class"]))
    checked = SPLITS if config.kind == "k_fold" else ("train", "validation")
    for name in names if len(names) > 1 else []:
        members = rows[rows["class"] == name]
        subjects = len(set(members["subject"]))
        if config.kind == "k_fold" and subjects < config.folds:
            raise SplitError(
                f"class {name}: {subjects} subjects for {config.folds} folds, so that a fold would "
                f"test none of them. Lower split.folds to at most {subjects}, or add subjects.",
                setting="split.folds",
                value=config.folds,
            )
        for part in checked:
            if part not in set(members["part"]):
                setting, remedy = _REMEDIES[config.kind]
                raise SplitError(
                    f"fold {config.fold}: {part} has no session of class {name}, which "
                    f"{subjects} subjects have. {remedy}",
                    setting=setting,
                    value=name,
                )
