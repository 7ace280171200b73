"""Record the attention of DEP-Former over simulated sessions: seconds, size and memory.

    python experiments/benchmarks/recording.py [SESSIONS ...]

Default sizes of the fusion (8 heads, stacks 3-2-1), 72 steps of two modalities, batches as
``depmm explain`` takes them; its occlusion is not part of it. The first sessions of 10,000 are
recorded. Each number of them is a process of its own, so that its peak of memory, the tables of all
10,000 included, is its own: it must not grow with what is recorded.
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
from depmm.interpret.attribution.explain import BATCH_SIZE, RowAnnotator
from depmm.interpret.attribution.parquet_stream import ParquetStream
from depmm.models.model import build_model
from depmm.schemas.explanations import ATTENTION, BRANCHES

STEPS = 72
WANTED = 10_000


def manifest(sessions: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sessions and steps of people who read 72 words each."""
    people = pd.DataFrame(
        {
            "corpus": "c",
            "subject": [f"S{number:05}" for number in range(sessions)],
            "session": [f"S{number:05}_1" for number in range(sessions)],
            "split": "test",
            "target": np.arange(sessions) % 2.0,
        }
    )
    steps = people.loc[people.index.repeat(STEPS), ["corpus", "subject", "session"]]
    step = np.tile(np.arange(STEPS), sessions)
    return people, steps.assign(step=step, text=[f"word{n}" for n in step], valence="neutral")


def measure(sessions: int) -> dict[str, float]:
    """Record so many sessions into a Parquet file."""
    torch.manual_seed(0)
    encoders = {"audio": MfccCnnConfig(kind="mfcc_cnn"), "face": SEResNetConfig(kind="se_resnet")}
    model = build_model(ModelConfig(encoders=encoders, fusion=DepFormerConfig(kind="dep_former")))
    widths = {name: encoder.embed_dim for name, encoder in model.encoders.items()}
    model.eval()
    annotator = RowAnnotator(*manifest(WANTED), fold=0, seed=0, binary=True)
    began, forward = time.perf_counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        with ParquetStream(Path(folder), [ATTENTION, BRANCHES]) as stream:
            for first in range(0, sessions, BATCH_SIZE):
                number = np.arange(first, min(first + BATCH_SIZE, sessions))
                features = {n: torch.randn(len(number), STEPS, w) for n, w in widths.items()}
                masks = {n: torch.ones(len(number), STEPS, dtype=torch.bool) for n in widths}
                with torch.no_grad():
                    start = time.perf_counter()
                    model.fuse(features, masks)
                    forward += time.perf_counter() - start
                recording = record_attention(model, features, masks)
                for name in ("attention", "branches"):
                    stream.write({name: annotator.annotate(getattr(recording, name), number)})
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
    print(f"{torch.get_num_threads()} threads, {STEPS} steps, batches of {BATCH_SIZE}")
    print("| sessions | rows | seconds | of a forward alone | MB | MB for 10,000 | peak, MiB |")
    print("|---|---|---|---|---|---|---|")
    for sessions in [int(text) for text in arguments] or [200, 800]:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            m = process.submit(measure, sessions).result()
        print(
            f"| {sessions} | {m['rows']:,} | {m['seconds']:.1f} | {m['forward']:.1f} "
            f"| {m['size']:.1f} | {m['size'] * WANTED / sessions:.0f} | {m['memory']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
