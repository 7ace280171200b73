"""Failures: what could not be extracted, one row per part of a session; and warnings.

Each session with failures has a file ``<session>.<hash>.failed.json`` next to its session file.
``failures.parquet`` is computed from these files (see :mod:`depmm.store.index`). Warnings are part
of the summary in the session file.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from depmm.media.errors import MediaError
from depmm.store.errors import damaged_file, writing
from depmm.store.sessions import SessionStore

SessionKey = tuple[str, str, str]
"""Corpus, subject and session id."""


@dataclass(frozen=True)
class Failure:
    """A part of a session that could not be extracted, one row of ``failures.parquet``.

    Attributes
    ----------
    corpus, subject, session : str
        Key of the session.
    stage : str
        ``audio``, ``face``, the name of a feature stream, or ``session``.
    file : str
        File relative to the root of the recordings.
    cause : str
        What is wrong.
    remedy : str
        What to do about it.
    """

    corpus: str
    subject: str
    session: str
    stage: str
    file: str
    cause: str
    remedy: str

    @classmethod
    def from_error(cls, key: SessionKey, stage: str, file: str, error: MediaError) -> Self:
        """Build the row of an error.

        Parameters
        ----------
        key : tuple of str
            Corpus, subject and session id.
        stage : str
            ``audio``, ``face`` or the name of a feature stream.
        file : str
            File relative to the root of the recordings.
        error : MediaError
            Why it could not be read.

        Returns
        -------
        Failure
            The row.
        """
        return cls(*key, stage, file, error.problem, error.remedy or "")


def has_failures(store: SessionStore, key: SessionKey) -> bool:
    """Check whether a part of a session could not be extracted.

    Parameters
    ----------
    store : SessionStore
        The store.
    key : tuple of str
        Corpus, subject and session id.

    Returns
    -------
    bool
        Whether the last extraction of the session recorded failures.
    """
    return bool(store.filesystem.exists(_failure_path(store, key)))


def record_failures(store: SessionStore, key: SessionKey, failures: Sequence[Failure]) -> None:
    """Write the failures of a session, or remove those of an earlier run.

    Parameters
    ----------
    store : SessionStore
        The store.
    key : tuple of str
        Corpus, subject and session id.
    failures : sequence of Failure
        What could not be extracted.
    """
    path = _failure_path(store, key)
    if failures:
        store.put_bytes(json.dumps([asdict(failure) for failure in failures]).encode(), path)
    elif store.filesystem.exists(path):
        with writing(path):
            store.filesystem.rm(path)


def recorded_failures(store: SessionStore, key: SessionKey) -> list[dict[str, str]]:
    """Read the failures of a session.

    Parameters
    ----------
    store : SessionStore
        The store.
    key : tuple of str
        Corpus, subject and session id.

    Returns
    -------
    list of dict of str to str
        Rows of ``failures.parquet``; none if the session was extracted completely.

    Raises
    ------
    StoreError
        If the file of the failures is damaged.
    """
    if not has_failures(store, key):
        return []
    path = _failure_path(store, key)
    try:
        rows = json.loads(store.filesystem.cat_file(path))
        return [asdict(Failure(**row)) for row in rows]
    except (ValueError, TypeError) as error:
        raise damaged_file(path, str(error)) from None


def _failure_path(store: SessionStore, key: SessionKey) -> str:
    return store.path(*key).replace(".safetensors", ".failed.json")
