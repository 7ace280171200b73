"""Input of the audit and its findings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from depmm.audit.identity.session_embeddings import SessionEmbeddings
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.errors import DepmmError
from depmm.media.warnings import MediaWarning
from depmm.schemas.manifest import SESSION_KEY
from depmm.schemas.recordings import FILE_KEY, RECORDINGS

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
    property : str or None
        Property of the sessions that a shortcut is about, ``<source>.<name>``.
    effect_measure : str or None
        Measure of the effect size of a shortcut.
    effect_size : float or None
        Effect size of a shortcut, -1 to 1.
    p_value : float or None
        p value of the test of a shortcut.
    p_adjusted : float or None
        p value adjusted for all tests of the corpus (Holm).
    """

    name: str
    severity: Severity
    message: str
    remedy: str
    subjects: tuple[Key, ...] = ()
    sessions: tuple[Key, ...] = ()
    files: tuple[File, ...] = ()
    property: str | None = None
    effect_measure: str | None = None
    effect_size: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None


def recordings_table(statistics: Mapping[File, Mapping[str, Any]]) -> pd.DataFrame:
    """Build the table of the statistics of recordings.

    Parameters
    ----------
    statistics : mapping of tuple to mapping
        Values by column for each file (corpus, path); what was not measured is left out.

    Returns
    -------
    DataFrame
        Index corpus and file; the columns of :data:`depmm.schemas.recordings.RECORDINGS` as float
        or str.

    Raises
    ------
    SchemaError
        If a column is unknown or has a value of another type.
    """
    table = RECORDINGS.build(
        [{"corpus": corpus, "file": file, **row} for (corpus, file), row in statistics.items()]
    )
    text = [column.name for column in RECORDINGS.columns if column.dtype == "str"]
    return table.astype(dict.fromkeys(text, "str")).set_index(FILE_KEY)


@dataclass(frozen=True)
class Copy:
    """Two recordings with the same content in different files.

    Attributes
    ----------
    kind : {"sound", "video"}
        What is the same.
    first, second : tuple of str
        The files, in order.
    agreement : float
        Sound: share of the smaller fingerprint that is equal at one shift; video: correlation of
        the motion.
    shift_s : float
        Time in the second recording minus time in the first, in seconds.
    """

    kind: Literal["sound", "video"]
    first: File
    second: File
    agreement: float
    shift_s: float


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
        Groups of files that are equal.
    copies : tuple of Copy
        Pairs of files with the same content that are not equal.
    table : DataFrame
        One row per recording that was decoded, with the index (corpus, file) and the measured
        columns of :data:`depmm.schemas.recordings.RECORDINGS`; missing values are NaN. Build it
        with `recordings_table`.
    warnings : dict of tuple to tuple of MediaWarning
        What the readers report about files that can be decoded.
    faces_not_measured : str or None
        Why no face was measured, if the manifest uses videos of faces.
    """

    missing: tuple[File, ...] = ()
    unreadable: dict[File, str] = field(default_factory=dict)
    duplicates: tuple[tuple[File, ...], ...] = ()
    copies: tuple[Copy, ...] = ()
    table: pd.DataFrame = field(default_factory=lambda: recordings_table({}))
    warnings: dict[File, tuple[MediaWarning, ...]] = field(default_factory=dict)
    faces_not_measured: str | None = None


@dataclass(frozen=True)
class SessionProperties:
    """Properties of the sessions of a manifest other than voice and face.

    Attributes
    ----------
    table : DataFrame
        One row per session: corpus, subject, session, and one column ``<source>.<name>`` per
        property, float or text; see `depmm.audit.session_properties`.
    dates : frozenset of str
        Properties in days since 1970-01-01.
    outcomes : dict of str to tuple of str
        By corpus, the columns of the manifest that are another form of the label or the score;
        they are not properties.
    """

    table: pd.DataFrame
    dates: frozenset[str] = frozenset()
    outcomes: dict[str, tuple[str, ...]] = field(default_factory=dict)


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
    properties : SessionProperties or None
        Properties of the sessions; None until `depmm.audit.audit.audit_manifest` collects them.
    identity : tuple of SessionEmbeddings
        Voices and faces of the sessions; empty if they were not compared.
    identity_not_compared : dict of str to str
        Voices or faces that were not compared though they should be, and why.
    """

    manifest: Manifest
    recordings: RecordingStatistics | None = None
    index_reports: tuple[IndexReport, ...] = ()
    properties: SessionProperties | None = None
    identity: tuple[SessionEmbeddings, ...] = ()
    identity_not_compared: dict[str, str] = field(default_factory=dict)


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
