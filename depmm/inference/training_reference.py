"""Statistics of the training sessions of a run, with which a recording is compared."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.corpora.corpus_facts import CorpusFacts, Windows
from depmm.corpora.manifest import read_manifest
from depmm.data.data_summary import DataSummary
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.errors import StoreError
from depmm.store.index import read_index
from depmm.store.session_file import SessionReader
from depmm.store.sessions import SessionStore

LOW_PERCENTILE = 5.0  # of the seconds of speech of the training sessions
N_SAMPLED_SESSIONS = 200  # sessions whose speech is measured, enough for this percentile


@dataclass(frozen=True)
class TrainingReference:
    """Statistics of the training sessions; None if they cannot be read.

    Attributes
    ----------
    step_s : float, optional
        Median length of a step, in seconds.
    min_steps : int, optional
        Smallest number of steps of a session.
    low_speech_s : float, optional
        5th percentile of the speech of a session, in seconds.
    aligned : bool, optional
        Whether the corpus delivers aligned face crops; None if this differs between steps.
    windows : Windows, optional
        Windows that the steps were cut into; None if they were not cut, or if the windows of the
        corpora differ.
    """

    step_s: float | None = None
    min_steps: int | None = None
    low_speech_s: float | None = None
    aligned: bool | None = None
    windows: Windows | None = None


def measure_training_reference(
    train: pd.DataFrame,
    manifest: Path,
    store: SessionStore | None,
    summary: DataSummary | None = None,
) -> TrainingReference:
    """Measure the sessions that a model was trained on.

    Parameters
    ----------
    train : DataFrame
        Columns corpus, subject and session of the training sessions.
    manifest : Path
        Folder of the manifest, which need not exist.
    store : SessionStore or None
        Store of the extracted sessions, which need not exist.
    summary : DataSummary, optional
        Content of ``data_summary.json`` of the run.

    Returns
    -------
    TrainingReference
        The statistics; None if neither summary nor manifest nor store has the value.

    Raises
    ------
    ManifestError
        If the manifest exists and is damaged.
    StoreError
        If a stored session is damaged.
    """
    keys = train[SESSION_KEY].drop_duplicates().sort_values(SESSION_KEY)
    lengths, aligned, min_steps = pd.Series(dtype=float), None, None
    windows = {} if summary is None else summary.windows
    if (manifest / "steps.parquet").is_file():
        tables = read_manifest(manifest)
        if summary is None:
            corpora = keys["corpus"].unique()
            windows = {name: tables.facts.get(name, CorpusFacts()).windows for name in corpora}
        steps = tables.steps.merge(keys, on=SESSION_KEY)
        lengths = steps["end_s"] - steps["start_s"]
        alignments = steps.loc[steps["face"].notna(), "face_aligned"].unique()
        aligned = bool(alignments[0]) if len(alignments) == 1 else None
        min_steps = int(steps.groupby(SESSION_KEY).size().min()) if len(steps) else None
    index = pd.DataFrame({"audio_s": [], "n_steps": []})
    if store is not None:
        with suppress(StoreError):
            index = read_index(store).merge(keys, on=SESSION_KEY)
    # a step that is a whole recording has no end in the manifest; the store has its length
    if lengths.notna().sum() * 2 < max(1, len(lengths)):
        with_audio = index[index["audio_s"] > 0]
        lengths = with_audio["audio_s"] / with_audio["n_steps"]
    speech = [] if store is None else _sampled_speech(index, store)
    step_s = None if summary is None else summary.step_s
    if step_s is None and lengths.notna().any():
        step_s = float(lengths.median())
    same = len(set(windows.values())) == 1
    return TrainingReference(
        step_s=step_s,
        min_steps=int(index["n_steps"].min()) if min_steps is None and len(index) else min_steps,
        low_speech_s=float(np.percentile(speech, LOW_PERCENTILE)) if speech else None,
        aligned=aligned,
        windows=next(iter(windows.values())) if same else None,
    )


def _sampled_speech(index: pd.DataFrame, store: SessionStore) -> list[float]:
    """Measure the seconds of speech of up to 200 sessions, evenly spaced in the index."""
    with_audio = index[index["audio_s"] > 0]
    if with_audio.empty:
        return []
    rows = np.unique(np.linspace(0, len(with_audio) - 1, N_SAMPLED_SESSIONS).astype(int))
    speech = []
    for key in with_audio[SESSION_KEY].iloc[rows].itertuples(index=False):
        with store.read(*key) as reader:
            speech.append(speech_duration_s(reader))
    return speech


def speech_duration_s(reader: SessionReader) -> float:
    """Compute the duration of the speech of a stored session.

    Parameters
    ----------
    reader : SessionReader
        An open session.

    Returns
    -------
    float
        Seconds of speech inside the steps.
    """
    if "audio.speech" not in reader.names:
        return 0.0
    return float(np.diff(reader.read_tensor("audio.speech"), axis=1).sum())
