"""Build the sessions of an experiment, with target and split, from manifest, store and config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import Config, DataConfig, Experiment, SplitConfig, StepsConfig, TargetConfig
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.corpora.manifest import read_manifest
from depmm.corpora.splits import make_folds, make_split
from depmm.corpora.step_durations import session_durations
from depmm.corpora.subject_groups import add_groups
from depmm.data.dataset import SessionDataset
from depmm.data.errors import DataError
from depmm.data.signals.build import build_signal
from depmm.data.step_selection import (
    check_step_counts,
    count_present_steps,
    keep_selected_steps,
)
from depmm.data.targets import labelled_sessions, scale_target, stratification_classes
from depmm.errors import abbreviate, count_of
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore
from depmm.store.step_hashes import check_stored_steps
from depmm.store.stream_columns import find_different_columns


@dataclass(frozen=True)
class ExperimentData:
    """The sessions of an experiment.

    Attributes
    ----------
    sessions : DataFrame
        Rows of the manifest, with ``target``, ``split`` and the columns of
        :func:`describe_sessions`. Row and index in ``dataset`` are the same.
    dataset : SessionDataset
        Signals of the sessions.
    score_range : tuple of float
        Lowest and highest score or level; (0, 1) for classes.
    excluded : dict of str to int
        Number of excluded sessions of the manifest by reason.
    steps : DataFrame
        All steps of the manifest, those of excluded sessions included.
    facts : mapping of str to CorpusFacts
        Facts about the corpora from their data specs, such as related corpora.
    """

    sessions: pd.DataFrame
    dataset: SessionDataset
    score_range: tuple[float, float]
    excluded: dict[str, int]
    steps: pd.DataFrame
    facts: Mapping[str, CorpusFacts] = field(default_factory=dict)

    def indices(self, split: str) -> list[int]:
        """Return the indices of the sessions of a split.

        Parameters
        ----------
        split : {"train", "validation", "test"}
            Name of the split.

        Returns
        -------
        list of int
            Rows of the dataset.
        """
        return np.flatnonzero(self.sessions["split"] == split).tolist()

    def subjects(self) -> pd.DataFrame:
        """Return the subjects with their split.

        Returns
        -------
        DataFrame
            Columns corpus, subject and split, without duplicates.
        """
        return self.sessions[[*SUBJECT_KEY, "split"]].drop_duplicates()


def load_experiment_data(config: Experiment) -> ExperimentData:
    """Read the manifest, select the sessions with target and signal, and split them by subject.

    Parameters
    ----------
    config : Experiment
        Manifest, store, target, steps and split.

    Returns
    -------
    ExperimentData
        The sessions; signals are not read yet.

    Raises
    ------
    DataError
        If the target column or its values are invalid, no step has a task or valence of
        ``data.steps``, no session remains, or the number of steps of a session is not allowed by
        the settings or the model.
    ManifestError, SplitError, StoreError
        If the manifest, a split file or the store is invalid.
    """
    data = config.data
    manifest = read_manifest(data.manifest)
    grouped = add_groups(manifest.sessions, data.manifest, config.split)
    labelled, excluded = labelled_sessions(grouped, config.target, data.manifest)
    store = SessionStore(data.store, config.extract)
    # only the keys: columns of the corpus may have the same names as those of the store's index
    index = read_index(store)
    stored = labelled[SESSION_KEY].merge(index, on=SESSION_KEY, how="left")
    has_modality = find_modalities(stored, data).any(axis=1)
    modalities = " or ".join(data.modalities)
    without = "with neither " + " nor ".join(data.modalities)
    if len(data.modalities) == 1:
        without = f"without {modalities}"
    excluded[f"{without} in the store"] = int((~has_modality).sum())
    stored = stored[has_modality]
    check_stored_steps(stored, manifest, str(data.store))
    stored = stored.assign(n_selected_steps=stored["n_steps"])
    steps, masks = manifest.steps, None
    if data.steps != StepsConfig():
        before = len(stored)
        stored, steps, masks = keep_selected_steps(stored, steps, store, data)
        excluded[f"no {modalities} in the steps of data.steps"] = before - len(stored)
    if stored.empty:
        if len(index) and labelled[SESSION_KEY].merge(index[SESSION_KEY]).empty:
            raise _other_sessions(data, labelled, index)
        raise DataError(
            f"data.store: none of {len(labelled)} sessions with a label has {modalities} in "
            f"{data.store}.",
            setting="data.store",
            file=data.store,
            remedy="Run depmm extract with the settings of this config, or select other steps "
            "(data.steps).",
        )
    # fail before training, not during it
    _check_stream_columns(stored, store, data)
    if masks is None and isinstance(config, Config) and config.model.subtract_session_mean:
        n_present = count_present_steps(SessionDataset(stored, store, data))
        stored = stored.assign(n_selected_steps=n_present)
    check_step_counts(stored, data, config.model if isinstance(config, Config) else None)
    sessions, score_range = labelled.loc[stored.index].reset_index(drop=True), (0.0, 1.0)
    if config.target.kind != "binary":
        sessions, score_range = scale_target(sessions, config.target)
    classes = stratification_classes(sessions, config.target)
    split = make_split(sessions, config.split, classes)
    sessions = sessions.drop(columns="split").merge(split, on=SUBJECT_KEY, how="left")
    sessions = describe_sessions(sessions, steps, stored["audio_s"].reset_index(drop=True))
    dataset = SessionDataset(sessions, store, data, config.seed, masks)
    counts = {reason: count for reason, count in excluded.items() if count}
    return ExperimentData(sessions, dataset, score_range, counts, manifest.steps, manifest.facts)


def _other_sessions(data: DataConfig, labelled: pd.DataFrame, index: pd.DataFrame) -> DataError:
    """Build the error of a store that has other sessions than the manifest."""
    described = [
        f"{count_of(len(table), 'session')} of "
        f"{abbreviate(sorted(map(str, table['corpus'].unique())), 3)}"
        for table in (index, labelled)
    ]
    return DataError(
        f"data.store: {data.store} has {described[0]}, but none of the manifest {data.manifest}, "
        f"which has {described[1]}.",
        setting="data.store",
        file=data.store,
        remedy="Give the store of this manifest, or run depmm extract with this manifest.",
    )


def find_modalities(sessions: pd.DataFrame, data: DataConfig) -> pd.DataFrame:
    """Find the modalities of each session that are in the store.

    Parameters
    ----------
    sessions : DataFrame
        Rows of the index of the store; missing for a session that is not in it.
    data : DataConfig
        Modalities, and streams that replace their signals.

    Returns
    -------
    DataFrame of bool
        One column per modality.

    Raises
    ------
    DataError
        If no session has a stream of ``data.features``.
    """
    signals = {name: build_signal(name, data) for name in data.modalities}
    return pd.DataFrame({name: signal.is_indexed(sessions) for name, signal in signals.items()})


def _check_stream_columns(sessions: pd.DataFrame, store: SessionStore, data: DataConfig) -> None:
    """Check that the streams that are used have the same columns in all sessions of a corpus."""
    used = set(data.features.values())
    if not used:
        return
    summaries = {}
    for key in sessions[SESSION_KEY].itertuples(index=False, name=None):
        streams = store.read_summary(*key)["streams"]
        summaries[key] = {"streams": {n: streams[n] for n in used if n in streams}}
    if different := find_different_columns(summaries, across_corpora=True):
        first = different[0]
        corpus, subject, session = first.key
        raise DataError(
            f"session {corpus}/{subject}/{session}: {first.file}: {first.problem} "
            f"{len(different)} sessions have other columns than most.",
            setting="data.features",
            file=first.file,
            subject=subject,
            session=session,
            value=first.n_features,
            remedy=first.remedy,
        )


def experiment_folds(manifest: Path, target: TargetConfig, split: SplitConfig) -> pd.DataFrame:
    """Split all subjects with a target, independent of any store.

    Parameters
    ----------
    manifest : Path
        Folder of the manifest.
    target : TargetConfig
        The target; subjects without it are excluded.
    split : SplitConfig
        How subjects are split.

    Returns
    -------
    DataFrame
        All folds, as returned by :func:`depmm.corpora.splits.make_folds`.

    Raises
    ------
    DataError, ManifestError, SplitError
        As :func:`load_experiment_data`.
    """
    grouped = add_groups(read_manifest(manifest).sessions, manifest, split)
    sessions, _ = labelled_sessions(grouped, target, manifest)
    if target.kind != "binary":
        sessions, _ = scale_target(sessions, target)
    return make_folds(sessions, split, stratification_classes(sessions, target))


def describe_sessions(
    sessions: pd.DataFrame, steps: pd.DataFrame, audio_s: pd.Series
) -> pd.DataFrame:
    """Add covariates of each session, for reports and covariate baselines.

    Parameters
    ----------
    sessions : DataFrame
        Columns corpus, subject and session. Covariates that are already present are not
        changed.
    steps : DataFrame
        Steps of the manifest.
    audio_s : Series
        Seconds of sound in the store, with the index of ``sessions``.

    Returns
    -------
    DataFrame
        The sessions with the columns ``task`` and ``valence`` (null if the steps of a session have
        different values), ``n_steps`` and ``duration_s``. If the manifest has the end of every
        step, ``duration_s`` is the time that the steps cover, in which the overlap of windows
        counts once; otherwise it is the duration of the sound for all sessions, NaN without sound.

    Raises
    ------
    DataError
        If the sessions have a column ``n_steps`` or ``duration_s`` that does not contain numbers.
    """
    keys = pd.MultiIndex.from_frame(sessions[SESSION_KEY])
    n_steps = steps.groupby(SESSION_KEY).size()
    seconds = session_durations(steps).reindex(keys).to_numpy()
    if np.isnan(seconds).any():
        seconds = audio_s.where(audio_s > 0).to_numpy(float)
    covariates = {"n_steps": n_steps.reindex(keys).to_numpy(), "duration_s": seconds}
    for name in ("task", "valence"):
        values = steps[[*SESSION_KEY, name]].drop_duplicates()
        single = values[~values.duplicated(SESSION_KEY, keep=False)].set_index(SESSION_KEY)[name]
        covariates[name] = single.reindex(keys).to_numpy()
    for name in sorted({"n_steps", "duration_s"} & set(sessions)):
        original = sessions[name]
        sessions = sessions.assign(**{name: pd.to_numeric(original, errors="coerce")})
        if len(wrong := original[sessions[name].isna() & original.notna()]):
            corpus, subject, session = sessions.loc[wrong.index[0], SESSION_KEY]
            raise DataError(
                f"{name} of session {corpus}/{subject}/{session} is {wrong.iloc[0]!r}, not a "
                "number.",
                column=name,
                subject=subject,
                session=session,
                value=wrong.iloc[0],
                remedy="Correct it, or give the column another name in the data spec.",
            )
    new = {name: values for name, values in covariates.items() if name not in sessions}
    return sessions.assign(**new)
