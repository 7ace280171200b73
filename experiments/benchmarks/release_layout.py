"""Time a training step of DEP-Former at the sizes of its release.

    OMP_NUM_THREADS=2 python experiments/benchmarks/release_layout.py

32 sessions x 24 steps of 50176 + 1000 values per word, fused AdamW. The models of the release and
of the figure and their adapters alone are timed in turns, so that a busy machine slows all of them
equally; compare the ratio of the medians. The last column is the peak resident memory up to the end
of the measurement.
"""

import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from depmm.models.fusion.build import build_fusion

BATCH_SIZE, N_STEPS, N_REPEATS = 32, 24, 9
IN_DIMS = {"audio": 1000, "face": 224 * 224}


def build_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    """Return a function that takes a training step and measures its seconds."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> float:
        began = time.perf_counter()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - began

    return step


def compare(kind: str) -> tuple[float, float, int]:
    """Measure the median seconds of a step of the model and of its adapter, in turns."""
    torch.manual_seed(0)
    settings = {"kind": kind, "num_steps": N_STEPS}
    model, other = (build_fusion(settings, IN_DIMS, 2).train() for _ in range(2))
    adapter = other.adapter
    assert isinstance(adapter, nn.Module)
    features = {name: torch.rand(BATCH_SIZE, N_STEPS, dim) for name, dim in IN_DIMS.items()}
    masks = {name: torch.ones(BATCH_SIZE, N_STEPS, dtype=torch.bool) for name in IN_DIMS}
    steps = {
        "model": build_step(model, lambda: model(features, masks, complete=True)[0].sum()),
        "adapter": build_step(adapter, lambda: torch.cat(list(adapter(features).values())).sum()),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(N_REPEATS + 1):
        for name, step in steps.items():
            elapsed = step()
            if repeat > 0:
                times[name].append(elapsed)
    count = sum(parameter.numel() for parameter in model.parameters())
    return statistics.median(times["model"]), statistics.median(times["adapter"]), count


def main() -> None:
    """Print the table."""
    print(f"{torch.get_num_threads()} threads")
    print("| fusion | M parameters | s per step | s, adapter alone | ratio | peak memory, GiB |")
    print("|---|---|---|---|---|---|")
    for kind in ("dep_former_release", "dep_former"):
        step, part, count = compare(kind)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"| {kind} | {count / 1e6:.1f} | {step:.2f} | {part:.2f} | {step / part:.2f} "
            f"| {memory:.2f} |"
        )


if __name__ == "__main__":
    main()
