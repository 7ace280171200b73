"""Compare a training on two processes with one process, each with one thread.

    python experiments/benchmarks/two_processes.py [--record]

The work is that of ``embedded_epoch.py`` with the sizes for two cores, without dropout and random
gates, so that both trainings are the same. One process and two processes are started in turns, each
for the same epochs. Seconds of the clock of the epochs after the first; the start is excluded. The
efficiency is ``t1 / (2 t2)``: it needs two free cores.
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

import numpy as np
import torch

N_TURNS, N_EPOCHS = 3, 6
LIMIT = 0.9


def train(folder: Path, out: Path) -> None:
    """Train in a process of the launcher, and write losses and seconds of the epochs."""
    from depmm.data.batch import SessionLoader
    from depmm.data.dataset import SessionDataset
    from depmm.data.experiment_data import ExperimentData
    from depmm.models.model import DepressionModel
    from depmm.models.model_config import DepressionConfig
    from depmm.store.embeddings import EmbeddingStore
    from depmm.store.sessions import SessionStore
    from depmm.training.experiment import build_accelerator
    from depmm.training.phase import PhaseTrainer
    from experiments.benchmarks.embedded_epoch import DIMS, FUSIONS, list_sessions, make_config

    fusion = FUSIONS["for two cores"] | {"dropout": 0.0, "fusion_weights": "fixed"}
    config = make_config(folder, fusion)
    settings = config.model.model_dump()
    for encoder in settings["encoders"].values():
        encoder |= {"dropout": 0.0} if "dropout" in encoder else {}
    store = SessionStore(config.data.store, config.extract)
    stores = {name: EmbeddingStore(store, name) for name in DIMS}
    sessions = list_sessions()
    dataset = SessionDataset(sessions, store, config.data).with_embeddings(stores)
    torch.manual_seed(0)
    model = DepressionModel(DepressionConfig(**settings)).train()
    accelerator = build_accelerator(config)
    data = ExperimentData(sessions, dataset, (0.0, 1.0), {}, sessions.iloc[:0])
    trainer = PhaseTrainer(
        config, data, model, accelerator, SessionLoader(dataset, accelerator.device)
    )
    losses, seconds = [], []
    for epoch in range(N_EPOCHS):
        accelerator.wait_for_everyone()
        began = time.perf_counter()
        losses.append(trainer.train_epoch(epoch, 0, N_EPOCHS, 1e-3, [])[0]["train_loss"])
        seconds.append(time.perf_counter() - began)
    if accelerator.is_main_process:
        result = {"losses": losses, "seconds": seconds, "processes": accelerator.num_processes}
        out.write_text(json.dumps(result))
    accelerator.end_training()


def launch(processes: int, folder: Path) -> dict[str, object]:
    """Train in a number of processes."""
    out = folder / "result.json"
    launcher: list[str] = []
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *launcher, __file__, "--train", str(folder), str(out)]
    subprocess.run(command, env=environment, check=True)
    result: dict[str, object] = json.loads(out.read_text())
    assert result["processes"] == processes
    return result


def main() -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the results file")
    parser.add_argument("--train", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(*options.train)
        return
    from experiments.benchmarks.embedded_epoch import write_sessions
    from experiments.benchmarks.tables import markdown
    from experiments.benchmarks.turns import ratio
    from experiments.results import aim, record

    seconds: dict[int, list[float]] = {1: [], 2: []}
    losses: dict[int, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_sessions(folder)
        for _ in range(N_TURNS):
            for processes, times in seconds.items():
                result = launch(processes, folder)
                times.append(statistics.median(result["seconds"][1:]))
                losses[processes] = np.array(result["losses"])
    one, two = np.array(seconds[1]), np.array(seconds[2])
    rows = [
        {
            "work": "150 sessions, embeddings",
            "s per epoch, one process": float(np.median(one)),
            "s per epoch, two": float(np.median(two)),
            "efficiency": ratio(one, 2 * two),
            "aim": aim("efficiency", at_least=LIMIT),
            "largest difference of the loss": float(np.abs(losses[1] - losses[2]).max()),
        }
    ]
    print(markdown(rows))
    if options.record:
        print(
            record(
                "two_processes",
                rows,
                command="python experiments/benchmarks/two_processes.py --record",
                seeds=[0],
                interval="smallest and largest of the turns",
                notes="One thread per process; the start is excluded. Sessions of each step, "
                "weights and statistics do not depend on the number of processes.",
            )
        )


if __name__ == "__main__":
    main()
