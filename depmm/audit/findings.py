"""Input of the audit and its findings."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.errors import DepmmError
from depmm.media.warnings import MediaWarning
from depmm.schemas.manifest import SESSION_KEY

File = tuple[str, str]  # corpus, path below the folder of its recordings
Key = tuple[str, ...]  # of a subject (corpus, subject) or a session (corpus, subject, session)
Severity = Literal["error", "allowed", "warning", "info"]


class AuditError(DepmmError):
    """An audit that cannot be read, or an option of the audit that is unknown."""


@dataclass(frozen=True)
class Finding:
    """One finding of the audit.

    Attributes
    ----------
    name : str
        Name of the check, or of a warning of the readers of recordings.
    severity : {"error", "allowed", "warning", "info"}
        An ``error`` makes results invalid, ``allowed`` is an error that the user accepts by name, a
        ``warning`` needs a decision of the user, ``info`` needs no action.
    message : str
        The problem, with names and numbers.
    remedy : str
        What the user can do.
    subjects : tuple of tuple of str
        Subjects concerned, (corpus, subject).
    sessions : tuple of tuple of str
        Sessions concerned, (corpus, subject, session).
    files : tuple of tuple of str
        Files concerned, (corpus, path).
    effect_measure : str or None
        Measure of the effect size of a shortcut.
    effect_size : float or None
        Effect size of a shortcut, -1 to 1.
    p_value : float or None
        p value of the test of a shortcut.
    p_adjusted : float or None
        p value adjusted for all shortcuts of the corpus (Holm).
    """

    name: str
    severity: Severity
    message: str
    remedy: str
    subjects: tuple[Key, ...] = ()
    sessions: tuple[Key, ...] = ()
    files: tuple[File, ...] = ()
    effect_measure: str | None = None
    effect_size: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True)
class RecordingStatistics:
    """Measurements of the recordings of a manifest; each file is (corpus, path).

    Attributes
    ----------
    missing : tuple of tuple of str
        Files of the manifest that do not exist or are empty.
    unreadable : dict of tuple to str
        Files that cannot be decoded, with the reason.
    duplicates : tuple of tuple
        Groups of files with the same content.
    duration_s : dict of tuple to float
        Duration of the recordings in seconds, where known.
    black_border : dict of tuple to float
        Share of the frame area of each video that is black border.
    warnings : dict of tuple to tuple of MediaWarning
        What the readers report about files that can be decoded.
    """

    missing: tuple[File, ...] = ()
    unreadable: dict[File, str] = field(default_factory=dict)
    duplicates: tuple[tuple[File, ...], ...] = ()
    duration_s: dict[File, float] = field(default_factory=dict)
    black_border: dict[File, float] = field(default_factory=dict)
    warnings: dict[File, tuple[MediaWarning, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditInput:
    """Input of all checks.

    Attributes
    ----------
    manifest : Manifest
        Manifest of one or several corpora; it need not be valid.
    recordings : RecordingStatistics or None
        Statistics of the recordings; None if they were not read.
    index_reports : tuple of IndexReport
        Reports of ``depmm index``, where available.
    """

    manifest: Manifest
    recordings: RecordingStatistics | None = None
    index_reports: tuple[IndexReport, ...] = ()


def list_file_uses(manifest: Manifest) -> pd.DataFrame:
    """List the files of each session and their use.

    Parameters
    ----------
    manifest : Manifest
        The manifest.

    Returns
    -------
    DataFrame
        Columns corpus, subject, session, file, and use (audio, face or features), without
        duplicates.
    """
    tables = [
        table[[*SESSION_KEY, column]].set_axis([*SESSION_KEY, "file"], axis=1).assign(use=use)
        for table, column, use in (
            (manifest.steps, "audio", "audio"),
            (manifest.steps, "face", "face"),
            (manifest.features, "path", "features"),
        )
    ]
    return pd.concat(tables).dropna(subset=["file"]).drop_duplicates()


def sessions_by_file(manifest: Manifest) -> dict[File, set[Key]]:
    """Collect the sessions that use each file.

    Parameters
    ----------
    manifest : Manifest
        The manifest.

    Returns
    -------
    dict of tuple to set of tuple
        Session keys by file.
    """
    sessions: dict[File, set[Key]] = {}
    uses = list_file_uses(manifest)[[*SESSION_KEY, "file"]]
    for corpus, subject, session, file in uses.itertuples(index=False, name=None):
        sessions.setdefault((corpus, file), set()).add((corpus, subject, session))
    return sessions


def unique_keys(table: pd.DataFrame, columns: list[str]) -> tuple[Key, ...]:
    """List the distinct keys of a table.

    Parameters
    ----------
    table : DataFrame
        The table.
    columns : list of str
        Columns of the key.

    Returns
    -------
    tuple of tuple of str
        Sorted keys.
    """
    return tuple(sorted(set(table[columns].itertuples(index=False, name=None))))
