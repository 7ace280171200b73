"""What each of several gloo processes computes in the tests of batch normalisation."""

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from depmm.config import ModelConfig
from depmm.inputs import Inputs
from depmm.models.batch_norm import MaskedBatchNorm2d, exclude_positions
from depmm.models.model import DepressionModel, build_model

N_PROCESSES = 2
LAYER_LENGTHS = [(5, 3), (5, 0), (1, 0), (0, 0)]  # valid positions of each process
# sessions of each process; a process without a session reads a filler of weight 0
CASES = {
    "equal": ([0, 1], [2, 3]),
    "uneven": ([0, 1, 2], [3]),
    "no_voice": ([0, 1], [4]),  # the voice of session 4 is missing
    "filler": ([0, 1, 2], []),
}
ATTENTION_RESNET = {"channels": 8, "hop_length": 160, "n_fft": 512, "n_mels": 40}
SE_RESNET = {"blocks": [1], "channels": [8], "reduction": 2, "embed_dim": 8, "dropout": 0.0}


def normalise_part(lengths: tuple[int, ...], part: slice) -> dict[str, Any]:
    """Normalise the rows of one process, and return output, gradients and buffers."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N_PROCESSES, 3, 1, 6, generator=generator)
    target = torch.randn(N_PROCESSES, 3, 1, 6, generator=generator)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    x, target, mask = x[part].requires_grad_(), target[part], mask[part]
    layer = MaskedBatchNorm2d(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
    out = layer(x, mask)
    (out * target).sum().backward()
    return {
        "out": out.detach(),
        "gradient": torch.autograd.grad((layer(x, mask) * target).sum(), x)[0],
        "weight": layer.weight.grad,
        "bias": layer.bias.grad,
        "buffers": dict(layer.named_buffers()),
    }


def build_two_modality_model() -> DepressionModel:
    """Build a small model with batch normalisation in its audio encoder only."""
    torch.manual_seed(0)
    encoders = {
        "audio": {"kind": "attention_resnet", **ATTENTION_RESNET},
        "face": {"kind": "se_resnet", **SE_RESNET},
    }
    return build_model(
        ModelConfig(encoders=encoders, fusion={"kind": "mean_pool", "dropout": 0.0})
    ).train()


def sessions_of(case: str, rank: int | None) -> tuple[dict[str, Any], list[float], torch.Tensor]:
    """Return inputs, loss weights and targets of the sessions of a process; None: of all."""
    parts = CASES[case]
    n_sessions = sum(map(len, parts))
    indices = [*parts[0], *parts[1]] if rank is None else parts[rank]
    weights = [1 / n_sessions] * len(indices) or [0.0]
    indices = indices or [0]
    generator = torch.Generator().manual_seed(0)
    audio = torch.rand(5, 2, 9600, generator=generator) - 0.5
    face = torch.randint(0, 256, (5, 2, 2, 3, 32, 32), generator=generator).byte()
    audio_length = np.array([[9600, 8000], [9600, 0], [5000, 9600], [2000, 0], [0, 0]])
    face_length = np.array([[2, 1], [2, 0], [0, 2], [0, 1], [2, 2]])
    inputs = {
        "audio": Inputs(audio[indices], audio_length[indices]),
        "face": Inputs(face[indices], face_length[indices]),
    }
    return inputs, weights, torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])[indices]


def compute_gradients(
    model: DepressionModel,
    wrapped: nn.Module,
    inputs: dict[str, Any],
    weights: list[float],
    targets: torch.Tensor,
    n_processes: int,
) -> dict[str, Any]:
    """Return gradients and buffers after one training pass."""
    model.zero_grad()
    with exclude_positions(model) if weights == [0.0] else nullcontext():
        logits = wrapped(inputs).logits
    loss = (model.head.loss(logits, targets) * torch.tensor(weights)).sum()
    (loss * n_processes).backward()
    return {
        "gradients": {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in model.named_parameters()
        },
        "buffers": {n: b.clone() for n, b in model.named_buffers() if "running_" in n},
    }


def run_process(rank: int, folder: str) -> None:
    """Compute all cases in one of the processes, and save the results."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=N_PROCESSES
    )
    results: dict[str, Any] = {
        "layer": {
            lengths: normalise_part(lengths, slice(rank, rank + 1)) for lengths in LAYER_LENGTHS
        }
    }
    for case in CASES:
        model = build_two_modality_model()
        wrapped = DistributedDataParallel(model, find_unused_parameters=True)
        sessions = sessions_of(case, rank)
        results[case] = compute_gradients(model, wrapped, *sessions, N_PROCESSES)
    torch.save(results, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()
