"""Compare a training on two processes with one process, each with one thread.

    python experiments/benchmarks/two_processes.py [--record]

Two pieces of work: "embeddings" is that of ``embedded_epoch.py`` with the sizes for two cores, many
short operations; "transformer" trains a speech transformer of four layers of 256 on 16 recordings
of two steps of 2 s, long operations. Neither has dropout or random gates, so that both trainings
are the same. One process and two processes are started in turns, each for the same epochs. Seconds
of the clock of the epochs after the first; the start is excluded. The efficiency is ``t1 / (2
t2)``: it needs two free cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    import pandas as pd

    from depmm.config import Config
    from depmm.data.dataset import SessionDataset

N_TURNS = 3
N_EPOCHS = {"embeddings": 6, "transformer": 3}
N_RECORDINGS, N_STEPS, STEP_S = 16, 2, 2
LIMIT = 0.9


def write_recordings(folder: Path) -> None:
    """Write recordings of noise."""
    from depmm.config import SAMPLE_RATE, ExtractConfig
    from depmm.store.sessions import SessionStore

    store = SessionStore(folder / "sounds", ExtractConfig())
    rng = np.random.default_rng(0)
    edges = np.arange(N_STEPS + 1) * STEP_S * SAMPLE_RATE
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    for index in range(N_RECORDINGS):
        name = f"R{index:02d}"
        with store.writer() as writer:
            writer.append("audio.waveform", rng.integers(-3000, 3000, edges[-1], np.int16))
            writer.append("audio.step_samples", spans)
            writer.append("audio.speech", (spans / SAMPLE_RATE).astype(np.float32))
            writer.append("audio.speech_step", np.arange(N_STEPS, dtype=np.int32))
            summary = {
                "n_steps": N_STEPS, "step_start_s": spans[:, 0].tolist(),
                "audio_s": float(N_STEPS * STEP_S), "n_frames": 0, "n_frames_with_face": 0,
                "n_steps_with_text": 0, "streams": {}, "warnings": [], "source_hash": "",
                "source_files": {}, "steps_hash": "",
            }  # fmt: skip
            store.put(writer.save(summary), store.path("random", name, name))


def embeddings(folder: Path) -> "tuple[Config, SessionDataset, pd.DataFrame]":
    """Prepare the training on stored embeddings."""
    from depmm.data.dataset import SessionDataset
    from depmm.store.embeddings import EmbeddingStore
    from depmm.store.sessions import SessionStore
    from experiments.benchmarks.embedded_epoch import DIMS, FUSIONS, list_sessions, make_config

    fusion = FUSIONS["for two cores"] | {"dropout": 0.0, "fusion_weights": "fixed"}
    config = make_config(folder, fusion)
    store = SessionStore(config.data.store, config.extract)
    stores = {name: EmbeddingStore(store, name) for name in DIMS}
    sessions = list_sessions()
    return config, SessionDataset(sessions, store, config.data).with_embeddings(stores), sessions


def transformer(folder: Path) -> "tuple[Config, SessionDataset, pd.DataFrame]":
    """Prepare the training of a speech transformer on recordings."""
    import pandas as pd
    from transformers import HubertConfig

    from depmm.config import Config
    from depmm.data.dataset import SessionDataset
    from depmm.store.sessions import SessionStore

    layers = HubertConfig(
        hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
        conv_dim=[256] * 7, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
        feat_proj_dropout=0.0, layerdrop=0.0, mask_time_prob=0.0,
    )  # fmt: skip
    encoder = {
        "kind": "speech_transformer",
        "source": "random",
        "adaptation": "full",
        "architecture": {
            "network": layers.to_dict(),
            "processor": {
                "feature_extractor_type": "Wav2Vec2FeatureExtractor",
                "do_normalize": True,
            },
            "n_states": 5,
            "hidden_dim": 256,
        },
    }
    config = Config.model_validate(
        {
            "name": "transformer",
            "data": {
                "manifest": folder,
                "store": folder / "sounds",
                "modalities": ["audio"],
                "max_audio_s": float(STEP_S),
                "augment": {"gain_db": 0.0, "relative_noise": 0.0},
            },
            "model": {
                "encoders": {"audio": encoder},
                "fusion": {"kind": "mean_pool", "dropout": 0.0},
            },
        }
    )
    names = [f"R{index:02d}" for index in range(N_RECORDINGS)]
    sessions = pd.DataFrame({"corpus": "random", "subject": names, "session": names})
    sessions = sessions.assign(target=np.arange(N_RECORDINGS) % 2.0, split="train")
    store = SessionStore(config.data.store, config.extract)
    return config, SessionDataset(sessions, store, config.data), sessions


WORK = {"embeddings": embeddings, "transformer": transformer}


def train(work: str, folder: Path, out: Path) -> None:
    """Train in a process of the launcher, and write losses and seconds of the epochs."""
    from depmm.data.batch import SessionLoader
    from depmm.data.experiment_data import ExperimentData
    from depmm.models.model import DepressionModel
    from depmm.models.model_config import DepressionConfig
    from depmm.training.experiment import build_accelerator
    from depmm.training.phase import PhaseTrainer

    config, dataset, sessions = WORK[work](folder)
    settings = config.model.model_dump()
    for encoder in settings["encoders"].values():
        encoder |= {"dropout": 0.0} if "dropout" in encoder else {}
    torch.manual_seed(0)
    model = DepressionModel(DepressionConfig(**settings)).train()
    accelerator = build_accelerator(config)
    data = ExperimentData(sessions, dataset, (0.0, 1.0), {}, sessions.iloc[:0])
    trainer = PhaseTrainer(
        config, data, model, accelerator, SessionLoader(dataset, accelerator.device)
    )
    losses, seconds = [], []
    for epoch in range(N_EPOCHS[work]):
        accelerator.wait_for_everyone()
        began = time.perf_counter()
        losses.append(trainer.train_epoch(epoch, 0, N_EPOCHS[work], 1e-3, [])[0]["train_loss"])
        seconds.append(time.perf_counter() - began)
    if accelerator.is_main_process:
        result = {"losses": losses, "seconds": seconds, "processes": accelerator.num_processes}
        out.write_text(json.dumps(result))


def launch(processes: int, work: str, folder: Path) -> dict[str, object]:
    """Train in a number of processes."""
    out = folder / "result.json"
    launcher: list[str] = []
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *launcher, __file__, "--train", work, str(folder), str(out)]
    subprocess.run(command, env=environment, check=True)
    result: dict[str, object] = json.loads(out.read_text())
    assert result["processes"] == processes
    return result


def compare(work: str, folder: Path) -> dict[str, object]:
    """Train on one and on two processes in turns."""
    from experiments.benchmarks.turns import ratio
    from experiments.results import aim

    seconds: dict[int, list[float]] = {1: [], 2: []}
    losses: dict[int, np.ndarray] = {}
    for _ in range(N_TURNS):
        for processes, times in seconds.items():
            result = launch(processes, work, folder)
            times.append(statistics.median(result["seconds"][1:]))
            losses[processes] = np.array(result["losses"])
    one, two = np.array(seconds[1]), np.array(seconds[2])
    return {
        "work": work,
        "s per epoch, one process": float(np.median(one)),
        "s per epoch, two": float(np.median(two)),
        "efficiency": ratio(one, 2 * two),
        "aim": aim("efficiency", at_least=LIMIT),
        "largest difference of the loss": float(np.abs(losses[1] - losses[2]).max()),
    }


def main() -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the results file")
    parser.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        from depmm.interrupts import run_as_program

        work, folder, out = options.train
        run_as_program(lambda: train(work, Path(folder), Path(out)))
    from experiments.benchmarks.embedded_epoch import write_sessions
    from experiments.results import publish

    with tempfile.TemporaryDirectory() as scratch:
        write_sessions(Path(scratch))
        write_recordings(Path(scratch))
        rows = [compare(work, Path(scratch)) for work in WORK]
    publish(
        "two_processes",
        rows,
        options.record,
        command="python experiments/benchmarks/two_processes.py --record",
        seeds=[0],
        interval="smallest and largest of the turns",
        notes="One thread per process; the start is excluded. Sessions of each step, weights and "
        "statistics do not depend on the number of processes. A step on embeddings is many short "
        "operations, which take as long for half of a batch.",
    )


if __name__ == "__main__":
    main()
