"""What an audit looks at and what it says: inputs in, findings out."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import SESSION_KEY, Manifest

File = tuple[str, str]  # corpus, path below its root
_SHOWN = 10  # people or files named in a message; a finding carries all


@dataclass(frozen=True)
class Finding:
    """One thing the audit found.

    Parameters
    ----------
    name : of the check, the same for all findings of one kind
    severity : an ``error`` makes results invalid, ``allowed`` is an error that the user accepts, a
        ``warning`` must be thought about, ``info`` is for the record
    message : what was found, with names and numbers
    remedy : what to do about it
    subjects : (corpus, subject) concerned
    sessions : (corpus, subject, session) concerned
    files : (corpus, path) concerned
    effect_measure : what kind of number ``effect_size`` is
    effect_size : effect size of a shortcut
    p_value : of the shortcut's test
    p_adjusted : the same, corrected for all shortcuts of the corpus (Holm)
    """

    name: str
    severity: Literal["error", "allowed", "warning", "info"]
    message: str
    remedy: str
    subjects: tuple[tuple[str, ...], ...] = ()
    sessions: tuple[tuple[str, ...], ...] = ()
    files: tuple[File, ...] = ()
    effect_measure: str | None = None
    effect_size: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True)
class RecordingStatistics:
    """What reading the recordings adds to a manifest; every file by (corpus, path).

    Parameters
    ----------
    missing : named by the manifest, but not there or empty
    unreadable : file -> why it cannot be decoded
    duplicates : groups of files with the same content
    duration_s : file -> its length in seconds, where known
    black_border : video -> share of the picture that is black border
    """

    missing: tuple[File, ...] = ()
    unreadable: dict[File, str] = field(default_factory=dict)
    duplicates: tuple[tuple[File, ...], ...] = ()
    duration_s: dict[File, float] = field(default_factory=dict)
    black_border: dict[File, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditInput:
    """Everything that checks may look at.

    Parameters
    ----------
    manifest : of one corpus or of several; it need not be valid by ``validate``
    recordings : None when the recordings were not looked at
    index_reports : what ``depmm index`` said of the corpora, where known
    """

    manifest: Manifest
    recordings: RecordingStatistics | None = None
    index_reports: tuple[IndexReport, ...] = ()


def list_file_uses(manifest: Manifest) -> pd.DataFrame:
    """Which session uses which file, and as what.

    Returns
    -------
    columns corpus, subject, session, file, use (audio, face, features), no row twice
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


def unique_keys(table: pd.DataFrame, columns: list[str]) -> tuple[tuple[str, ...], ...]:
    """The different keys of a table, sorted."""
    return tuple(sorted(set(table[columns].itertuples(index=False, name=None))))


def abbreviate(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
