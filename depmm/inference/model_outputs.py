"""Outputs of the models of a run for one recording, and the attribution of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from depmm.config import ClassicalConfig
from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.device import float32_precision
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.inference.classical_prediction import predict_classical
from depmm.inference.errors import InferenceError
from depmm.inference.recording_steps import RecordingSteps
from depmm.inference.trained_run import TrainedRun
from depmm.interpret.attribution.methods import TRAINING
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.removal import (
    Reference,
    find_present_steps,
    make_session_reference,
)
from depmm.models.model import DepressionModel
from depmm.runs.step_reference import StepReference


@dataclass(frozen=True)
class Reading:
    """A recording as some models of a run read it.

    Attributes
    ----------
    run : TrainedRun
        The models, whose settings ``data`` are equal.
    divided : RecordingSteps
        The steps that they read.
    dataset : SessionDataset
        The recording as its only session.
    """

    run: TrainedRun
    divided: RecordingSteps
    dataset: SessionDataset


def run_models(
    run: TrainedRun, file: Path, readings: Sequence[Reading]
) -> tuple[pd.DataFrame, np.ndarray, float]:
    """Predict a recording with every model of a run.

    Parameters
    ----------
    run : TrainedRun
        The run.
    file : Path
        The recording, for messages.
    readings : sequence of Reading
        The recording as each of its models reads it.

    Returns
    -------
    predictions : DataFrame
        One row per model with fold, seed and ``y_prob`` or ``score_pred``, and ``gate_std`` if it
        has sampled gates.
    attribution : ndarray of float64, shape (L,)
        Mean occlusion of each step over the models that read it; NaN for a step that none reads.
    missing : float
        Largest share of missing inputs of a classical model.

    Raises
    ------
    InferenceError
        If a prediction is not finite, or no input of a classical model could be measured.
    """
    tables, attributions, missing = [], [], 0.0
    for reading in readings:
        table, of_models, share = _run_part(file, reading)
        tables.append(table)
        attributions += of_models
        missing = max(missing, share)
    rows = pd.concat(tables).set_index(["fold", "seed"]).loc[list(run.configs)]
    return rows.reset_index(), _average(attributions), missing


def _average(attributions: Sequence[np.ndarray]) -> np.ndarray:
    """Average over the models that read a step; some may read more steps than others."""
    rows = pd.DataFrame([pd.Series(attribution) for attribution in attributions])
    return rows.mean(axis=0).to_numpy(float)


def _run_part(file: Path, reading: Reading) -> tuple[pd.DataFrame, list[np.ndarray], float]:
    """Return one row, and one attribution, per model."""
    run, dataset = reading.run, reading.dataset
    if isinstance(run.config, ClassicalConfig):
        table, attributions, missing = predict_classical(run.config, run.classical_models, dataset)
        if missing == 1:
            raise InferenceError(
                f"{file}: none of the measures that the model reads could be computed.",
                file=file,
                setting="classical.measures",
                remedy="Check that the recording has a voice or face, and is long enough.",
            )
        return table, attributions, missing
    words = [None if pd.isna(text) else text for text in reading.divided.read["text"]]
    column = "y_prob" if run.description["kind"] == "binary" else "score_pred"
    rows, attributions = [], []
    for (fold, seed), model in run.models.items():
        output = predict_sessions(
            model, dataset, [0], 1, n_gate_samples=run.config.evaluation.n_gate_samples
        ).iloc[0]
        if not np.isfinite(output["prediction"]):
            raise InferenceError(
                f"{file}: the model of fold {fold}, seed {seed} predicts {output['prediction']}.",
                file=file,
                value=output["prediction"],
                remedy="Check the weights of the run and the signal of the recording.",
            )
        gate_std = {"gate_std": output["gate_std"]} if "gate_std" in output else {}
        rows.append({"fold": fold, "seed": seed, column: output["prediction"], **gate_std})
        means = run.step_references.get((fold, seed))
        attributions.append(_attribution(model, dataset, means, words))
    return pd.DataFrame(rows), attributions, 0.0


@torch.no_grad()
def _attribution(
    model: DepressionModel,
    dataset: SessionDataset,
    means: StepReference | None,
    words: Sequence[str | None],
) -> np.ndarray:
    """Compute the occlusion of each step, (L,); NaN for a step without any modality."""
    device = next(model.parameters()).device
    _, inputs = next(evaluation_batches(dataset, [0], 1, device))
    with float32_precision("highest", device):
        features, masks = model.encode(inputs)
        reference = make_session_reference(features, masks)
        if means is not None:
            length = find_present_steps(masks).shape[1]
            reference = Reference(TRAINING, *means.look_up([words], length, masks))
        table = occlude_steps(model, features, masks, reference)
    attribution = np.full(next(iter(masks.values())).shape[1], np.nan)
    attribution[table["step"].to_numpy(int)] = table["occlusion"]
    return attribution
