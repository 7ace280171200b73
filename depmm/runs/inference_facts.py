"""``inference.json`` of a run: all that a prediction needs beside config and weights, without ids.

A run that was moved or shared predicts with it as in the place where it was trained: neither the
manifest nor the store nor ``predictions.parquet`` is read. It contains counts, names of corpora,
statistics of the training sessions and the calibration. The bounds of the interval of a probability
change at the predictions of validation sessions.
"""

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, ValidationError

from depmm.config import Experiment, Settings, SplitConfig
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.training_reference import TrainingReference, measure_training_reference
from depmm.evaluation.fitted_calibration import FittedCalibration, fit_calibration
from depmm.evaluation.prediction_checks import check_predictions
from depmm.files.checksums import read_bytes, read_table, write_text
from depmm.runs.folder import RunError, RunFolder
from depmm.schemas.manifest import SUBJECT_KEY

MAX_BYTES = 16 * 2**20  # of the file; that of a run has some kilobytes


class InferenceFacts(Settings):
    """What a prediction needs of the training of one model."""

    format_version: Literal[1] = Field(description="version of this file")
    fold: int = Field(ge=0)
    seed: int = Field(ge=0)
    corpora: list[str] = Field(description="ids of the corpora of the training sessions")
    instrument: str | None = Field(description="instrument of the target; null if unknown")
    training_subjects: int = Field(ge=0)
    reference: TrainingReference = Field(description="statistics of the training sessions")
    calibration: FittedCalibration = Field(description="fits on the validation subjects")


def measure_inference_facts(
    config: Experiment, data: ExperimentData, predictions: pd.DataFrame
) -> InferenceFacts:
    """Measure the facts of a trained model.

    Parameters
    ----------
    config : Experiment
        The experiment, one fold of it.
    data : ExperimentData
        Its sessions.
    predictions : DataFrame
        Predictions of every session.

    Returns
    -------
    InferenceFacts
        The facts.

    Raises
    ------
    StoreError
        If a stored session is damaged.
    """
    train = predictions[predictions["split"] == "train"]
    names = predictions["instrument"].dropna().unique()
    return InferenceFacts(
        format_version=1,
        fold=config.split.fold,
        seed=config.seed,
        corpora=sorted(map(str, train["corpus"].unique())),
        instrument=str(names[0]) if len(names) == 1 else None,
        training_subjects=len(train[SUBJECT_KEY].drop_duplicates()),
        reference=measure_training_reference(config, data),
        calibration=fit_calibration(
            check_predictions(predictions),
            config.target.kind == "binary",
            config.evaluation.threshold,
        ),
    )


def record_inference_facts(
    config: Experiment, data: ExperimentData, predictions: pd.DataFrame, path: Path
) -> None:
    """Write ``inference.json`` of a trained model.

    Parameters
    ----------
    config : Experiment
        The experiment, one fold of it.
    data : ExperimentData
        Its sessions.
    predictions : DataFrame
        Predictions of every session.
    path : Path
        The file.
    """
    facts = measure_inference_facts(config, data, predictions)
    write_text(path, facts.model_dump_json(indent=1) + "\n")


def read_inference_facts(path: Path) -> InferenceFacts:
    """Read and check ``inference.json``.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    InferenceFacts
        The facts.

    Raises
    ------
    RunError
        If the file cannot be read, or its content is not that of such a file.
    DamagedFileError
        If it does not match its checksum, or is too large.
    """
    try:
        return InferenceFacts.model_validate_json(read_bytes(path, MAX_BYTES))
    except (OSError, ValidationError) as error:
        if isinstance(error, OSError):
            where, cause = "", str(error).splitlines()[-1]
        else:
            first = error.errors()[0]
            where, cause = ".".join(map(str, first["loc"])), first["msg"]
        raise RunError(
            f"{path}: cannot be read ({f'{where}: ' if where else ''}{cause}).",
            file=path,
            setting=where or None,
            remedy="Copy the file again from the original run. If it was written by a newer "
            "version of depmm, update depmm.",
        ) from None


def load_inference_facts(run: RunFolder, config: Experiment) -> InferenceFacts:
    """Read the facts of a run, or measure them where the run has no such file.

    Parameters
    ----------
    run : RunFolder
        Folder of the run.
    config : Experiment
        Its config, whose manifest and store are read if ``inference.json`` does not exist.

    Returns
    -------
    InferenceFacts
        The facts.

    Raises
    ------
    RunError
        If there is neither the file nor what it is measured from.
    DataError, ManifestError, StoreError
        If manifest and store do not match the config.
    """
    path = run.inference
    if path.is_file():
        return read_inference_facts(path)
    if not (config.data.manifest / "sessions.parquet").is_file():
        raise RunError(
            f"{path} does not exist, as in runs of early versions of depmm. It is measured from "
            f"the data of the training, but the manifest {config.data.manifest} does not exist.",
            file=path,
            setting="data.manifest",
            value=str(config.data.manifest),
            remedy="Give the folders: data.manifest=FOLDER data.store=FOLDER.",
        )
    trained_split = SplitConfig(kind="file", file=run.split)
    data = load_experiment_data(config.model_copy(update={"split": trained_split}))
    return measure_inference_facts(config, data, read_table(run.predictions))
