"""Compare the times of sparse and dense attention, forward and backward.

    python experiments/benchmarks/sparse_attention.py

Both are timed alternately, so that a busy machine slows both equally; compare the ratio of the
medians.
H = 8 heads of 64, batch 16 (1 at L = 4096); queries, keys and values need gradients. The last line
trains the whole fusion of DEP-Former at L = 4096, batch 4, and prints its peak memory.
"""

import resource
import statistics
import time

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.query_selection import QuerySelection, count_selected_queries
from depmm.models.fusion.dep_former.sparse_attention import attend_selected, score_all_keys

N_HEADS, HEAD_DIM, FACTOR = 8, 64, 5
CASES = ((24, 16, 1.4), (72, 16, 1.0), (512, 16, 0.7), (4096, 1, 0.06))  # L, B, target ratio
N_REPEATS = 15


def dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with all queries."""
    return scaled_dot_product_attention(q, k, v)


def sparse(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Select queries and attend with them, as ``SparseAttention`` does between its layers."""
    batch, _, length, _ = q.shape
    mask = torch.ones(batch, length, dtype=torch.bool)
    bound = count_selected_queries(length, FACTOR)
    scores = score_all_keys(q, k, mask, bound)
    weight = QuerySelection(FACTOR)(q, k, mask, scores).to(v.dtype)
    return attend_selected(q, k, v, weight, mask, bound, scores)


def measure_seconds(function, tensors: list[Tensor]) -> float:
    """Measure one forward and backward pass."""
    began = time.perf_counter()
    function(*tensors).sum().backward()
    return time.perf_counter() - began


def compare(length: int, batch: int) -> tuple[float, float]:
    """Measure the median seconds of dense and sparse attention, alternately."""
    torch.manual_seed(0)
    shape = (batch, N_HEADS, length, HEAD_DIM)
    tensors = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    times: dict[str, list[float]] = {"dense": [], "sparse": []}
    inner = max(1, 2000 // length)  # short passes are timed in groups
    for repeat in range(N_REPEATS + 3):
        for name, function in (("dense", dense), ("sparse", sparse)):
            elapsed = sum(measure_seconds(function, tensors) for _ in range(inner)) / inner
            if repeat >= 3:
                times[name].append(elapsed)
    return statistics.median(times["dense"]), statistics.median(times["sparse"])


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
    """Print the table."""
    print(f"{torch.get_num_threads()} threads")
    print("| L | batch | dense, ms | sparse, ms | ratio | target |")
    print("|---|---|---|---|---|---|")
    for length, batch, target in CASES:
        slow, fast = compare(length, batch)
        print(
            f"| {length} | {batch} | {1000 * slow:.2f} | {1000 * fast:.2f} | {fast / slow:.2f} "
            f"| {target} |"
        )
    elapsed, memory = train_long()
    print(f"fusion of DEP-Former, L = 4096, batch 4: {elapsed:.1f} s per step, {memory:.1f} GiB")


if __name__ == "__main__":
    main()
