"""Initial weights from files of published weights and from other runs."""

import json
import logging
from dataclasses import asdict

from depmm.config import Config, TrainingConfig
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.data.experiment_data import ExperimentData
from depmm.evaluation.pretraining import pretrained_encoders, pretraining_overlap
from depmm.files.checksums import write_text
from depmm.models.model import DepressionModel
from depmm.models.saved import CONFIG_FILE
from depmm.models.weights import WeightsReport, load_run, load_weights
from depmm.runs.folder import RunFolder
from depmm.runs.lineage import check_initialization

logger = logging.getLogger(__name__)


def initialize_weights(
    model: DepressionModel,
    settings: TrainingConfig,
    run: RunFolder,
    data: ExperimentData,
    write_report: bool,
) -> None:
    """Load the published weights and the weights of another run that the config specifies.

    Parameters
    ----------
    model : DepressionModel
        A new model.
    settings : TrainingConfig
        ``weights`` and ``init_from``.
    run : RunFolder
        Run whose ``initialization_report.json`` lists the loaded tensors.
    data : ExperimentData
        Sessions of the run; weights that depend on its test subjects are rejected.
    write_report : bool
        Whether this process writes the report.

    Raises
    ------
    RunError
        If the weights of ``init_from`` depend on a test subject.
    ValueError
        If the weights do not match the model.
    """
    reports = load_initial_weights(model, settings, data)
    for report in reports:
        logger.info("%s", report)
    if reports and write_report:
        content = [asdict(report) | {"path": str(report.path)} for report in reports]
        write_text(run.initialization_report, json.dumps(content, indent=1))


def load_initial_weights(
    model: DepressionModel, settings: TrainingConfig, data: ExperimentData
) -> list[WeightsReport]:
    """Load the initial weights that a config specifies.

    Parameters
    ----------
    model : DepressionModel
        A new model.
    settings : TrainingConfig
        ``weights`` and ``init_from``.
    data : ExperimentData
        Sessions of the run; weights that depend on its test subjects are rejected.

    Returns
    -------
    list of WeightsReport
        The loaded tensors, by file.

    Raises
    ------
    RunError
        If the weights of ``init_from`` depend on a test subject.
    ValueError
        If the weights do not match the model.
    """
    reports = [
        load_weights(model.get_submodule(f"encoders.{name}.backbone.resnet"), path)
        for name, path in settings.weights.items()
    ]
    if settings.init_from is not None:
        check_initialization(settings.init_from, data.sessions, data.facts)
        if (settings.init_from / CONFIG_FILE).is_file():  # else only weights were copied
            DepressionModel.check_saved(settings.init_from)
        reports.append(load_run(model, settings.init_from))
    return reports


def log_pretraining(config: Config, data: ExperimentData) -> None:
    """Log the licences of pre-trained encoders, and warn if their corpora are those of a run.

    Parameters
    ----------
    config : Config
        The experiment.
    data : ExperimentData
        Its sessions, and the facts about their corpora.
    """
    for name, encoder in pretrained_encoders(config).items():
        logger.info(
            "%s: %s, licence: %s, pre-trained on: %s",
            name,
            encoder.source,
            encoder.license or "not stated",
            ", ".join(encoder.pretrained_on) or "not stated",
        )
    corpora = {
        corpus: data.facts.get(corpus, CorpusFacts()) for corpus in data.sessions["corpus"].unique()
    }
    for clause in pretraining_overlap(config, corpora):
        logger.warning(
            "Pre-trained weights were trained on data of this run: %s. Results on this corpus may "
            "be too optimistic; use weights that were trained on other corpora.",
            clause,
        )
