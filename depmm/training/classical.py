"""Classical models: measures of behaviour and scikit-learn, on the splits of the networks.

Lu et al. (2021) compare their network with a Gaussian process, an SVM, k-nearest neighbours and
AdaBoost, all on MFCC, but do not describe how the MFCC are pooled. The default pooling was fixed
before any result: mean and standard deviation over the frames of a step, then the mean over the
steps of a session, because labels belong to sessions.

Imputation, scaling and estimator are fitted on training subjects only. Validation subjects are used
for the decision threshold and the calibration, which the evaluation computes from their
predictions, and with ``classical.refit`` for the model that predicts test subjects.

References
----------
Lu et al., "Speech depression recognition based on attentional residual network", Front. Biosci.
2021.
"""

import logging
import warnings

import numpy as np
import pandas as pd

from depmm.config import ClassicalConfig
from depmm.data.data_flow import record_data_summary
from depmm.data.errors import DataError
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.measured_steps import ClassicalInputs, MeasuredSteps
from depmm.evaluation.batch_prediction import prediction_table
from depmm.files.checksums import write_table, write_text
from depmm.files.csv_text import to_csv
from depmm.models.classical.model import ClassicalModel, build_front_end, fit_model
from depmm.models.classical.saved import save_model
from depmm.runs.folder import RunFolder
from depmm.runs.inference_facts import record_inference_facts
from depmm.schemas.manifest import SUBJECT_KEY
from depmm.schemas.runs import MEASURES

logger = logging.getLogger(__name__)


def train_classical(
    config: ClassicalConfig, run: RunFolder, inner: bool = False, log_common: bool = True
) -> None:
    """Fit a classical model on the training subjects and predict every session.

    The run has ``model.skops`` and ``measures.csv`` instead of the model and history of a network.
    Equal seeds give equal predictions; the seed only affects the random choices of the estimators.

    Parameters
    ----------
    config : ClassicalConfig
        The experiment, one fold of it.
    run : RunFolder
        Folder of the run; a finished run is not changed.
    inner : bool, default False
        Whether it is an inner run of a tuning, of which only the predictions are needed.
    log_common : bool, default True
        As in ``run_experiment``.

    Raises
    ------
    ConfigError
        If the folder contains a run with another config.
    DataError, StoreError, SplitError, ManifestError, MeasureError
        If the data do not match the config.
    RunError
        If the split has changed since the finished training.
    ModelError
        If there are more MFCC than mel bands.
    """
    data = load_experiment_data(config)
    if run.finished:
        run.open(config)
        run.check_split(data.subjects())
        logger.info("%s: already finished", run.path)
        return
    with run.locked():
        run.open(config)
        _fit_and_predict(config, run, data, inner, log_common)


def _fit_and_predict(
    config: ClassicalConfig, run: RunFolder, data: ExperimentData, inner: bool, log_common: bool
) -> None:
    run.write_split(data.subjects())
    for reason, count in data.excluded.items() if log_common else ():
        logger.info("excluded: %d sessions (%s)", count, reason)
    if not inner:
        record_data_summary(config, data, run.data_summary, log=log_common)

    front_end = build_front_end(config.classical)
    inputs = MeasuredSteps(data.dataset, config.classical, front_end).inputs()
    split = data.sessions["split"].to_numpy()[inputs.session]
    fitted = split == "train"
    model = fit_to(config, data, inputs, fitted)
    outputs = model.predict(inputs.measures, inputs.session)
    if config.classical.refit:
        fitted = split != "test"
        model = fit_to(config, data, inputs, fitted)
        is_test = data.sessions["split"].to_numpy() == "test"
        outputs = np.where(is_test, model.predict(inputs.measures, inputs.session), outputs)
    write_text(run.measures, to_csv(describe_inputs(inputs, fitted)))
    save_model(model, run.classical_model)
    table = pd.DataFrame({"index": range(len(outputs)), "prediction": model.to_prediction(outputs)})
    predictions = prediction_table(config, data, table)
    if not inner:
        record_inference_facts(config, data, predictions, run.inference)
    write_table(run.predictions, predictions)
    sessions = np.unique(inputs.session[fitted])
    subjects = data.sessions.iloc[sessions][SUBJECT_KEY].drop_duplicates()
    logger.info(
        "%s: %s fitted on %d sessions of %d subjects, %d predictions written",
        run.path,
        config.classical.model.kind,
        len(sessions),
        len(subjects),
        len(outputs),
    )


def fit_to(
    config: ClassicalConfig, data: ExperimentData, inputs: ClassicalInputs, fitted: np.ndarray
) -> ClassicalModel:
    """Fit the model of an experiment to some rows, and log the missing values.

    Parameters
    ----------
    config : ClassicalConfig
        The experiment.
    data : ExperimentData
        Its sessions, with target.
    inputs : ClassicalInputs
        Measures of all rows.
    fitted : ndarray of bool, shape (R,)
        Rows that the model is fitted to.

    Returns
    -------
    ClassicalModel
        The fitted model.

    Raises
    ------
    DataError
        If a set of measures has no value in the rows.
    """
    values = {name: table[fitted] for name, table in inputs.measures.items()}
    check_sets_have_values(inputs, fitted)
    missing = {name: int(np.isnan(table).sum()) for name, table in values.items()}
    for name, count in missing.items():
        if count:
            logger.info(
                "%s: %d of %d values of the training rows are missing and replaced by medians",
                name,
                count,
                values[name].size,
            )
    return fit_model(
        config.classical,
        {name: [column.name for column in columns] for name, columns in inputs.columns.items()},
        values,
        data.sessions["target"].to_numpy(float)[inputs.session[fitted]],
        None if config.target.kind == "binary" else data.score_range,
        config.seed,
    )


def check_sets_have_values(inputs: ClassicalInputs, fitted: np.ndarray) -> None:
    """Check that each set of measures has a value in a training row.

    Otherwise a run would name measures, or a whole modality, that its model does not use.

    Parameters
    ----------
    inputs : ClassicalInputs
        Measures of all rows.
    fitted : ndarray of bool, shape (R,)
        Rows that the model is fitted to.

    Raises
    ------
    DataError
        If all values of a set are missing.
    """
    for modality, columns in inputs.columns.items():
        known = np.isfinite(inputs.measures[modality][fitted]).any(axis=0)
        for name in dict.fromkeys(column.set_name for column in columns):
            used = [column.set_name == name for column in columns]
            if known[used].any():
                continue
            reason = ""
            if name == "face":
                reason = " Faces that a corpus delivers aligned have neither landmarks nor pose."
            raise DataError(
                f"classical.measures.{modality}: no training row has a value of {name}.{reason}",
                setting=f"classical.measures.{modality}",
                value=name,
                remedy="Remove the set, or extract the recordings that it needs.",
            )


def describe_inputs(inputs: ClassicalInputs, fitted: np.ndarray) -> pd.DataFrame:
    """Describe the inputs of a model and count their missing values.

    Parameters
    ----------
    inputs : ClassicalInputs
        Measures of all rows.
    fitted : ndarray of bool, shape (R,)
        Rows that the model is fitted to.

    Returns
    -------
    DataFrame
        The columns of ``MEASURES``.
    """
    rows = []
    for modality, columns in inputs.columns.items():
        values = inputs.measures[modality][fitted]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without a value is NaN
            means, stds = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        missing = np.isnan(values).sum(axis=0)
        for column, mean, std, count in zip(columns, means, stds, missing, strict=True):
            rows.append(
                {
                    "modality": modality,
                    "set": column.set_name,
                    "group": column.measure.group,
                    "input": column.name,
                    "statistic": column.statistic,
                    "unit": column.measure.unit,
                    "rows": len(values),
                    "missing": int(count),
                    "mean": mean,
                    "std": std,
                    "description": column.measure.description,
                }
            )
    return MEASURES.build(rows)
