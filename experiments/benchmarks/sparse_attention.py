"""Sparse attention against dense, forward and backward.

``python experiments/benchmarks/sparse_attention.py``

Times of one run alternate between both, so that a busy machine slows both alike; the ratio of the
medians is what counts. H = 8 heads of 64, batch 16 (1 at L = 4096), every query and key a leaf.
The last line trains all of DEP-Former's fusion at L = 4096, batch 4, and prints its peak memory.
"""

import resource
import statistics
import time

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.sparse_attention import (
    QuerySelection,
    attend_selected,
    count_selected_queries,
    score_all_keys,
)

HEADS, HEAD_WIDTH, FACTOR = 8, 64, 5
CASES = ((24, 16, 1.4), (72, 16, 1.0), (512, 16, 0.7), (4096, 1, 0.06))  # L, B, wanted ratio
REPEATS = 15


def dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every query attends."""
    return scaled_dot_product_attention(q, k, v)


def sparse(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Select, then let the selected attend: what ``SparseAttention`` does between its layers."""
    batch, _, length, _ = q.shape
    mask = torch.ones(batch, length, dtype=torch.bool)
    bound = count_selected_queries(length, FACTOR)
    scores = score_all_keys(q, k, mask, bound)
    weight = QuerySelection(FACTOR)(q, k, mask, scores).to(v.dtype)
    return attend_selected(q, k, v, weight, mask, bound, scores)


def seconds(function, tensors: list[Tensor]) -> float:
    """Time of one forward and backward pass."""
    began = time.perf_counter()
    function(*tensors).sum().backward()
    return time.perf_counter() - began


def compare(length: int, batch: int) -> tuple[float, float]:
    """Median seconds of dense and sparse attention, taken in turns."""
    torch.manual_seed(0)
    shape = (batch, HEADS, length, HEAD_WIDTH)
    tensors = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    times: dict[str, list[float]] = {"dense": [], "sparse": []}
    inner = max(1, 2000 // length)  # short passes are timed in groups
    for repeat in range(REPEATS + 3):
        for name, function in (("dense", dense), ("sparse", sparse)):
            taken = sum(seconds(function, tensors) for _ in range(inner)) / inner
            if repeat >= 3:
                times[name].append(taken)
    return statistics.median(times["dense"]), statistics.median(times["sparse"])


def train_long(length: int = 4096, batch: int = 4) -> tuple[float, float]:
    """Seconds and peak resident memory, GiB, of one training step of the whole fusion."""
    widths = {"audio": 128, "face": 128}
    model = build_fusion({"kind": "dep_former"}, widths, 1).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    features = {name: torch.randn(batch, length, width) for name, width in widths.items()}
    masks = {name: torch.ones(batch, length, dtype=torch.bool) for name in widths}
    began = time.perf_counter()
    for _ in range(2):
        model(features, masks)[0].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    taken = (time.perf_counter() - began) / 2
    return taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print the table."""
    print(f"{torch.get_num_threads()} threads")
    print("| L | batch | dense, ms | sparse, ms | ratio | wanted |")
    print("|---|---|---|---|---|---|")
    for length, batch, wanted in CASES:
        slow, fast = compare(length, batch)
        print(
            f"| {length} | {batch} | {1000 * slow:.2f} | {1000 * fast:.2f} | {fast / slow:.2f} "
            f"| {wanted} |"
        )
    taken, memory = train_long()
    print(
        f"DEP-Former's fusion, L = 4096, batch 4: {taken:.1f} s a training step, {memory:.1f} GiB"
    )


if __name__ == "__main__":
    main()
