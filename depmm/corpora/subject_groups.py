"""Groups of subjects that a split keeps together, such as pseudo-subjects from voices."""

from pathlib import Path

import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.split_files import SplitError
from depmm.corpora.stratified_assignment import SubjectKey
from depmm.files.checksums import read_table
from depmm.schemas.manifest import PSEUDO_SUBJECTS, SESSION_KEY

PSEUDO_SUBJECT = "pseudo_subject"


def add_groups(sessions: pd.DataFrame, folder: Path, config: SplitConfig) -> pd.DataFrame:
    """Add the column of ``split.group_by`` to the sessions.

    Parameters
    ----------
    sessions : DataFrame
        The manifest's table.
    folder : Path
        Folder of the manifest.
    config : SplitConfig
        The design.

    Returns
    -------
    DataFrame
        The sessions; ``pseudo_subject`` is read from ``pseudo_subjects.parquet``, other columns
        must be in the sessions.

    Raises
    ------
    SplitError
        If there is no such column.
    """
    name = config.group_by
    if name is None or name in sessions:
        return sessions
    path = folder / PSEUDO_SUBJECTS.file
    if name == PSEUDO_SUBJECT and path.is_file():
        table = read_table(path)
        PSEUDO_SUBJECTS.check(table)
        merged = sessions.merge(table, on=SESSION_KEY, how="left")
        return merged.set_axis(sessions.index)
    remedy = f"The columns are {', '.join(sessions.columns)}."
    if name == PSEUDO_SUBJECT:
        remedy = f"Run depmm audit --root ROOT --identity, which writes {path}."
    raise SplitError(
        f"split.group_by: the sessions have no column {name!r}. {remedy}",
        setting="split.group_by",
        file=path if name == PSEUDO_SUBJECT else folder,
        value=name,
    )


def group_subjects(sessions: pd.DataFrame, column: str) -> dict[SubjectKey, SubjectKey]:
    """Join the subjects of a corpus that have a value of a column in common.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus, subject and ``column``.
    column : str
        The groups; a session without a value is in the group of its subject only.

    Returns
    -------
    dict of tuple to tuple
        Each subject -> the first subject of its group, by name.
    """
    first: dict[SubjectKey, SubjectKey] = {}

    def root(subject: SubjectKey) -> SubjectKey:
        while first[subject] != subject:
            subject = first[subject]
        return subject

    by_group: dict[tuple[str, str], SubjectKey] = {}
    for corpus, subject, value in sorted(
        (str(corpus), str(subject), "" if pd.isna(value) else str(value))
        for corpus, subject, value in zip(
            sessions["corpus"], sessions["subject"], sessions[column], strict=True
        )
    ):
        key = corpus, subject
        first.setdefault(key, key)
        if value:
            other = by_group.setdefault((corpus, value), key)
            one, two = sorted((root(key), root(other)))
            first[two] = one
    return {subject: root(subject) for subject in first}
