"""Predictions of classical models for one recording."""

import numpy as np
import pandas as pd

from depmm.config import ClassicalConfig
from depmm.data.dataset import SessionDataset
from depmm.data.measured_steps import MeasuredSteps
from depmm.interpret.attribution.measure_occlusion import occlude_measured_steps
from depmm.models.classical.model import ClassicalModel, build_front_end


def predict_classical(
    config: ClassicalConfig,
    models: dict[tuple[int, int], ClassicalModel],
    dataset: SessionDataset,
) -> tuple[pd.DataFrame, list[np.ndarray], float]:
    """Measure a recording and predict it.

    Parameters
    ----------
    config : ClassicalConfig
        Config of one of the models, whose settings ``data`` are equal.
    models : dict of tuple of int to ClassicalModel
        The models by (fold, seed).
    dataset : SessionDataset
        One session.

    Returns
    -------
    predictions : DataFrame
        One row per model with fold, seed and ``y_prob`` or ``score_pred``.
    attributions : list of ndarray of float64, shape (L,)
        Occlusion of each step, one array per model; NaN for a step that is not measured.
    missing : float
        Largest share of the inputs of a model that are missing, in [0, 1]; the model replaces them
        by medians of its training rows.
    """
    n_steps = dataset.store.read_summary(*dataset.session_keys[0])["n_steps"]
    predictions, attributions, missing = [], [], 0.0
    measured: dict[str, MeasuredSteps] = {}
    for model in models.values():
        key = model.settings.model_dump_json(exclude={"model", "refit", "fusion"})
        if key not in measured:
            front_end = build_front_end(model.settings)
            measured[key] = MeasuredSteps(dataset, model.settings, front_end, model.columns)
        steps = measured[key]
        inputs = steps.inputs()
        measures = np.concatenate([values.ravel() for values in inputs.measures.values()])
        missing = max(missing, float(np.isnan(measures).mean()))
        output = model.predict(inputs.measures, inputs.session)
        predictions.append(float(model.to_prediction(output)[0]))
        attribution = np.full(n_steps, np.nan)
        attribution[steps.rows[steps.measured(), 1]] = occlude_measured_steps(model, steps, 0)
        attributions.append(attribution[: config.data.steps.first])
    column = "y_prob" if config.target.kind == "binary" else "score_pred"
    table = pd.DataFrame(list(models), columns=["fold", "seed"]).assign(**{column: predictions})
    return table, attributions, missing
