"""Groups of subjects that a split keeps together, such as pseudo-subjects from voices."""

import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.split_files import SplitError
from depmm.corpora.stratified_assignment import SubjectKey
from depmm.files.checksums import read_table, write_table
from depmm.schemas.manifest import PSEUDO_SUBJECTS, SESSION_KEY

PSEUDO_SUBJECT = "pseudo_subject"
logger = logging.getLogger(__name__)


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
        If there is no such column, or the clusters are of sessions that the manifest does not have.
    """
    name = config.group_by
    if name is None or name in sessions:
        return sessions
    path = folder / PSEUDO_SUBJECTS.file
    if name == PSEUDO_SUBJECT and path.is_file():
        table = read_table(path)
        PSEUDO_SUBJECTS.check(table)
        _check_sessions(table, sessions, path)
        merged = sessions.merge(table, on=SESSION_KEY, how="left")
        if n_alone := int(merged[PSEUDO_SUBJECT].isna().sum()):
            logger.warning(
                "split.group_by: %d of %d sessions are in no cluster of %s, and are kept with "
                "their subject only.",
                n_alone,
                len(merged),
                path,
            )
        return merged.set_axis(sessions.index)
    remedy = f"The columns are {', '.join(sessions.columns)}."
    if name == PSEUDO_SUBJECT:
        remedy = f"Run depmm audit {folder} --root ROOT --identity, which writes {path}."
    raise SplitError(
        f"split.group_by: the sessions have no column {name!r}. {remedy}",
        setting="split.group_by",
        file=path if name == PSEUDO_SUBJECT else folder,
        value=name,
    )


def _check_sessions(table: pd.DataFrame, sessions: pd.DataFrame, path: Path) -> None:
    """Refuse clusters of sessions that the manifest does not have."""
    keys = [pd.MultiIndex.from_frame(rows[SESSION_KEY].astype(str)) for rows in (table, sessions)]
    other = table[~keys[0].isin(keys[1])]
    if len(other):
        corpus, subject, session = map(str, other[SESSION_KEY].iloc[0])
        raise SplitError(
            f"split.group_by: {len(other)} sessions of {path} are not in the manifest, for example "
            f"{corpus}/{subject}/{session}: it is the audit of an earlier manifest. Run depmm "
            f"audit {path.parent} --root ROOT --identity again.",
            setting="split.group_by",
            file=path,
            subject=subject,
            session=session,
        )


def join_pseudo_subjects(manifests: Iterable[Path], folder: Path) -> None:
    """Write the pseudo-subjects of several manifests into the folder of their joined manifest.

    Parameters
    ----------
    manifests : iterable of Path
        Folders of the manifests; those without pseudo-subjects are left out.
    folder : Path
        Folder of the joined manifest.
    """
    paths = [path for one in manifests if (path := one / PSEUDO_SUBJECTS.file).is_file()]
    if paths:
        joined = pd.concat([read_table(path) for path in paths], ignore_index=True)
        write_table(folder / PSEUDO_SUBJECTS.file, joined)


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
