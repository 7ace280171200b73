"""A store of sessions: one file per session, written once.

The name of a file contains a hash of the extraction settings, so that sessions that were extracted
with different settings can share a folder.
"""

import hashlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import fsspec

from depmm.config import ExtractConfig
from depmm.files import replacing, write_text
from depmm.store.errors import StoreError, damaged_file
from depmm.store.session_file import SessionReader

FORMAT_VERSION = 3
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library


def settings_hash(settings: ExtractConfig) -> str:
    """Compute the hash of the settings and of the version of the file format.

    Parameters
    ----------
    settings : ExtractConfig
        Extraction settings.

    Returns
    -------
    str
        Eight hexadecimal digits.
    """
    content = json.dumps([FORMAT_VERSION, settings.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


class SessionStore:
    """A folder of session files, local or on any file system that ``fsspec`` supports.

    Parameters
    ----------
    root : str or Path
        Path or URL, for example ``stores/demo`` or ``s3://bucket/store``.
    settings : ExtractConfig
        Extraction settings; their hash is part of the name of every file.

    Attributes
    ----------
    url : str
        ``root`` as text.
    filesystem : fsspec.AbstractFileSystem
        The file system.
    root : str
        Path of the folder in the file system.
    settings_hash : str
        Hash of the settings.
    """

    def __init__(self, root: str | Path, settings: ExtractConfig) -> None:
        self.filesystem, self.root = fsspec.core.url_to_fs(str(root))
        self.url = str(root)
        self.settings = settings
        self.settings_hash = settings_hash(settings)

    def path(self, corpus: str, subject: str, session: str) -> str:
        """Return the path of a session in the file system.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        str
            The path; the file need not exist.
        """
        return f"{self.root}/{corpus}/{subject}/{session}.{self.settings_hash}.safetensors"

    def has(self, corpus: str, subject: str, session: str) -> bool:
        """Check whether a session was extracted with the settings.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        bool
            Whether its file exists.
        """
        return bool(self.filesystem.exists(self.path(corpus, subject, session)))

    def read(self, corpus: str, subject: str, session: str) -> SessionReader:
        """Open a session; from a remote store it is downloaded once per process.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        SessionReader
            The open file, a context manager.

        Raises
        ------
        StoreError
            If the session is not in the store, or its file is damaged.
        """
        path = self.path(corpus, subject, session)
        if not self.filesystem.exists(path):
            raise StoreError(
                f"session {corpus}/{subject}/{session} is not in the store {self.url} with these "
                f"extraction settings ({self.settings_hash}).",
                file=path,
                subject=subject,
                session=session,
                remedy="Run depmm extract, or see failures.parquet.",
            )
        if self._is_local:
            return SessionReader(path)
        local = fsspec.open_local(f"simplecache::{self.filesystem.unstrip_protocol(path)}")
        return SessionReader(str(local))

    def read_summary(self, corpus: str, subject: str, session: str) -> dict[str, Any]:
        """Read the summary of a session from the header of its file, and check the file size.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        dict
            The summary, see :mod:`depmm.store.session_file`.

        Raises
        ------
        StoreError
            If the session is not in the store, or its file is damaged.
        """
        path = self.path(corpus, subject, session)
        try:
            with self.filesystem.open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > MAX_HEADER_BYTES:
                    raise ValueError(f"a header of {length} bytes")
                header = json.loads(file.read(length))
            summary: dict[str, Any] = json.loads(header.pop("__metadata__")["depmm"])
            size = 8 + length + max(entry["data_offsets"][1] for entry in header.values())
            if self.filesystem.size(path) != size:
                raise ValueError(f"the file size is not {size} bytes")
        except (OSError, KeyError, ValueError, TypeError, struct.error) as error:
            raise damaged_file(path, error) from None
        return summary

    def put(self, local: Path, path: str) -> None:
        """Move a complete local file into the store.

        Other processes read either the old file or the complete new one.

        Parameters
        ----------
        local : Path
            The file, which is moved.
        path : str
            Target path in the file system of the store.
        """
        self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._is_local:
            with replacing(Path(path)) as temporary:
                shutil.move(local, temporary)
        else:  # in object stores, an upload is visible only when it is complete
            self.filesystem.put_file(str(local), path)
            local.unlink()

    def put_text(self, text: str, path: str) -> None:
        """Write a text file into the store, as atomically as :meth:`put`.

        Parameters
        ----------
        text : str
            Content of the file.
        path : str
            Target path in the file system of the store.
        """
        self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._is_local:
            write_text(Path(path), text)
        else:
            self.filesystem.pipe_file(path, text.encode())

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, fsspec.implementations.local.LocalFileSystem)
