"""A store of sessions: one file per session, written once.

The name of a file contains a hash of the extraction settings, so that sessions that were extracted
with different settings can share a folder.
"""

import atexit
import errno
import functools
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import numpy as np

from depmm.config import ExtractConfig
from depmm.files.writing import (
    remove_leftovers,
    replacing,
    temporary_folder,
    temporary_path,
    write_bytes,
)
from depmm.media.voice.contours import CONTOURS
from depmm.store.crop_memory import CropMemory
from depmm.store.derived_streams import with_derived_streams
from depmm.store.errors import StoreError, damaged_file, unreadable_file, writing
from depmm.store.session_file import SessionReader
from depmm.store.session_writer import SessionWriter
from depmm.store.tensor_file import TensorFile, open_file
from depmm.store.voice_stream import is_current_voice, voice_folder

FORMAT_VERSION = 7
logger = logging.getLogger(__name__)


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

    Raises
    ------
    StoreError
        If the URL has an unknown protocol, or its file system cannot be opened.
    """

    def __init__(self, root: str | Path, settings: ExtractConfig) -> None:
        self.url = str(root)
        try:
            self.filesystem, self.root = fsspec.core.url_to_fs(self.url)
        # an unknown protocol, a library that is not installed, or a server that does not answer
        except Exception as error:
            raise StoreError(
                f"{self.url}: the store cannot be opened ({str(error).splitlines()[0]:.200}).",
                setting="data.store",
                file=self.url,
                value=self.url,
                remedy="Give the path of a folder, or a URL that fsspec supports (data.store, "
                "--out).",
            ) from None
        self.settings = settings
        self.settings_hash = settings_hash(settings)
        self._crops: CropMemory | None = None

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
        path = self._existing_path(corpus, subject, session)
        with self._naming(subject, session):
            open_voice = functools.partial(self._open_voice, (corpus, subject, session))
            return SessionReader(path, self._open(path), open_voice, self._crops)

    def keep_crops(self) -> None:
        """Keep decoded face crops of sessions that this process reads from now on.

        For a training, which reads the same crops in every epoch: up to ``CROP_MEMORY`` bytes, in
        each process that loads data.
        """
        if self._crops is None:
            self._crops = CropMemory()

    def read_tensors(self, corpus: str, subject: str, session: str) -> TensorFile:
        """Open a file of the store that does not have the tensors of a session.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        TensorFile
            The open file, a context manager.

        Raises
        ------
        StoreError
            If the file is not in the store, or its header is damaged.
        """
        path = self._existing_path(corpus, subject, session)
        return TensorFile(self._open(path), path)

    def read_summary(self, corpus: str, subject: str, session: str) -> dict[str, Any]:
        """Read the summary of a session from the header of its file, and check the file size.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Returns
        -------
        dict
            The summary, see :mod:`depmm.store.session_file`, and ``checksum``, which changes with
            any byte of the file.

        Raises
        ------
        StoreError
            If the session is not in the store, or its header is damaged.
        """
        path = self._existing_path(corpus, subject, session)
        with TensorFile(self._open(path, download=False), path) as file:
            try:
                summary = json.loads(file.metadata["depmm"])
                if "streams" in summary:  # a file of embeddings has none
                    summary = with_derived_streams(summary, file.shapes)
                return {**summary, "checksum": file.checksum}
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise damaged_file(path, str(error)) from None

    def verify(self, corpus: str, subject: str, session: str) -> None:
        """Check all bytes of a session.

        Parameters
        ----------
        corpus, subject, session : str
            Key of the session.

        Raises
        ------
        StoreError
            If the session is not in the store, or its file is damaged.
        """
        path = self._existing_path(corpus, subject, session)
        with SessionReader(path, self._open(path, download=False)) as reader:
            reader.verify()

    def writer(self) -> SessionWriter:
        """Open a writer of a file of the store.

        Its temporary files are in the folder of the store, or for a remote store in a hidden folder
        of the system's folder for temporary files.

        Returns
        -------
        SessionWriter
            The writer, a context manager.
        """
        if self.is_local:
            self.make_folder()
        return SessionWriter(temporary_folder(self._temporary_parent()))

    def make_folder(self) -> None:
        """Create the folder of the store, with its parents.

        Raises
        ------
        StoreWriteError
            If it cannot be created.
        """
        with writing(self.url):
            self.filesystem.makedirs(self.root, exist_ok=True)

    def put(self, local: Path, path: str) -> None:
        """Move a complete local file into the store.

        Other processes read either the old file or the complete new one.

        Parameters
        ----------
        local : Path
            The file, which is moved.
        path : str
            Target path in the file system of the store.

        Raises
        ------
        StoreWriteError
            If the store cannot be written.
        """
        with writing(path):
            self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            if not self.is_local:  # in object stores, an upload is visible only when it is complete
                self.filesystem.put_file(str(local), path)
                local.unlink()
                return
            try:
                local.replace(path)
            except OSError as error:
                if error.errno != errno.EXDEV:  # a folder of the store may be on another disk
                    raise
                with replacing(Path(path)) as temporary:
                    shutil.copyfile(local, temporary)

    def put_bytes(self, content: bytes, path: str) -> None:
        """Write a small file into the store, as atomically as :meth:`put`.

        Parameters
        ----------
        content : bytes
            Content of the file.
        path : str
            Target path in the file system of the store.

        Raises
        ------
        StoreWriteError
            If the store cannot be written.
        """
        with writing(path):
            self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self.is_local:
                write_bytes(Path(path), content)
            else:
                self.filesystem.pipe_file(path, content)

    @property
    def is_local(self) -> bool:
        """Whether the store is a folder of this computer."""
        return isinstance(self.filesystem, fsspec.implementations.local.LocalFileSystem)

    def _open_voice(
        self,
        key: tuple[str, str, str],
        checksum: str,
        n_rows: int,
        compute: Callable[[], Iterator[np.ndarray]],
    ) -> TensorFile:
        """Open the stream ``voice`` of a session; compute it first if it is missing or outdated."""
        files = SessionStore(voice_folder(self.url), self.settings)
        if files.has(*key):
            try:
                file = files.read_tensors(*key)
                if is_current_voice(file, checksum, n_rows):
                    return file
            except (StoreError, ValueError, KeyError, AttributeError):
                logger.warning("%s: damaged; its contours are computed again.", files.path(*key))
        with files.writer() as writer:
            writer.append("values", np.zeros((0, len(CONTOURS)), np.float32))
            for rows in compute():
                writer.append("values", rows)
            files.put(writer.save({"session": checksum}), files.path(*key))
        return files.read_tensors(*key)

    def _temporary_parent(self) -> Path:
        return Path(self.root if self.is_local else tempfile.gettempdir())

    def _existing_path(self, corpus: str, subject: str, session: str) -> str:
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
        return path

    def _open(self, path: str, download: bool = True) -> BinaryIO:
        """Open a file; a remote one is downloaded once per process if its parts will be read."""
        try:
            if self.is_local:
                return open_file(path)
            if not download:
                file: BinaryIO = self.filesystem.open(path, "rb")
                return file
            url = f"simplecache::{self.filesystem.unstrip_protocol(path)}"
            local = fsspec.open_local(url, simplecache={"cache_storage": _download_folder()})
            return open_file(str(local))
        except OSError as error:
            raise unreadable_file(path, error) from None

    @contextmanager
    def _naming(self, subject: str, session: str) -> Iterator[None]:
        """Add the ids of a session to an error."""
        try:
            yield
        except StoreError as error:
            error.subject, error.session = subject, session
            raise


@functools.cache
def _download_folder() -> str:
    """Create the folder of downloaded sessions, which is removed at the end of the process."""
    parent = Path(tempfile.gettempdir())
    remove_leftovers(parent)  # of processes that were killed
    folder = temporary_path(parent)
    folder.mkdir(mode=0o700)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(folder)
