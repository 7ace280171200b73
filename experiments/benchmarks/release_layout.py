"""Time a training step of DEP-Former on the inputs of its release.

    python experiments/benchmarks/release_layout.py

Batch 32, L = 24, two modalities, 50176 + 1000 values per word, fused AdamW. The adapter alone is
timed in the same run: on a busy machine, compare the ratio. The peak resident memory is also
printed.
"""

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from depmm.config import load_config
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.dep_former import DepFormer, ModalityAdapter

CONFIG = Path(__file__).parents[1] / "configs" / "dep_former_release_layout.yaml"
BATCH_SIZE, N_STEPS, N_REPEATS = 32, 24, 5
IN_DIMS = {"audio": 1000, "face": 224 * 224}


def median_step(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> float:
    """Measure the median seconds of a training step, after one warm-up step."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    times = []
    for _ in range(N_REPEATS + 1):
        began = time.perf_counter()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def measure_model(
    model: DepFormer, features: dict[str, torch.Tensor], masks: dict[str, torch.Tensor]
) -> tuple[int, float]:
    """Count the parameters and measure the median seconds of a step."""
    count = sum(parameter.numel() for parameter in model.parameters())
    return count, median_step(model, lambda: model(features, masks)[0].sum())


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    settings = load_config(CONFIG).model.fusion
    features = {name: torch.rand(BATCH_SIZE, N_STEPS, dim) for name, dim in IN_DIMS.items()}
    masks = {name: torch.ones(BATCH_SIZE, N_STEPS, dtype=torch.bool) for name in IN_DIMS}
    count, step = measure_model(build_fusion(settings.model_dump(), IN_DIMS, 1), features, masks)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    adapter = ModalityAdapter(IN_DIMS, settings.adapter_hidden_dim, settings.adapter_dim)
    part = median_step(adapter, lambda: torch.cat(list(adapter(features).values())).sum())
    print(f"{torch.get_num_threads()} threads, {count / 1e6:.1f} M parameters")
    print("| s per step | s, adapter alone | ratio | peak memory, GiB |")
    print("|---|---|---|---|")
    print(f"| {step:.2f} | {part:.2f} | {step / part:.2f} | {memory:.2f} |")


if __name__ == "__main__":
    main()
