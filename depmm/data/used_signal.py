"""How much of the recordings a model reads, and what is left out for which reason.

The parts are those of evaluation, without augmentation; training reads parts of the same length at
random positions. A second of a recording that several steps contain is counted once.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from depmm.config import ClassicalConfig, DataConfig, Experiment
from depmm.data.dataset import SessionDataset
from depmm.data.signals.build import build_signal
from depmm.data.signals.signal import ReadSession
from depmm.data.signals.used import UsedSignal
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.session_file import SessionReader


def list_limited_modalities(config: Experiment) -> list[str]:
    """List the modalities of which a model reads the part that ``data`` limits.

    Sets of measures other than ``mfcc`` and ``stream`` are computed from whole steps.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment.

    Returns
    -------
    list of str
        All modalities of a network.
    """
    if not isinstance(config, ClassicalConfig):
        return list(config.data.modalities)
    measures = config.classical.measures
    return [name for name, sets in measures.items() if {"mfcc", "stream"} & set(sets)]


def measure_used_signal(
    dataset: SessionDataset,
    steps: pd.DataFrame,
    max_crops: Mapping[str, int | None] = MappingProxyType({}),
) -> dict[str, UsedSignal]:
    """Measure how much of all sessions of a dataset is read.

    Parameters
    ----------
    dataset : SessionDataset
        The sessions.
    steps : DataFrame
        Steps of the manifest, of at least these sessions.
    max_crops : mapping of str to int or None, optional
        As in :func:`measure_session`.

    Returns
    -------
    dict of str to UsedSignal
        Amounts by modality.

    Raises
    ------
    StoreError
        If a stored session is missing or damaged.
    """
    files = steps.groupby(SESSION_KEY)["audio"].agg(list)
    total: dict[str, UsedSignal] = {}
    for index, key in enumerate(dataset.session_keys):
        mask = None if dataset.step_masks is None else dataset.step_masks[index]
        with dataset.store.read(*key) as reader:
            amounts = measure_session(
                reader, dataset.settings, files[key], mask, max_crops=max_crops
            )
            for name, used in amounts.items():
                total.setdefault(name, UsedSignal(used.unit)).add(used)
    return total


def measure_session(
    reader: SessionReader,
    data: DataConfig,
    files: Sequence[str | None],
    step_mask: np.ndarray | None = None,
    duration_s: float | None = None,
    max_crops: Mapping[str, int | None] = MappingProxyType({}),
) -> dict[str, UsedSignal]:
    """Measure how much of a stored session is read.

    Parameters
    ----------
    reader : SessionReader
        The session.
    data : DataConfig
        Modalities, and the part of a step that is read.
    files : sequence of str or None, length L
        File with the sound of each step.
    step_mask : ndarray of bool, shape (L,), optional
        Steps that are read; by default all of them.
    duration_s : float, optional
        Length of the recording in seconds, if all steps are parts of it; by default, a recording
        ends with its last step.
    max_crops : mapping of str to int or None, optional
        Largest number of crops of a step that the encoder of a modality reads; by default all.

    Returns
    -------
    dict of str to UsedSignal
        Amounts by modality.
    """
    n_steps = reader.summary["n_steps"]
    mask = np.ones(n_steps, bool) if step_mask is None else step_mask
    return {
        name: build_signal(name, data).measure(
            ReadSession(reader, files, mask, duration_s, max_crops.get(name))
        )
        for name in data.modalities
    }
