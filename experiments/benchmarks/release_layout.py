"""Compare a training step of DEP-Former at the sizes of its release with the adapter alone.

    OMP_NUM_THREADS=1 python experiments/benchmarks/release_layout.py [--record]

32 sessions x 24 steps of 50176 + 1000 values per word, fused AdamW. Timed in turns: the whole
model, its adapter alone, and the adapter with the matrix products of all other linear layers of the
model (forward, and gradients of inputs and weights). The last one is the floor: no arrangement of
attention, norms and dropout needs less. Processor time; a ratio is the median over turns, and its
bounds are the smallest and the largest turn.
"""

import argparse
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from depmm.models.fusion.build import build_fusion
from experiments.benchmarks.turns import ratio, time_in_turns
from experiments.results import aim, publish

BATCH_SIZE, N_STEPS, N_TURNS = 32, 24, 7
IN_DIMS = {"audio": 1000, "face": 224 * 224}
AIMS = {"dep_former_release": 1.1, "dep_former": 1.3}


def build_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Return a function that takes a training step."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def record_products(
    model: nn.Module, run: Callable[[], object], without: str | None = None
) -> list[tuple[int, Tensor]]:
    """List the rows and the weight of the linear layers that are called, without a part."""
    products: list[tuple[int, Tensor]] = []

    def note(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        weight = cast(nn.Linear, module).weight
        products.append((args[0].numel() // weight.shape[1], weight.detach()))

    hooks = [
        module.register_forward_hook(note)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (without is None or not name.startswith(without))
    ]
    run()
    for hook in hooks:
        hook.remove()
    return products


def build_products(products: list[tuple[int, Tensor]]) -> Callable[[], None]:
    """Return a function that computes the products of linear layers, forward and backward."""
    inputs = [torch.randn(rows, weight.shape[1]) for rows, weight in products]
    gradients = [torch.randn(rows, weight.shape[0]) for rows, weight in products]

    def multiply() -> None:
        for x, gradient, (_, weight) in zip(inputs, gradients, products, strict=True):
            x @ weight.T
            gradient @ weight
            gradient.T @ x

    return multiply


def compare(kind: str, n_turns: int, in_dims: dict[str, int]) -> dict[str, object]:
    """Measure the model, its adapter, and the adapter with all matrix products, in turns."""
    torch.manual_seed(0)
    settings = {"kind": kind, "num_steps": N_STEPS}
    model, other = (build_fusion(settings, in_dims, 2).train() for _ in range(2))
    adapter = other.adapter
    assert isinstance(adapter, nn.Module)
    features = {name: torch.rand(BATCH_SIZE, N_STEPS, dim) for name, dim in in_dims.items()}
    masks = {name: torch.ones(BATCH_SIZE, N_STEPS, dtype=torch.bool) for name in in_dims}

    def run() -> Tensor:
        return cast(Tensor, model(features, masks, complete=True)[0]).sum()

    products = build_products(record_products(model, run, without="adapter"))
    adapt = build_step(adapter, lambda: torch.cat(list(adapter(features).values())).sum())
    parts = {"model": build_step(model, run), "adapter": adapt, "products": products}
    seconds = time_in_turns(parts, n_turns)
    alone, whole = seconds["adapter"], seconds["model"]
    return {
        "wiring": kind,
        "M parameters": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
        "s per step": float(sorted(whole)[n_turns // 2]),
        "s, adapter alone": float(sorted(alone)[n_turns // 2]),
        "ratio": ratio(whole, alone),
        "aim": aim(at_most=AIMS[kind]),
        "floor": ratio(alone + seconds["products"], alone),
    }


def main() -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    rows = [compare(kind, N_TURNS, IN_DIMS) for kind in AIMS]
    script = "experiments/benchmarks/release_layout.py"
    publish(
        "release_layout",
        rows,
        options.record,
        command=f"OMP_NUM_THREADS={torch.get_num_threads()} python {script} --record",
        interval="smallest and largest of the turns",
        notes="Processor time. The floor is the adapter and the matrix products of the other "
        "linear layers, alone: a step cannot take less, whatever attention, norms, dropout and "
        "layout cost.",
    )


if __name__ == "__main__":
    main()
