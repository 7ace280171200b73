"""Subjects on which initial weights depend, which must not be tested."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from depmm.audit.related_corpora import shared_subjects
from depmm.corpora.corpus_facts import CorpusFacts, read_facts
from depmm.corpora.splits import read_split
from depmm.errors import abbreviate
from depmm.files.checksums import read_text
from depmm.files.damage import damaged
from depmm.files.limited_yaml import YamlError, load_yaml
from depmm.runs.folder import RunError, RunFolder
from depmm.schemas.manifest import SUBJECT_KEY

logger = logging.getLogger(__name__)


def find_training_subjects(folder: Path) -> pd.DataFrame | None:
    """Find the subjects on which the weights of a run depend.

    These are the training and validation subjects of the run, of the run from which it was
    initialised, and so on.

    Parameters
    ----------
    folder : Path
        Folder of the run.

    Returns
    -------
    DataFrame or None
        Columns corpus, subject and split (train or validation), without duplicates; None if one of
        the runs has no ``split.csv`` or ``config.yaml``.

    Raises
    ------
    SplitError
        If a ``split.csv`` cannot be read.
    """
    runs = _previous_runs(folder)
    if runs is None:
        return None
    tables = []
    for run in runs:
        split = read_split(run.split, needed=())
        tables.append(split.loc[split["split"] != "test", [*SUBJECT_KEY, "split"]])
    return pd.concat(tables).drop_duplicates(ignore_index=True)


def _previous_runs(folder: Path) -> list[RunFolder] | None:
    """List a run and those that it was initialised from; None if one has no split or config."""
    runs = []
    current: Path | None = folder
    while current is not None:
        run = RunFolder(current)
        if not run.split.is_file() or not run.config.is_file():
            return None
        runs.append(run)
        # read as plain YAML, because other settings may belong to another version of depmm
        current = _read_init_from(run.config)
    return runs


def _join_facts(
    facts: Mapping[str, CorpusFacts], runs: Iterable[RunFolder]
) -> dict[str, CorpusFacts]:
    """Add the facts about the corpora of runs, which the new manifest need not contain."""
    joined = dict(facts)
    for run in runs:
        for corpus, known in read_facts(run.path).items():
            joined[corpus] = joined.get(corpus, CorpusFacts()).union(known)
    return joined


def _read_init_from(config: Path) -> Path | None:
    try:
        settings = load_yaml(read_text(config))
        previous = (settings.get("training") or {}).get("init_from")
    except (YamlError, AttributeError) as error:
        raise damaged(config, f"not the config of a run ({error})") from None
    if not isinstance(previous, str | None):
        raise damaged(config, f"training.init_from is {previous!r:.80}, not a path")
    return Path(previous) if previous else None


def check_initialization(
    folder: Path, sessions: pd.DataFrame, facts: Mapping[str, CorpusFacts] | None = None
) -> None:
    """Raise an error if initial weights depend on test subjects.

    A warning is logged if the weights depend on validation subjects, or if the folder does not
    contain the split of the run.

    Parameters
    ----------
    folder : Path
        Folder of the run whose weights are used.
    sessions : DataFrame
        Columns corpus, subject and split of the sessions of the new run.
    facts : mapping of str to CorpusFacts, optional
        Facts in the manifest of the new run about its corpora, such as which of them share
        subjects. Those of the corpora of the previous runs are read from these runs.

    Raises
    ------
    RunError
        If the weights depend on a test subject of the new run.
    """
    dependent = find_training_subjects(folder)
    if dependent is None:
        logger.warning(
            "training.init_from: the training subjects of %s are unknown, because it has no "
            "split.csv. Make sure that none of them is a test subject of this run.",
            folder,
        )
        return
    known = _join_facts(facts or {}, _previous_runs(folder) or [])
    subjects = sessions.drop_duplicates(SUBJECT_KEY)
    test = subjects.loc[subjects["split"] == "test", SUBJECT_KEY]
    test = shared_subjects(test, dependent, known)
    if len(test):
        split = RunFolder(folder).split
        raise RunError(
            f"training.init_from: {len(test)} test subjects ({_names(test)}) are training or "
            f"validation subjects of {folder}, on which its weights depend.",
            setting="training.init_from",
            file=folder,
            value=list(test[SUBJECT_KEY].itertuples(index=False, name=None)),
            remedy=f"Use the same split in both runs: split={{kind: file, file: {split}}}.",
        )
    trained = dependent[dependent["split"] == "train"]
    validation = subjects.loc[subjects["split"] == "validation", SUBJECT_KEY]
    shared = shared_subjects(validation, trained, known)
    if len(shared):
        logger.warning(
            "training.init_from: %d validation subjects (%s) are training subjects of %s, so that "
            "validation metrics are optimistic. Use the same split in both runs.",
            len(shared),
            _names(shared),
            folder,
        )
    else:
        logger.info(
            "training.init_from: no test or validation subject is a training subject of %s", folder
        )


def _names(subjects: pd.DataFrame) -> str:
    pairs = subjects[SUBJECT_KEY].itertuples(index=False)
    return abbreviate([f"{corpus}/{subject}" for corpus, subject in pairs])
