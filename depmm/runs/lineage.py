"""Whom a run has learned from that another one starts from: its weights know these people."""

from pathlib import Path

import pandas as pd
import yaml

from depmm.audit.findings import abbreviate
from depmm.audit.related_corpora import shared_subjects
from depmm.corpora.manifest import SUBJECT_KEY
from depmm.corpora.splits import read_split
from depmm.runs.folder import RunFolder


def learned_people(folder: Path) -> pd.DataFrame | None:
    """Find the people whom a run, and every run that it started from, has learned or chosen from.

    Returns
    -------
    corpus, subject and ``split`` (train or validation) of these people; None where one of the runs
    does not say (weights without their ``split.csv``)

    Raises
    ------
    SplitError : a damaged ``split.csv``
    """
    people = []
    start: Path | None = folder
    while start is not None:
        run = RunFolder(start)
        if not run.split.is_file() or not run.config.is_file():
            return None
        split = read_split(run.split, needed=())
        people.append(split.loc[split["split"] != "test", [*SUBJECT_KEY, "split"]])
        # as text: what else a config of another version says does not matter here
        settings = yaml.safe_load(run.config.read_text(encoding="utf-8"))
        before = (settings.get("training") or {}).get("init_from")
        start = Path(before) if before else None
    return pd.concat(people).drop_duplicates(ignore_index=True)


def check_start(folder: Path, sessions: pd.DataFrame) -> str:
    """Refuse weights that know somebody who is tested.

    Parameters
    ----------
    folder : the run whose weights are taken
    sessions : corpus, subject, ``split``

    Returns
    -------
    a sentence for the person who trains

    Raises
    ------
    ValueError : a person who is tested here was learned, or chosen from, there
    """
    learned = learned_people(folder)
    if learned is None:
        return (
            f"training.init_from: {folder} does not say whom it has learned from (no split.csv): "
            "make sure that nobody who is tested here was among them"
        )
    people = sessions.drop_duplicates(SUBJECT_KEY)
    tested = shared_subjects(people.loc[people["split"] == "test", SUBJECT_KEY], learned)
    if len(tested):
        raise ValueError(
            f"training.init_from: {folder} has learned from {len(tested)} people who are tested "
            f"here ({_named(tested)}): its weights know them. Give both runs one split, here "
            f"split={{kind: file, file: {folder / 'split.csv'}}}"
        )
    trained = learned[learned["split"] == "train"]
    choosing = shared_subjects(people.loc[people["split"] == "validation", SUBJECT_KEY], trained)
    if len(choosing):
        return (
            f"training.init_from: {folder} has learned from {len(choosing)} people who choose the "
            f"epoch here ({_named(choosing)}): validation will look better than test"
        )
    return f"training.init_from: {folder} has learned from nobody who is tested or chosen from here"


def _named(people: pd.DataFrame) -> str:
    return abbreviate([f"{corpus}/{subject}" for corpus, subject in people.itertuples(index=False)])
