"""Statistics of the training sessions of a run, with which a recording is compared."""

import numpy as np
import pandas as pd
from pydantic import Field

from depmm.config import Experiment, Settings
from depmm.corpora.corpus_facts import CorpusFacts, Windows
from depmm.data.experiment_data import ExperimentData
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.index import read_index
from depmm.store.session_file import SessionReader
from depmm.store.sessions import SessionStore

LOW_PERCENTILE = 5.0  # of the seconds of speech of the training sessions
N_SAMPLED_SESSIONS = 200  # sessions whose speech is measured, enough for this percentile


class TrainingReference(Settings):
    """Statistics of the training sessions; None if they are unknown."""

    windows: Windows | None = Field(
        None,
        description="windows that the steps were cut into; null if they were not cut, or "
        "differently in each corpus",
    )
    step_s: float | None = Field(None, gt=0, description="median length of a step, in seconds")
    min_steps: int | None = Field(None, ge=1, description="smallest number of steps of a session")
    low_speech_s: float | None = Field(
        None, ge=0, description="5th percentile of the speech of a session, in seconds"
    )
    aligned: bool | None = Field(
        None,
        description="whether the corpus delivers aligned face crops; null if this differs between "
        "steps, or there are no faces",
    )


def measure_training_reference(config: Experiment, data: ExperimentData) -> TrainingReference:
    """Measure the sessions that a model is trained on.

    Parameters
    ----------
    config : Experiment
        The experiment.
    data : ExperimentData
        Its sessions.

    Returns
    -------
    TrainingReference
        The statistics, in which no single session can be recognised but for its number of steps.

    Raises
    ------
    StoreError
        If a stored session is damaged.
    """
    training = data.sessions.loc[data.sessions["split"] == "train", SESSION_KEY]
    keys = training.drop_duplicates().sort_values(SESSION_KEY)
    windows = [
        data.facts.get(corpus, CorpusFacts()).windows for corpus in sorted(keys["corpus"].unique())
    ]
    steps = data.steps.merge(keys, on=SESSION_KEY)
    lengths = steps["end_s"] - steps["start_s"]
    store = data.dataset.store
    index = read_index(store).merge(keys, on=SESSION_KEY)
    # a step that is a whole recording has no end in the manifest; the store has its length
    if lengths.notna().sum() * 2 < max(1, len(lengths)):
        with_audio = index[index["audio_s"] > 0]
        lengths = with_audio["audio_s"] / with_audio["n_steps"]
    alignments = steps.loc[steps["face"].notna(), "face_aligned"].unique()
    min_steps = int(steps.groupby(SESSION_KEY).size().min()) if len(steps) else None
    first = config.data.steps.first
    if first is not None and min_steps is not None:
        min_steps = min(first, min_steps)
    speech = _sampled_speech(index, store)
    return TrainingReference(
        windows=windows[0] if windows and all(item == windows[0] for item in windows) else None,
        step_s=float(lengths.median()) if lengths.notna().any() else None,
        min_steps=min_steps,
        low_speech_s=float(np.percentile(speech, LOW_PERCENTILE)) if speech else None,
        aligned=bool(alignments[0]) if len(alignments) == 1 else None,
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
