"""Untrained models of the tiny experiment, and encoded sessions of its corpus."""

import torch

from depmm.config import load_config
from depmm.data.batch import collate
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.inputs import Inputs
from depmm.models.model import DepressionModel, build_model


def build_untrained(corpus, *overrides: str) -> tuple[DepressionModel, ExperimentData]:
    """Build the model of a tiny experiment and read its data."""
    config = load_config(corpus.config, list(overrides))
    torch.manual_seed(0)
    data = load_experiment_data(config)
    target = config.target
    return build_model(config.model, target.kind, data.score_range, target.output).eval(), data


def collate_sessions(data: ExperimentData, indices: list[int]) -> dict[str, Inputs]:
    """Collate sessions of an experiment."""
    return collate([data.dataset[None, index] for index in indices])[1]


def encode_sessions(model: DepressionModel, data: ExperimentData, indices: list[int]):
    """Encode sessions of an experiment."""
    return model.encode(collate_sessions(data, indices))
