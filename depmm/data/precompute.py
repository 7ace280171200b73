"""Run frozen encoders once, so that the dataset reads embeddings instead of signals.

The embedding of a step is computed from its evaluation input (the middle of a long step, evenly
spaced frames or those of ``frame_choice: once``), for training too. Training then does not use
random parts of long steps, but saves the time of decoding and of a large frozen network in every
epoch.
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
from depmm.store.embeddings import EmbeddingStore, PrecomputableEncoder, embedding_key

logger = logging.getLogger(__name__)


def ensure_embeddings(
    encoders: Mapping[str, nn.Module],
    data: ExperimentData,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> ExperimentData:
    """Compute the missing embeddings of one process, and replace signals by embeddings.

    Each process computes only its part: wait for all processes before you read the result. The
    first process logs the progress at level INFO, the others at level DEBUG.

    Parameters
    ----------
    encoders : mapping of str to Module
        Encoders of a model with their final frozen weights, by modality. The encoders in
        ``data.precompute_embeddings`` are moved to ``device``.
    data : ExperimentData
        The sessions; the settings of the dataset list the modalities that are precomputed.
    device : torch.device
        Device of the encoders.
    rank, world_size : int
        Index of this process, and number of processes.

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
    level = logging.INFO if rank == 0 else logging.DEBUG
    stores: dict[str, EmbeddingStore] = {}
    for modality in dataset.settings.precompute_embeddings:
        encoder = cast(PrecomputableEncoder, encoders[modality].to(device))
        key = embedding_key(encoder, modality, dataset.settings, dataset.store)
        store = stores[modality] = EmbeddingStore(dataset.store, key)
        of_rank = range(len(dataset))[rank::world_size]
        missing = [index for index in of_rank if not store.has(*dataset.session_keys[index])]
        n_stored = len(of_rank) - len(missing)
        logger.log(
            level, "embed %s: %d sessions stored, %d missing", modality, n_stored, len(missing)
        )
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
