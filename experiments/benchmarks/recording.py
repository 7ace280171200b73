"""Record the attention of DEP-Former over simulated sessions: seconds, size and memory.

    python experiments/benchmarks/recording.py [SESSIONS ...]

The fusion has its default sizes (8 heads, blocks of 3, 3 and 3 layers), 72 steps of two modalities
and the batches of ``depmm explain``; occlusion is not computed. The first sessions of 10,000 are
recorded. Each number of sessions is recorded in a new process to measure its peak memory, which
includes the tables of all 10,000 sessions and must not grow with the number of recorded sessions.
"""

import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from depmm.config import DepFormerConfig, MfccCnnConfig, ModelConfig, SEResNetConfig
from depmm.interpret.attribution.attention import record_attention
from depmm.interpret.attribution.explain_sessions import BATCH_SIZE
from depmm.interpret.attribution.parquet_stream import ParquetStream
from depmm.interpret.attribution.row_annotator import RowAnnotator
from depmm.models.model import build_model
from depmm.schemas.explanations import ATTENTION, BRANCHES

N_STEPS = 72
N_SESSIONS = 10_000


def manifest(sessions: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make sessions and steps of subjects who read 72 words each."""
    table = pd.DataFrame(
        {
            "corpus": "c",
            "subject": [f"S{index:05}" for index in range(sessions)],
            "session": [f"S{index:05}_1" for index in range(sessions)],
            "split": "test",
            "target": np.arange(sessions) % 2.0,
        }
    )
    steps = table.loc[table.index.repeat(N_STEPS), ["corpus", "subject", "session"]]
    step = np.tile(np.arange(N_STEPS), sessions)
    return table, steps.assign(step=step, text=[f"word{n}" for n in step], valence="neutral")


def measure(sessions: int) -> dict[str, float]:
    """Record a number of sessions into a Parquet file."""
    torch.manual_seed(0)
    encoders = {"audio": MfccCnnConfig(kind="mfcc_cnn"), "face": SEResNetConfig(kind="se_resnet")}
    model = build_model(ModelConfig(encoders=encoders, fusion=DepFormerConfig(kind="dep_former")))
    dims = {name: encoder.embed_dim for name, encoder in model.encoders.items()}
    model.eval()
    annotator = RowAnnotator(*manifest(N_SESSIONS), fold=0, seed=0, binary=True)
    began, forward = time.perf_counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        with ParquetStream(Path(folder), [ATTENTION, BRANCHES]) as stream:
            for first in range(0, sessions, BATCH_SIZE):
                indices = np.arange(first, min(first + BATCH_SIZE, sessions))
                features = {n: torch.randn(len(indices), N_STEPS, w) for n, w in dims.items()}
                masks = {n: torch.ones(len(indices), N_STEPS, dtype=torch.bool) for n in dims}
                with torch.no_grad():
                    start = time.perf_counter()
                    model.fuse(features, masks)
                    forward += time.perf_counter() - start
                recording = record_attention(model, features, masks)
                for name in ("attention", "branches"):
                    stream.write({name: annotator.annotate(getattr(recording, name), indices)})
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    return {
        "sessions": sessions,
        "rows": stream.rows["attention"],
        "seconds": time.perf_counter() - began - forward,
        "forward": forward,
        "size": size / 1e6,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(arguments: list[str]) -> None:
    """Print the table."""
    print(f"{torch.get_num_threads()} threads, {N_STEPS} steps, batches of {BATCH_SIZE}")
    print("| sessions | rows | seconds | of a forward alone | MB | MB for 10,000 | peak, MiB |")
    print("|---|---|---|---|---|---|---|")
    for sessions in [int(text) for text in arguments] or [200, 800]:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            m = process.submit(measure, sessions).result()
        print(
            f"| {sessions} | {m['rows']:,} | {m['seconds']:.1f} | {m['forward']:.1f} "
            f"| {m['size']:.1f} | {m['size'] * N_SESSIONS / sessions:.0f} | {m['memory']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
