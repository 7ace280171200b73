"""Time a training epoch on stored embeddings: 150 sessions of 24 steps, both encoders frozen.

    python experiments/benchmarks/embedded_epoch.py

The embeddings are random and are written to a temporary folder (180 MB). Files, data loader, model
and optimizer are those of a training, with all 13 hidden states of a base speech transformer (13 x
768) and ResNet-50 features of the face (2048). Target: under 5 s per epoch on two cores. On a busy
machine, compare the processor time, which is the sum over all threads.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import HubertConfig

from depmm.config import Config, ExtractConfig
from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.models.model import DepressionModel
from depmm.models.model_config import DepressionConfig
from depmm.store.embeddings import EmbeddingStore
from depmm.store.sessions import SessionStore
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer

N_SESSIONS, N_STEPS = 150, 24
DIMS = {"audio": 13 * 768, "face": 2048}
N_EPOCHS = 3  # timed, after one warm-up epoch
FUSIONS = {
    "for two cores": {
        "adapter_hidden_dim": 128,
        "adapter_dim": 32,
        "embed_dim": 64,
        "n_heads": 4,
        "head_dim": 16,
        "ffn_dim": 64,
    },
    "defaults": {},
}


def make_config(folder: Path, fusion: dict[str, int]) -> Config:
    """Make an experiment with embeddings of both modalities."""
    architecture = HubertConfig().to_dict() | {"do_normalize": True}
    return Config.model_validate(
        {
            "name": "embedded_epoch",
            "data": {
                "manifest": folder,
                "store": folder / "store",
                "precompute_embeddings": ["audio", "face"],
            },
            "model": {
                "encoders": {
                    "audio": {
                        "kind": "speech_transformer",
                        "source": "random",
                        "architecture": architecture,
                    },
                    "face": {"kind": "frame_mean", "frozen": True},
                },
                "fusion": {"kind": "dep_former", **fusion},
            },
        }
    )


def write_sessions(folder: Path) -> tuple[pd.DataFrame, dict[str, EmbeddingStore]]:
    """Write empty sessions and their random embeddings."""
    rng = np.random.default_rng(0)
    store = SessionStore(folder / "store", ExtractConfig())
    stores = {name: EmbeddingStore(store, name) for name in DIMS}
    names = [f"S{index:03d}" for index in range(N_SESSIONS)]
    for name in names:
        with store.writer() as writer:
            store.put(writer.save({"n_steps": N_STEPS}), store.path("random", name, name))
        for modality, dim in DIMS.items():
            rows = rng.standard_normal((N_STEPS, dim), np.float32)
            stores[modality].write("random", name, name, rows, np.ones(N_STEPS, bool))
    sessions = pd.DataFrame({"corpus": "random", "subject": names, "session": names})
    return sessions.assign(target=np.arange(N_SESSIONS) % 2.0, split="train"), stores


def main() -> None:
    """Print one row per size of the fusion."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sessions, stores = write_sessions(folder)
        print(f"{N_SESSIONS} sessions x {N_STEPS} steps, {torch.get_num_threads()} threads")
        print("fusion          trainable    epoch  processor  reading")
        for name, fusion in FUSIONS.items():
            config = make_config(folder, fusion)
            store = SessionStore(config.data.store, config.extract)
            dataset = SessionDataset(sessions, store, config.data).with_embeddings(stores)
            torch.manual_seed(0)
            model = DepressionModel(DepressionConfig(**config.model.model_dump())).train()
            accelerator = build_accelerator(config)
            trainer = PhaseTrainer(
                config, ExperimentData(sessions, dataset, (0.0, 1.0), {}), model, accelerator
            )
            seconds, processor, reading = [], [], []
            for epoch in range(N_EPOCHS + 1):
                began, worked = time.perf_counter(), time.process_time()
                trainer.train_epoch(epoch, 0, N_EPOCHS + 1, 1e-3, [])
                seconds.append(time.perf_counter() - began)
                processor.append(time.process_time() - worked)
                began = time.perf_counter()
                size = config.training.batch_size
                for _ in evaluation_batches(dataset, range(N_SESSIONS), size, accelerator.device):
                    pass
                reading.append(time.perf_counter() - began)
            epoch_s, processor_s, reading_s = (
                statistics.median(times[1:]) for times in (seconds, processor, reading)
            )
            trainable = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
            print(
                f"{name:15s} {trainable:6.1f} M  {epoch_s:6.2f} s   {processor_s:6.2f} s  "
                f"{reading_s / epoch_s:6.0%}"
            )


if __name__ == "__main__":
    main()
