"""Compare the times of sparse and dense attention, forward and backward.

    OMP_NUM_THREADS=1 python experiments/benchmarks/sparse_attention.py [--record]

Both are timed in turns. H = 8 heads of 64, batch 16 (1 at L = 4096); queries, keys and values need
gradients. In the rows "complete", no step is missing and neither has a mask; in the others, both
have a mask of the valid keys. Processor time; a ratio is the median over turns, and its bounds are
the smallest and the largest turn. "All scores" attends with all queries from
their scores, where the selection needs all scores: the floor of sparse attention there. The
last line trains the whole fusion of DEP-Former at L = 4096, batch 4, and prints its peak memory.
"""

import argparse
import resource
import time

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.query_selection import (
    EXACT_KEYS,
    QuerySelection,
    count_selected_queries,
)
from depmm.models.fusion.dep_former.sparse_attention import attend_selected, score_all_keys
from experiments.benchmarks.turns import ratio, time_in_turns
from experiments.results import aim, publish

N_HEADS, HEAD_DIM, FACTOR = 8, 64, 5
CASES = ((24, 16, 1.2), (72, 16, 0.9), (512, 16, 0.25), (4096, 1, 0.04))  # L, B, aim
N_TURNS = 15


def dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attend with all queries."""
    keys = None if mask is None else mask[:, None, None]
    return scaled_dot_product_attention(q, k, v, attn_mask=keys)


def sparse(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Select queries and attend with them, as ``SparseAttention`` does between its layers."""
    bound = count_selected_queries(q.shape[2], FACTOR)
    scores = score_all_keys(q, k, mask, bound)
    selected = QuerySelection(FACTOR)(q, k, mask, scores)
    return attend_selected(q, k, v, selected, mask, bound, scores)


def score_and_attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attend with all queries, from their scores."""
    scores = score_all_keys(q, k, mask, q.shape[2])
    assert scores is not None
    return scores.softmax(-1) @ v


def compare(length: int, batch: int, limit: float, complete: bool) -> dict[str, object]:
    """Measure dense and sparse attention, forward and backward, in turns."""
    torch.manual_seed(0)
    shape = (batch, N_HEADS, length, HEAD_DIM)
    qkv = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    mask = None if complete else torch.ones(batch, length, dtype=torch.bool)
    parts = {
        "dense": lambda: dense(*qkv, mask).sum().backward(),
        "sparse": lambda: sparse(*qkv, mask).sum().backward(),
    }
    if length <= EXACT_KEYS:
        # what a selection by exact scores computes at least
        parts["all scores"] = lambda: score_and_attend(*qkv, mask).sum().backward()
    # short passes are timed in groups
    seconds = time_in_turns(parts, N_TURNS, repeats=max(1, 1000 // length))
    return {
        "L": length,
        "batch": batch,
        "steps": "complete" if complete else "masked",
        "dense, ms": 1000 * float(np.median(seconds["dense"])),
        "sparse, ms": 1000 * float(np.median(seconds["sparse"])),
        "ratio": ratio(seconds["sparse"], seconds["dense"]),
        "aim": aim(at_most=limit),
        "all scores, no selection": ratio(seconds["all scores"], seconds["dense"])
        if "all scores" in seconds
        else None,
    }


def train_long(length: int = 4096, batch: int = 4) -> tuple[float, float]:
    """Measure seconds and peak resident memory (GiB) of a training step of the whole fusion."""
    in_dims = {"audio": 128, "face": 128}
    model = build_fusion({"kind": "dep_former"}, in_dims, 1).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    features = {name: torch.randn(batch, length, dim) for name, dim in in_dims.items()}
    masks = {name: torch.ones(batch, length, dtype=torch.bool) for name in in_dims}
    began = time.perf_counter()
    for _ in range(2):
        model(features, masks)[0].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    elapsed = (time.perf_counter() - began) / 2
    return elapsed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    elapsed, memory = train_long()  # first, so that its peak memory is that of the process
    rows = [compare(*case, complete) for case in CASES for complete in (True, False)]
    note = f"The whole fusion of DEP-Former, L = 4096, batch 4: {elapsed:.1f} s per training step, "
    note += f"peak memory {memory:.1f} GiB."
    print(note)
    script = "experiments/benchmarks/sparse_attention.py"
    publish(
        "sparse_attention",
        rows,
        options.record,
        command=f"OMP_NUM_THREADS={torch.get_num_threads()} python {script} --record",
        interval="smallest and largest of the turns",
        notes=f"Processor time, forward and backward. {note}",
    )


if __name__ == "__main__":
    main()
