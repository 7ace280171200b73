"""Occlusion of steps in classical models: a step is replaced by the mean of its session."""

import warnings
from collections.abc import Sequence

import numpy as np

from depmm.data.measured_steps import MeasuredSteps
from depmm.models.classical.model import ClassicalModel

MAX_VARIANTS = 64  # sessions with one replaced step that are predicted together


def occlude_measured_steps(
    model: ClassicalModel,
    measured: MeasuredSteps,
    session: int,
    modalities: Sequence[str] | None = None,
) -> np.ndarray:
    """Compute the logit with each step minus the logit with the session mean in its place.

    A measure that the step does not have stays missing.

    Parameters
    ----------
    model : ClassicalModel
        The fitted model.
    measured : MeasuredSteps
        Measures of the steps.
    session : int
        Row of the dataset.
    modalities : sequence of str, optional
        Modalities whose measures are replaced; by default all of them.

    Returns
    -------
    ndarray of float64, shape (R,)
        Change of the logit, or of the score before it is clipped, for each step that
        ``measured.measured`` marks; 0 in a session of one step, and NaN for a step without any
        measure of the modalities.
    """
    kept = np.flatnonzero(measured.measured() & (measured.rows[:, 0] == session))
    steps = measured.rows[kept, 1]
    values = {name: table[kept] for name, table in measured.values.items()}
    whole = measured.pool(steps, np.zeros(len(kept), int), values)
    logit = model.predict(whole.measures, whole.session)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a measure without a value is NaN
        means = {name: np.nanmean(table, axis=0) for name, table in values.items()}
    changed = list(values) if modalities is None else list(modalities)
    occlusion = np.empty(len(kept))
    for start in range(0, len(kept), MAX_VARIANTS):
        replaced = np.arange(start, min(start + MAX_VARIANTS, len(kept)))
        n_variants, n_steps = len(replaced), len(kept)
        variant = np.repeat(np.arange(n_variants), n_steps)
        stacked = {name: np.tile(table, (n_variants, 1)) for name, table in values.items()}
        for name in changed:
            own = values[name][replaced]
            mean = np.where(np.isnan(own), np.nan, means[name])
            stacked[name][np.arange(n_variants) * n_steps + replaced] = mean
        inputs = measured.pool(np.tile(steps, n_variants), variant, stacked)
        occlusion[replaced] = logit - model.predict(inputs.measures, inputs.session)
    has_value = np.any([measured.have_modality(name)[kept] for name in changed], axis=0)
    return np.where(has_value, occlusion, np.nan)
