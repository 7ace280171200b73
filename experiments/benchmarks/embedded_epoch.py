"""Time a training epoch on stored embeddings: 150 sessions of 24 steps, both encoders frozen.

    OMP_NUM_THREADS=2 python experiments/benchmarks/embedded_epoch.py [--record]

The embeddings are random and are written to a temporary folder (180 MB). Files, data loader, model
and optimizer are those of a training, with all 13 hidden states of a base speech transformer (13 x
768) and ResNet-50 features of the face (2048). Seconds of the clock, whose bounds are the smallest
and the largest epoch, and of the processor, the sum over all threads, which is better to compare on
a busy machine. The floor is the time of the matrix products of the linear layers alone (forward,
and gradients of inputs and weights), for all steps of an epoch. "reading" is the part of the
processor time that reading all batches alone takes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import HubertConfig

from depmm.config import Config, ExtractConfig
from depmm.data.batch import SessionLoader
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData
from depmm.models.model import DepressionModel
from depmm.models.model_config import DepressionConfig
from depmm.store.embeddings import EmbeddingStore
from depmm.store.sessions import SessionStore
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer
from experiments.benchmarks.release_layout import build_products, record_products
from experiments.benchmarks.turns import time_in_turns
from experiments.results import aim, interval, publish

N_SESSIONS, N_STEPS = 150, 24
DIMS = {"audio": 13 * 768, "face": 2048}
N_EPOCHS = 5  # timed, after one warm-up epoch
AIM_S = 2.0
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


def make_config(folder: Path, fusion: dict[str, Any]) -> Config:
    """Make an experiment with embeddings of both modalities."""
    architecture = {
        "network": HubertConfig().to_dict(),
        "processor": {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "do_normalize": True,
        },
        "n_states": 13,
        "hidden_dim": 768,
    }
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


def list_sessions() -> pd.DataFrame:
    """Make the table of sessions."""
    names = [f"S{index:03d}" for index in range(N_SESSIONS)]
    sessions = pd.DataFrame({"corpus": "random", "subject": names, "session": names})
    return sessions.assign(target=np.arange(N_SESSIONS) % 2.0, split="train")


def write_sessions(folder: Path) -> tuple[pd.DataFrame, dict[str, EmbeddingStore]]:
    """Write empty sessions and their random embeddings."""
    rng = np.random.default_rng(0)
    store = SessionStore(folder / "store", ExtractConfig())
    stores = {name: EmbeddingStore(store, name) for name in DIMS}
    sessions = list_sessions()
    for name in sessions["session"]:
        with store.writer() as writer:
            store.put(writer.save({"n_steps": N_STEPS}), store.path("random", name, name))
        for modality, dim in DIMS.items():
            rows = rng.standard_normal((N_STEPS, dim), np.float32)
            stores[modality].write("random", name, name, rows, np.ones(N_STEPS, bool))
    return sessions, stores


def measure(name: str, folder: Path) -> dict[str, object]:
    """Train epochs with one size of the fusion."""
    sessions, stores = write_sessions(folder)
    config = make_config(folder, FUSIONS[name])
    store = SessionStore(config.data.store, config.extract)
    dataset = SessionDataset(sessions, store, config.data).with_embeddings(stores)
    torch.manual_seed(0)
    model = DepressionModel(DepressionConfig(**config.model.model_dump())).train()
    accelerator = build_accelerator(config)
    loader = SessionLoader(dataset, accelerator.device)
    data = ExperimentData(sessions, dataset, (0.0, 1.0), {}, sessions.iloc[:0])
    trainer = PhaseTrainer(config, data, model, accelerator, loader)
    epochs, clock, reading = [], [], []
    for epoch in range(N_EPOCHS + 1):
        began, worked = time.perf_counter(), time.process_time()
        trainer.train_epoch(epoch, 0, N_EPOCHS + 1, 1e-3, [])
        clock.append(time.perf_counter() - began)
        epochs.append(time.process_time() - worked)
        worked = time.process_time()
        for _ in loader.evaluate(range(N_SESSIONS), config.training.batch_size):
            pass
        reading.append(time.process_time() - worked)
    index, inputs = next(loader.evaluate(range(config.training.batch_size), len(sessions)))
    multiply = build_products(record_products(model, lambda: model(inputs)))
    products = time_in_turns({"all": multiply}, N_EPOCHS)["all"] * N_SESSIONS / len(index)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    median = statistics.median(epochs[1:])
    shown = interval(statistics.median(clock[1:]), min(clock[1:]), max(clock[1:]))
    return {
        "fusion": name,
        "M trained parameters": round(sum(trained) / 1e6, 1),
        "s per epoch": shown,
        "aim": aim("s per epoch", at_most=AIM_S),
        "s of the processor": median,
        "floor, s of the processor": float(np.median(products)),
        "reading": statistics.median(reading[1:]) / median,
    }


def main() -> None:
    """Print or record one row per size of the fusion."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    rows = []
    for name in FUSIONS:
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(measure(name, Path(scratch)))
    threads = torch.get_num_threads()
    script = "experiments/benchmarks/embedded_epoch.py"
    publish(
        "embedded_epoch",
        rows,
        options.record,
        command=f"OMP_NUM_THREADS={threads} python {script} --record",
        seeds=[0],
        interval="smallest and largest of the epochs",
        notes=f"{N_SESSIONS} sessions of {N_STEPS} steps, {threads} threads.",
    )


if __name__ == "__main__":
    main()
