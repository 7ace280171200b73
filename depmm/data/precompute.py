"""Compute once what the dataset reads in every epoch: embeddings of frozen encoders, contours.

The dataset reads embeddings instead of signals. The embedding of a step is computed from its
evaluation input (the middle of a long step, evenly spaced frames or those of ``frame_choice:
once``), for training too. Training then does not use random parts of long steps, but saves the time
of decoding and of a large frozen network in every epoch.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import nn

from depmm.config import StepsConfig
from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.device import float32_precision
from depmm.progress import track
from depmm.shards import WHOLE, Shard
from depmm.store.embeddings import EmbeddingStore, PrecomputableEncoder, embedding_key
from depmm.store.voice_files import store_voice
from depmm.store.voice_stream import VOICE

logger = logging.getLogger(__name__)


def select_sessions(data: ExperimentData, shard: Shard) -> list[int]:
    """Select the sessions of one of several processes, balanced by their duration.

    Parameters
    ----------
    data : ExperimentData
        The sessions.
    shard : Shard
        The part of this process.

    Returns
    -------
    list of int
        Rows of the dataset.
    """
    seconds = data.sessions["duration_s"].to_numpy(float)
    known = seconds[np.isfinite(seconds)]
    typical = float(np.median(known)) if len(known) else 1.0
    return shard.select(range(len(seconds)), np.nan_to_num(seconds, nan=typical).tolist())


def ensure_streams(data: ExperimentData, shard: Shard = WHOLE, workers: int = 0) -> int:
    """Compute the missing contours of the voice, if the dataset reads them.

    Parameters
    ----------
    data : ExperimentData
        The sessions.
    shard : Shard, optional
        The part of this process; by default, all sessions.
    workers : int, default 0
        Number of processes that compute; 0: this process.

    Returns
    -------
    int
        Number of sessions whose contours were computed.

    Raises
    ------
    StoreError
        If a session is not in the store, its file is damaged, or the store cannot be written.
    """
    dataset = data.dataset
    if VOICE not in dataset.settings.features.values():
        return 0
    keys = [dataset.session_keys[index] for index in select_sessions(data, shard)]
    return store_voice(dataset.store, keys, workers)


def ensure_embeddings(
    encoders: Mapping[str, nn.Module],
    data: ExperimentData,
    device: torch.device,
    shard: Shard = WHOLE,
) -> ExperimentData:
    """Compute the missing embeddings of one process, and replace signals by embeddings.

    Each process computes only its part: wait for all processes before you read the result.

    Parameters
    ----------
    encoders : mapping of str to Module
        Encoders of a model with their final frozen weights, by modality. The encoders in
        ``data.precompute_embeddings`` are moved to ``device``.
    data : ExperimentData
        The sessions; the settings of the dataset list the modalities that are precomputed.
    device : torch.device
        Device of the encoders.
    shard : Shard, optional
        The part of this process; by default, all sessions.

    Returns
    -------
    ExperimentData
        The same sessions; ``data`` itself if no modality is precomputed.

    Raises
    ------
    StoreError
        If a session is not in the store or its file is damaged.
    """
    dataset = data.dataset
    stores: dict[str, EmbeddingStore] = {}
    for modality in dataset.settings.precompute_embeddings:
        encoder = cast(PrecomputableEncoder, encoders[modality].to(device))
        key = embedding_key(encoder, modality, dataset.settings, dataset.store)
        store = stores[modality] = EmbeddingStore(dataset.store, key)
        of_shard = select_sessions(data, shard)
        missing = [index for index in of_shard if not store.has(*dataset.session_keys[index])]
        n_stored = len(of_shard) - len(missing)
        logger.info("embed %s: %d sessions stored, %d missing", modality, n_stored, len(missing))
        with float32_precision("highest", device):
            _embed(encoder, modality, data, missing, store, device)
    return replace(data, dataset=dataset.with_embeddings(stores)) if stores else data


@torch.no_grad()
def _embed(
    encoder: PrecomputableEncoder,
    modality: str,
    data: ExperimentData,
    missing: list[int],
    store: EmbeddingStore,
    device: torch.device,
) -> None:
    # of all steps: experiments on other steps use the same embeddings
    single_modality = data.dataset.settings.model_copy(
        update={"modalities": [modality], "precompute_embeddings": [], "steps": StepsConfig()}
    )
    signals = SessionDataset(data.sessions, data.dataset.store, single_modality)
    batches = evaluation_batches(signals, missing, 1, device)
    for index, inputs in track(batches, f"embed {modality}", "sessions", len(missing)):
        signal, length = inputs[modality].values[0], inputs[modality].lengths[0]
        present = length > 0
        rows = np.zeros((0, encoder.precompute_dim), np.float32)
        if present.any():
            steps = signal[torch.from_numpy(present)]
            rows = encoder.precompute(steps, length[present]).float().cpu().numpy()
        store.write(*signals.session_keys[int(index)], rows, present)
