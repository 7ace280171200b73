"""The sessions of a manifest as jobs: what a worker process needs to extract one of them.

Worker processes import this module, but not pandas, which takes a third of the time until they
start; :mod:`depmm.store.job_list` lists the jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depmm.config import ExtractConfig
from depmm.store.failures import SessionKey
from depmm.store.step_coverage import Window


@dataclass(frozen=True)
class SessionJob:
    """Everything that a worker process needs to extract one session.

    Attributes
    ----------
    key : tuple of str
        Corpus, subject and session id.
    steps : list of dict
        Rows of ``steps.parquet`` in their order: step, start_s, end_s, audio, audio_track,
        audio_channel, face, face_aligned, text. The text is None if it may contain words of the
        interviewer.
    streams : list of dict
        Rows of ``features.parquet``: step, name, path, reader.
    root : Path
        Folder of the recordings.
    store_url : str
        Folder or URL of the store.
    settings : ExtractConfig
        Extraction settings.
    source_hash : str
        Hash of the steps and of the sizes of the files.
    steps_hash : str
        Hash of the steps, as :func:`depmm.store.step_hashes.hash_steps` computes it.
    landmarker : Path or None
        MediaPipe face model; None if no faces have to be detected.
    allow_pickle : bool
        Whether pickled ``.npy`` features are read, which runs code from the file.
    n_bytes : int
        Size of all files of the session together.
    """

    key: SessionKey
    steps: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    root: Path
    store_url: str
    settings: ExtractConfig
    source_hash: str
    steps_hash: str
    landmarker: Path | None
    allow_pickle: bool
    n_bytes: int

    def windows(self, steps: Sequence[int] | None = None) -> list[Window]:
        """Return start and end of some steps.

        Parameters
        ----------
        steps : sequence of int, optional
            Indices of the steps; by default, all of them.

        Returns
        -------
        list of tuple of float
            Seconds from the start of the recording; infinity for the end of the recording.
        """
        rows = self.steps if steps is None else [self.steps[index] for index in steps]
        return [
            (float(step["start_s"]), np.inf if step["end_s"] is None else float(step["end_s"]))
            for step in rows
        ]

    @property
    def all_files(self) -> str:
        """The names of all files, for the failure of a whole session."""
        return ", ".join(self.source_files)

    @property
    def source_files(self) -> list[str]:
        """The files of steps and streams, sorted."""
        files = {*self.files("audio"), *self.files("face")}
        return sorted(files | {stream["path"] for stream in self.streams})

    def files(self, modality: str) -> dict[str, list[int]]:
        """Group the steps by the file of a modality.

        Parameters
        ----------
        modality : {"audio", "face"}
            Column of the steps that names the file.

        Returns
        -------
        dict of str to list of int
            File -> indices of its steps.
        """
        files: dict[str, list[int]] = {}
        for index, step in enumerate(self.steps):
            if step[modality] is not None:
                files.setdefault(step[modality], []).append(index)
        return files
