"""Selection of the steps that a model reads, by ``data.steps``."""

import numpy as np
import pandas as pd

from depmm.config import DataConfig, ModelConfig, StepsConfig
from depmm.data.dataset import SessionDataset
from depmm.data.errors import DataError
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.sessions import SessionStore


def select_steps(steps: pd.DataFrame, settings: StepsConfig) -> pd.Series:
    """Select the first steps of each session, and of them those of given tasks and valences.

    Parameters
    ----------
    steps : DataFrame
        Steps of a manifest.
    settings : StepsConfig
        Number of steps, tasks and valences; an empty list allows all of them.

    Returns
    -------
    Series of bool
        Whether each step is selected, with the index of ``steps``.

    Raises
    ------
    DataError
        If no step has a task or valence of the settings.
    """
    selected = pd.Series(True, steps.index)
    if settings.first is not None:
        selected &= steps["step"] < settings.first
    for name, values in (("task", settings.task), ("valence", settings.valence)):
        if not values:
            continue
        known = sorted(steps[name].dropna().unique())
        if unknown := [value for value in values if value not in known]:
            names = ", ".join(map(repr, known))
            raise DataError(
                f"data.steps.{name}: no step has the {name} {unknown[0]!r}.",
                setting=f"data.steps.{name}",
                column=name,
                value=unknown[0],
                remedy=f"The manifest has {names}."
                if known
                else f"The manifest does not name the {name} of any step.",
            )
        selected &= steps[name].isin(values)
    return selected


def keep_selected_steps(
    sessions: pd.DataFrame, steps: pd.DataFrame, store: SessionStore, data: DataConfig
) -> tuple[pd.DataFrame, pd.DataFrame, list[np.ndarray]]:
    """Keep the steps of ``data.steps``, and the sessions that have a modality in one of them.

    Parameters
    ----------
    sessions : DataFrame
        Sessions that are in the store.
    steps : DataFrame
        Steps of the manifest.
    store : SessionStore
        Store of the sessions.
    data : DataConfig
        Steps and modalities.

    Returns
    -------
    sessions : DataFrame
        The remaining sessions, with a column ``n_selected_steps``.
    steps : DataFrame
        The selected steps of all sessions.
    step_masks : list of ndarray of bool, shape (L,)
        The selected steps of each remaining session.

    Raises
    ------
    DataError
        If no step has a task or valence of the settings.
    StoreError
        If a session is damaged.
    """
    selected = select_steps(steps, data.steps)
    by_session = selected.groupby([steps[name] for name in SESSION_KEY])
    mask_of = {key: mask.to_numpy() for key, mask in by_session}
    masks = [mask_of[key] for key in sessions[SESSION_KEY].itertuples(index=False, name=None)]
    dataset = SessionDataset(sessions, store, data, step_masks=masks)
    counts = count_present_steps(dataset)
    remaining = np.flatnonzero(counts).tolist()
    masks = [masks[index] for index in remaining]
    sessions = sessions.iloc[remaining].assign(n_selected_steps=counts[remaining])
    return sessions, steps[selected], masks


def count_present_steps(dataset: SessionDataset) -> np.ndarray:
    """Count the steps of each session that a model reads, in the modality that has most of them.

    Parameters
    ----------
    dataset : SessionDataset
        N sessions; steps that its masks leave out are not counted.

    Returns
    -------
    ndarray of int, shape (N,)
        Numbers of steps.

    Raises
    ------
    StoreError
        If a session is damaged.
    """
    return np.array(
        [
            max(int(steps.sum()) for steps in dataset.present_steps(index).values())
            for index in range(len(dataset))
        ],
        int,
    )


def check_step_counts(sessions: pd.DataFrame, data: DataConfig, model: ModelConfig | None) -> None:
    """Check that settings and model allow the number of steps of every session.

    Parameters
    ----------
    sessions : DataFrame
        Sessions with the columns ``n_steps`` and ``n_selected_steps``.
    data : DataConfig
        Settings with the largest number of steps.
    model : ModelConfig or None
        Settings of the model. None for classical models, which allow any number of steps.

    Raises
    ------
    DataError
        If a session has too many steps, only one step although the session mean is subtracted, or
        another number of steps than a model of fixed length requires.
    """
    # the positions that the model gets; masked steps count
    sessions = sessions.assign(n_steps=sessions["n_steps"].clip(upper=data.steps.first))
    too_long = sessions[sessions["n_steps"] > data.max_steps]
    if len(too_long):
        raise _count_error(
            too_long,
            len(sessions),
            "data.max_steps",
            f"more than data.max_steps {data.max_steps}",
            "Raise data.max_steps, set data.steps.first, or index the corpus with longer steps.",
        )
    if model is None:
        return
    single = sessions[sessions["n_selected_steps"] < 2]
    if model.subtract_session_mean and len(single):
        raise _count_error(
            single,
            len(sessions),
            "model.subtract_session_mean",
            "a single step, which model.subtract_session_mean turns into zeros",
            "Set model.subtract_session_mean to false, or index the corpus with shorter steps.",
            count_column="n_selected_steps",
        )
    if model.num_steps is None:
        return
    other = sessions[sessions["n_steps"] != model.num_steps]
    if len(other):
        any_number = "Set model.fusion.num_steps to null"
        if model.fusion.kind == "dep_former_release":
            any_number = "Use model.fusion.kind dep_former with model.fusion.num_steps null"
        raise _count_error(
            other,
            len(sessions),
            "model.fusion.num_steps",
            f"other than model.fusion.num_steps {model.num_steps}",
            f"{any_number}, which reads any number of steps; set data.steps.first if the sessions "
            "have more steps; or leave these sessions out.",
        )


def _count_error(
    wrong: pd.DataFrame,
    total: int,
    setting: str,
    rule: str,
    remedy: str,
    count_column: str = "n_steps",
) -> DataError:
    corpus, subject, session = wrong[SESSION_KEY].iloc[0]
    count = int(wrong[count_column].iloc[0])
    return DataError(
        f"{setting}: {len(wrong)} of {total} sessions have a number of steps that does not fit "
        f"({rule}), for example {corpus}/{subject}/{session} with {count}.",
        setting=setting,
        subject=subject,
        session=session,
        value=count,
        remedy=remedy,
    )
