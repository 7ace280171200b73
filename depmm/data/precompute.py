"""Frozen encoders run once: sessions -> kept embeddings -> a data set that reads those instead.

An embedding is of the evaluation's view of a step (the middle of a long one, evenly spread frames),
in training too. A session loses the random part of a long step, and gains the time that decoding
and a large frozen network would take in every epoch.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import nn

from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.store.embeddings import EmbeddingStore, PrecomputableEncoder, embedding_key

REPORTS = 10  # progress lines of an embedding


def ensure_embeddings(
    encoders: Mapping[str, nn.Module],
    data: ExperimentData,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    say: Callable[[str], None] = print,
) -> ExperimentData:
    """Embed what is missing of this process's share; give the data with embeddings for signals.

    With several processes wait for all of them before reading: each embeds its share only.

    Parameters
    ----------
    encoders : of a model, with their final frozen weights; those that
        ``data.precompute_embeddings`` names are
        moved to ``device``
    data : as ``load_experiment_data`` gives it; its settings
        (``precompute_embeddings``) say which modalities
    device : where the encoders run
    rank, world_size : this process and the number of processes
    say : receives the progress

    Raises
    ------
    StoreError : a session is not in the store or damaged
    """
    dataset = data.dataset
    stores: dict[str, EmbeddingStore] = {}
    for modality in dataset.settings.precompute_embeddings:
        encoder = cast(PrecomputableEncoder, encoders[modality].to(device))
        key = embedding_key(encoder, modality, dataset.settings, dataset.store)
        stores[modality] = EmbeddingStore(dataset.store, key)
        mine = range(len(dataset))[rank::world_size]
        todo = [index for index in mine if not stores[modality].has(*dataset.session_keys[index])]
        say(f"embed {modality}: {len(mine) - len(todo)} sessions are kept, {len(todo)} to do")
        _embed(encoder, modality, data, todo, stores[modality], device, say)
    return replace(data, dataset=dataset.with_embeddings(stores)) if stores else data


@torch.no_grad()
def _embed(
    encoder: PrecomputableEncoder,
    modality: str,
    data: ExperimentData,
    todo: list[int],
    kept: EmbeddingStore,
    device: torch.device,
    say: Callable[[str], None],
) -> None:
    alone = data.dataset.settings.model_copy(
        update={"modalities": [modality], "precompute_embeddings": []}
    )
    signals = SessionDataset(data.sessions, data.dataset.store, alone)
    began = time.perf_counter()
    batches = evaluation_batches(signals, todo, 1, device)
    for done, (index, inputs) in enumerate(batches, start=1):
        signal, length = inputs[modality][0], inputs[f"{modality}_length"][0]
        there = length > 0
        rows = np.zeros((0, encoder.precompute_dim), np.float32)
        if bool(there.any()):
            rows = encoder.precompute(signal[there], length[there]).float().cpu().numpy()
        kept.write(*signals.session_keys[int(index)], rows, there.cpu().numpy())
        if done * REPORTS // len(todo) > (done - 1) * REPORTS // len(todo):
            rate = done / (time.perf_counter() - began)
            say(f"embed {modality}: {done} of {len(todo)} sessions, {rate:.1f} a second")
