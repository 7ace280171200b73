"""Manifest + store + task -> the sessions that take part, each with its target and its split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import (
    Config,
    DataConfig,
    Experiment,
    ModelConfig,
    SplitConfig,
    StepsConfig,
    TargetConfig,
)
from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY, read_manifest
from depmm.corpora.splits import make_folds, make_split
from depmm.data.dataset import SessionDataset
from depmm.errors import DepmmError
from depmm.store.extract import read_index
from depmm.store.sessions import SessionStore


class DataError(DepmmError):
    """Sessions and a task that do not fit; names the column, the values and the remedy."""


@dataclass(frozen=True)
class ExperimentData:
    """What an experiment works on.

    Attributes
    ----------
    sessions : manifest rows that take part, with ``target``, ``split`` and the columns of
        ``describe_sessions``; row = dataset index
    dataset : their signals
    score_range : lowest and highest score or level; (0, 1) for classes
    left_out : how many sessions do not take part, by reason
    """

    sessions: pd.DataFrame
    dataset: SessionDataset
    score_range: tuple[float, float]
    left_out: dict[str, int]

    def indices(self, split: str) -> list[int]:
        """Dataset indices of a split's sessions."""
        return np.flatnonzero(self.sessions["split"] == split).tolist()


def load_experiment_data(config: Experiment) -> ExperimentData:
    """Read the manifest, keep what the task and the store have, and split by person.

    Raises
    ------
    DataError : the column or its values do not fit, no step is what ``data.steps`` names, nothing
        is left, a session is too long, or has another number of steps than the model reads
    ManifestError, SplitError, StoreError : as their modules say
    """
    manifest = read_manifest(config.data.manifest)
    labelled, left_out = labelled_sessions(manifest.sessions, config.target, config.data.manifest)
    store = SessionStore(config.data.store, config.extract)
    # the corpus may have columns of the same names as the store's index
    here = labelled[SESSION_KEY].merge(read_index(store), on=SESSION_KEY, how="left")
    there = _has_modalities(here, config.data)
    left_out["not in the store, or without the modalities"] = int((~there).sum())
    here = here[there].assign(chosen_steps=lambda own: own["steps"])
    steps, masks = manifest.steps, None
    if config.data.steps != StepsConfig():
        before = len(here)
        here, steps, masks = _keep_chosen_steps(here, steps, store, config.data)
        left_out["without the modalities in every step of data.steps"] = before - len(here)
    if here.empty:
        raise DataError(
            f"none of {len(labelled)} sessions with a label has "
            f"{' or '.join(config.data.modalities)} in {config.data.store}: run depmm extract "
            "with the settings of this config, or let other steps take part (data.steps)"
        )
    # now, not in the middle of training or before the last prediction
    if len(long := here[here["steps"] > config.data.max_steps]):
        raise DataError(
            f"session {'/'.join(long[SESSION_KEY].iloc[0])} has {long['steps'].iloc[0]:.0f} steps, "
            f"data.max_steps is {config.data.max_steps}: raise it, or make longer steps"
        )
    if isinstance(config, Config):
        _check_steps(here, config.model)
    sessions, score_range = labelled.loc[here.index].reset_index(drop=True), (0.0, 1.0)
    if config.target.kind != "binary":
        sessions, score_range = _scale(sessions, config.target)
    split = make_split(sessions, config.split, _classes(sessions, config.target))
    sessions = sessions.drop(columns="split").merge(split, on=SUBJECT_KEY, how="left")
    sessions = describe_sessions(sessions, steps, here["audio_s"].reset_index(drop=True))
    dataset = SessionDataset(sessions, store, config.data, config.seed, masks)
    return ExperimentData(
        sessions,
        dataset,
        score_range,
        {reason: count for reason, count in left_out.items() if count},
    )


def _has_modalities(sessions: pd.DataFrame, data: DataConfig) -> pd.Series:
    """Whether the store holds one of the modalities of each session, bool."""
    has = {"audio": sessions["audio_s"] > 0, "face": sessions["frames_with_face"] > 0}
    streams = sessions["streams"].fillna("").str.split()
    for name, stream in data.features.items():
        has[name] = streams.map(lambda found, stream=stream: stream in found)
        if not has[name].any():
            known = sorted({entry for found in streams for entry in found})
            raise DataError(
                f"data.features.{name}: no session in {data.store} has the stream "
                f"{stream!r}; there are {', '.join(known) or 'none'}"
            )
    return pd.concat([has[name] for name in data.modalities], axis=1).any(axis=1)


def _keep_chosen_steps(
    sessions: pd.DataFrame, steps: pd.DataFrame, store: SessionStore, data: DataConfig
) -> tuple[pd.DataFrame, pd.DataFrame, list[np.ndarray]]:
    """Keep the steps of ``data.steps``, and the sessions that have a modality in one of them.

    Returns
    -------
    the sessions, with their number of ``chosen_steps``; the steps; for each session which of all
    its steps take part, [L] bool
    """
    chosen = choose_steps(steps, data.steps)
    of_session = chosen.groupby([steps[name] for name in SESSION_KEY])
    found = {key: own.to_numpy() for key, own in of_session}
    masks = [found[key] for key in sessions[SESSION_KEY].itertuples(index=False, name=None)]
    shown = SessionDataset(sessions, store, data, step_masks=masks)
    kept = [index for index in range(len(shown)) if shown.has_signal(index)]
    masks = [masks[index] for index in kept]
    sessions = sessions.iloc[kept]
    return sessions.assign(chosen_steps=[mask.sum() for mask in masks]), steps[chosen], masks


def choose_steps(steps: pd.DataFrame, only: StepsConfig) -> pd.Series:
    """Find the steps that take part.

    Parameters
    ----------
    steps : of a manifest
    only : the tasks and valences that take part

    Returns
    -------
    bool, index of ``steps``

    Raises
    ------
    DataError : a task or valence that no step has
    """
    chosen = pd.Series(True, steps.index)
    for name, wanted in only.model_dump().items():
        if not wanted:
            continue
        known = sorted(steps[name].dropna().unique())
        if unknown := [value for value in wanted if value not in known]:
            raise DataError(
                f"data.steps.{name}: no step is {unknown[0]!r}; there are "
                f"{', '.join(map(repr, known)) or 'none: the manifest does not say'}"
            )
        chosen &= steps[name].isin(wanted)
    return chosen


def _check_steps(sessions: pd.DataFrame, model: ModelConfig) -> None:
    """Refuse sessions with fewer steps than a model can read, or another number."""
    alone = sessions[sessions["chosen_steps"] < 2]
    if model.subtract_session_mean and len(alone):
        raise DataError(
            f"{len(alone)} of {len(sessions)} sessions have a single step, e.g. "
            f"{'/'.join(alone[SESSION_KEY].iloc[0])}, and model.subtract_session_mean leaves "
            "nothing of it: "
            "set it to false, or cut sessions into shorter steps"
        )
    if model.fixed_steps is None:
        return
    other = sessions[sessions["steps"] != model.fixed_steps]
    if len(other):
        raise DataError(
            f"{len(other)} of {len(sessions)} sessions do not have {model.fixed_steps} steps, e.g. "
            f"{'/'.join(other[SESSION_KEY].iloc[0])} ({other['steps'].iloc[0]:.0f}), but "
            f"model.fusion.fixed_steps is {model.fixed_steps}: set it to null, or leave them out"
        )


def experiment_folds(manifest: Path, target: TargetConfig, split: SplitConfig) -> pd.DataFrame:
    """Split everybody who has a label, whether or not they are in a store.

    Returns
    -------
    all folds, as ``make_folds`` gives them

    Raises
    ------
    DataError, ManifestError, SplitError : as ``load_experiment_data``
    """
    sessions, _ = labelled_sessions(read_manifest(manifest).sessions, target, manifest)
    if target.kind != "binary":
        sessions, _ = _scale(sessions, target)
    return make_folds(sessions, split, _classes(sessions, target))


def labelled_sessions(
    sessions: pd.DataFrame, target: TargetConfig, manifest: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Give each session its target; leave out those that the target does not name.

    Parameters
    ----------
    sessions : of a manifest
    target : which column and which values
    manifest : its folder, for messages

    Returns
    -------
    the sessions with a ``target`` column, and the number left out by reason
    """
    if target.column not in sessions:
        raise DataError(
            f"{manifest}: target.column {target.column!r} is not a column of "
            f"sessions.parquet, which has {', '.join(sessions.columns)}"
        )
    column = sessions[target.column]
    if target.positive:
        values = pd.Series(np.nan, sessions.index)
        values[column.isin(target.negative)] = 0.0
        values[column.isin(target.positive)] = 1.0
        seen = set(column.dropna())
        if unknown := sorted({*target.positive, *target.negative} - seen):
            raise DataError(
                f"target: no session has {target.column} = {unknown[0]!r}; there are "
                f"{', '.join(map(repr, sorted(seen)))}"
            )
    else:
        values = pd.to_numeric(column, errors="coerce").astype(float)
        wrong = column[values.isna() & column.notna()]
        if target.kind == "binary":
            wrong = column[values.notna() & ~values.isin([0, 1])] if wrong.empty else wrong
        if not wrong.empty:
            what = "0 or 1" if target.kind == "binary" else "a number"
            raise DataError(
                f"target: {target.column} of session {sessions['session'][wrong.index[0]]} is "
                f"{wrong.tolist()[0]!r}, not {what}: name target.positive and target.negative, or "
                "another column"
            )
    labelled = sessions.assign(target=values)[values.notna()].reset_index(drop=True)
    if labelled.empty:
        raise DataError(
            f"no session of {manifest} has a value in {target.column!r}: choose another "
            "target.column, or check the label table of the corpus"
        )
    return labelled, {f"no class in {target.column}": int(values.isna().sum())}


def describe_sessions(
    sessions: pd.DataFrame, steps: pd.DataFrame, sound_s: pd.Series
) -> pd.DataFrame:
    """Add what is known of each session beside its recording, for reports and their baselines.

    Parameters
    ----------
    sessions : columns corpus, subject, session; of what is added, columns that are already there
        are kept
    steps : of the manifest
    sound_s : seconds of sound in the store, index of ``sessions``

    Returns
    -------
    the sessions with ``task`` and ``valence``, null where the steps differ in it; ``n_steps``;
    ``duration_s``, seconds of all steps where the manifest says when each of them ends, otherwise
    seconds of sound: one of the two for all sessions, NaN where there is none

    Raises
    ------
    DataError : the sessions have a ``n_steps`` or ``duration_s`` of their own that is no number
    """
    own = pd.MultiIndex.from_frame(sessions[SESSION_KEY])
    of_session = steps.assign(seconds=steps["end_s"] - steps["start_s"]).groupby(SESSION_KEY)
    n_steps, timed = of_session.size(), of_session["seconds"].count()
    seconds = of_session["seconds"].sum().where(timed == n_steps).reindex(own).to_numpy()
    if np.isnan(seconds).any():
        seconds = sound_s.where(sound_s > 0).to_numpy(float)
    found = {"n_steps": n_steps.reindex(own).to_numpy(), "duration_s": seconds}
    for name in ("task", "valence"):
        kinds = steps[[*SESSION_KEY, name]].drop_duplicates()
        one = kinds[~kinds.duplicated(SESSION_KEY, keep=False)].set_index(SESSION_KEY)[name]
        found[name] = one.reindex(own).to_numpy()
    for name in {"n_steps", "duration_s"} & set(sessions):
        given = sessions[name]
        sessions = sessions.assign(**{name: pd.to_numeric(given, errors="coerce")})
        if len(wrong := given[sessions[name].isna() & given.notna()]):
            raise DataError(
                f"{name} of session {'/'.join(sessions.loc[wrong.index[0], SESSION_KEY])} is "
                f"{wrong.iloc[0]!r}, not a number: correct it, or give the column another name in "
                "the spec"
            )
    return sessions.assign(**{name: v for name, v in found.items() if name not in sessions})


def _classes(sessions: pd.DataFrame, target: TargetConfig) -> pd.Series:
    """What folds are balanced by: the classes, or halves of the scores."""
    if target.kind == "binary":
        return sessions["target"]
    return (sessions["target"] > sessions["target"].median()).astype(float)


def _scale(
    sessions: pd.DataFrame, target: TargetConfig
) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Turn scores into what is predicted, with its lowest and highest value."""
    instruments = sorted(sessions["instrument"].dropna().unique())
    scale = INSTRUMENTS[instruments[0]] if len(instruments) == 1 else INSTRUMENTS["group"]
    if target.kind == "levels":
        if not scale.levels or target.column != "score":
            raise DataError(
                f"target: levels are those of one instrument's scores, but target.column is "
                f"{target.column!r} and the sessions have {instruments}: use target.column score "
                "and one of " + ", ".join(name for name, i in INSTRUMENTS.items() if i.levels)
            )
        level = np.searchsorted(scale.levels, sessions["target"], side="right")
        # named, so that nobody reads a level as a score
        named = sessions.assign(target=level.astype(float), instrument=f"{instruments[0]} level")
        return named, (0.0, float(len(scale.levels)))
    if target.range:
        lowest, highest = target.range
    elif scale.lowest is not None and scale.highest is not None:
        lowest, highest = scale.lowest, scale.highest
    else:
        raise DataError(
            f"target: severity needs the scores of one instrument, the sessions have "
            f"{instruments}: choose sessions of one instrument, or give target.range"
        )
    outside = sessions[~sessions["target"].between(lowest, highest)]
    if len(outside):
        raise DataError(
            f"target: {target.column} of session {outside['session'].iloc[0]} of "
            f"{outside['subject'].iloc[0]} is {outside['target'].iloc[0]:g}, outside of "
            f"{lowest:g} ... {highest:g}: correct it, or give target.range"
        )
    if target.range:  # no instrument's score: named after its column
        sessions = sessions.assign(instrument=target.column)
    return sessions, (lowest, highest)
