"""Statistics of the training sessions of a run, with which a recording is compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from depmm.config import TRACKS, Experiment, Settings
from depmm.corpora.corpus_facts import CorpusFacts, Windows
from depmm.corpora.windows import MIN_REMAINDER_S
from depmm.data.experiment_data import ExperimentData
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.index import read_index
from depmm.store.session_durations import speech_duration_s
from depmm.store.sessions import SessionStore

LOW_PERCENTILE = 5.0  # of the seconds of speech of the training sessions
N_SAMPLED_SESSIONS = 200  # sessions whose speech is measured, enough for this percentile
SAME_TIME_S = 0.0021  # by which times of regular windows differ: tables have three decimals
MIN_HOPS = 5  # of a table of windows; fewer regular times may be a coincidence


class TrainingReference(Settings):
    """Statistics of the training sessions; None if they are unknown."""

    windows: Windows | None = Field(
        None,
        description="windows of the steps, of depmm index or of a table of regular times; null if "
        "there are none, or different ones",
    )
    windows_in_steps: bool = Field(
        False, description="whether the windows are inside rows of a table, such as turns"
    )
    whole_files: bool = Field(False, description="whether every step is a whole file")
    windows_of_table: bool = Field(
        False, description="whether a table states the times of the windows, with three decimals"
    )
    short_windows: bool = Field(
        True, description="whether the last window of a recording may be shorter than the others"
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
    audio_track: int | None = Field(
        None, ge=0, description="sound track that is read, where the data spec names one"
    )
    audio_channel: int | None = Field(
        None, ge=0, description="channel of the track that is read, where the data spec names one"
    )
    separate_files: bool = Field(
        False, description="whether sound and video of a step are in different files"
    )
    files_per_session: int = Field(
        1, ge=1, description="largest number of recordings, one after the other, of a session"
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
        The statistics.

    Raises
    ------
    StoreError
        If a stored session is damaged.
    """
    training = data.sessions.loc[data.sessions["split"] == "train", SESSION_KEY]
    keys = training.drop_duplicates().sort_values(SESSION_KEY)
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
        **describe_windows(steps, data.facts),
        **describe_files(steps),
        step_s=float(lengths.median()) if lengths.notna().any() else None,
        min_steps=min_steps,
        low_speech_s=float(np.percentile(speech, LOW_PERCENTILE)) if speech else None,
        aligned=bool(alignments[0]) if len(alignments) == 1 else None,
    )


def describe_windows(steps: pd.DataFrame, facts: Mapping[str, CorpusFacts]) -> dict[str, Any]:
    """Find the windows that all steps are, from the facts of the corpora or from the times.

    Parameters
    ----------
    steps : DataFrame
        Steps of the training sessions.
    facts : mapping of str to CorpusFacts
        Facts about the corpora.

    Returns
    -------
    dict of str to object
        ``windows`` and the settings of ``TrainingReference`` that describe them; empty if the steps
        are no windows of one length and hop.
    """
    corpora = sorted(steps["corpus"].unique())
    stated = [facts.get(corpus, CorpusFacts()).windows for corpus in corpora]
    if any(item != stated[0] for item in stated):
        return {}
    ordered = steps.sort_values([*SESSION_KEY, "step"], kind="stable")
    recording = ordered["audio"].where(ordered["audio"].notna(), ordered["face"])
    grouped = ordered.groupby([ordered[name] for name in SESSION_KEY] + [recording], sort=False)
    start, length = ordered["start_s"], ordered["end_s"] - ordered["start_s"]
    hops = grouped["start_s"].diff().dropna()
    is_last = ~ordered.duplicated(SESSION_KEY, keep="last")
    is_last |= recording.ne(recording.shift(-1))
    starts_at_0 = bool(start.groupby([grouped.ngroup()]).min().abs().le(SAME_TIME_S).all())
    if (windows := stated[0] if stated else None) is not None:
        regular = (hops - windows.effective_hop_s).abs().le(SAME_TIME_S).all()
        return {"windows": windows, "windows_in_steps": not (regular and starts_at_0)}
    whole = length[~is_last]
    if len(hops) < MIN_HOPS or whole.isna().any() or not starts_at_0:
        return {}
    hop_s, length_s = float(hops.median()), float(whole.median())
    last = length[is_last].fillna(length_s)
    if (
        (hops - hop_s).abs().gt(SAME_TIME_S).any()
        or (whole - length_s).abs().gt(SAME_TIME_S).any()
        or last.gt(length_s + MIN_REMAINDER_S + SAME_TIME_S).any()
    ):
        return {}
    return {
        "windows": Windows(length_s=round(length_s, 3), hop_s=round(hop_s, 3)),
        "windows_of_table": True,
        "short_windows": bool(last.lt(length_s - SAME_TIME_S).any()),
    }


def describe_files(steps: pd.DataFrame) -> dict[str, Any]:
    """Describe which files and tracks the steps read.

    Parameters
    ----------
    steps : DataFrame
        Steps of the training sessions.

    Returns
    -------
    dict of str to object
        Settings of ``TrainingReference``.
    """
    described: dict[str, Any] = {}
    for name in ("audio_track", "audio_channel"):
        values = steps.loc[steps["audio"].notna(), name].unique()
        if len(values) == 1 and pd.notna(values[0]):
            described[name] = int(values[0])
    both = steps[steps["audio"].notna() & steps["face"].notna()]
    by_session = steps.groupby(SESSION_KEY)
    n_files = [int(by_session[name].nunique().max()) for name in TRACKS] if len(steps) else []
    return {
        **described,
        "whole_files": bool(len(steps) and (steps["start_s"].eq(0) & steps["end_s"].isna()).all()),
        "separate_files": bool((both["audio"] != both["face"]).any()),
        "files_per_session": max([1, *n_files]),
    }


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
