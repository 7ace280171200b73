"""Compute what training would compute before its first epoch, also on many computers at once."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from depmm.config import ClassicalConfig, Config, Experiment, load_experiment
from depmm.cores import local_cores
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.precompute import ensure_embeddings, ensure_streams, select_sessions
from depmm.device import choose_device
from depmm.measures.sets import SET_NAMES
from depmm.measures.store import read_session_measures
from depmm.models.model import build_model
from depmm.shards import Shard, find_shard
from depmm.training.initialization import load_initial_weights


@dataclass(frozen=True)
class PrecomputeReport:
    """What was computed.

    Attributes
    ----------
    shard : Shard
        The part of the sessions.
    n_sessions : int
        Sessions of the part.
    stored : list of str
        What is stored of these sessions: ``voice``, modalities whose encoder is frozen, or sets of
        measures.
    """

    shard: Shard
    n_sessions: int
    stored: list[str]


def precompute(
    config: Experiment | Path | str,
    overrides: Iterable[str] | None = None,
    shard: Shard | None = None,
    workers: int | None = None,
) -> PrecomputeReport:
    """Compute embeddings of frozen encoders, contours of the voice and measures of a config.

    Everything is stored in the folder of the store, where training and explanations find it. What
    is there already is not computed again, so that an interrupted call continues.

    Parameters
    ----------
    config : Config, ClassicalConfig, Path or str
        The experiment. Candidates of its tuning are not considered.
    overrides : iterable of str, optional
        Settings as ``key=value``.
    shard : Shard, optional
        The part of the sessions. By default, it is read from the variables of a launcher or of
        SLURM; without these, all sessions.
    workers : int, optional
        Number of processes for contours and measures; by default, the cores that this process may
        use. 0: this process. Embeddings are computed in this process, on its GPU if there is one.

    Returns
    -------
    PrecomputeReport
        Numbers of sessions.

    Raises
    ------
    ConfigError
        If a setting cannot be used.
    DepmmError
        If manifest, store or initial weights do not match the config.
    """
    config = load_experiment(config, overrides)
    shard = find_shard() if shard is None else shard
    if workers is None:
        workers = local_cores() if local_cores() > 1 else 0  # a process of its own starts slowly
    data = load_experiment_data(config)
    n_sessions = len(select_sessions(data, shard))
    stored = []
    if "voice" in config.data.features.values():
        ensure_streams(data, shard, workers)
        stored.append("voice")
    if isinstance(config, Config):
        stored += _embed(config, data, shard)
    elif isinstance(config, ClassicalConfig):
        keys = [data.dataset.session_keys[index] for index in select_sessions(data, shard)]
        sets = {name.partition(".")[0] for names in config.classical.measures.values()
                for name in map(str, names)}  # fmt: skip
        for name in (name for name in SET_NAMES if name in sets):
            read_session_measures(data.dataset.store, keys, [name], workers)
            stored.append(name)
    return PrecomputeReport(shard, n_sessions, stored)


def _embed(config: Config, data: ExperimentData, shard: Shard) -> list[str]:
    """Embed the sessions with the weights that training would start from."""
    if not config.data.precompute_embeddings:
        return []
    torch.manual_seed(config.seed)
    model = build_model(
        config.model, config.target.kind, data.score_range, config.target.output
    ).eval()
    load_initial_weights(model, config.training, data)
    device = choose_device()
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return list(ensure_embeddings(model.encoders, data, device, shard).dataset.embeddings)
