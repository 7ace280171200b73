"""Detect on a CPU that a computation waits for the device."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from depmm.inputs import Inputs
from depmm.models.model import DepressionModel
from depmm.training.losses import compute_batch_loss

# operations whose result, or its shape, must be known on the host
QUESTIONS = (
    *("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "unique_dim"),
    *("equal", "is_nonzero", "repeat_interleave", "bincount", "nonzero_static"),
)


class HostQuestions(TorchDispatchMode):
    """Count the operations that wait for a GPU; run on the CPU, also inside of libraries.

    Attributes
    ----------
    counts : Counter of str
        Number of calls of each operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        """Count the operation if it waits, and run it."""
        packet = function.overloadpacket.__name__.split("::")[-1]
        if packet in QUESTIONS or (packet == "index" and has_mask(args[1])):
            self.counts[packet] += 1
        # assignment of one number by a mask is computed as masked_fill
        if packet.startswith("index_put") and has_mask(args[1]) and args[2].numel() > 1:
            self.counts[packet] += 1
        return function(*args, **(kwargs or {}))


def has_mask(indices: list[Tensor | None]) -> bool:
    """Check whether an index is a mask, whose shape is then needed."""
    return any(index is not None and index.dtype == torch.bool for index in indices)


def train_without_values(
    model: DepressionModel, inputs: dict[str, Inputs], monkeypatch: pytest.MonkeyPatch
) -> Tensor:
    """Compute logits, loss and gradients with tensors that have a shape, but no values.

    Reading a value, or an operation whose shape depends on values, raises an error; so does an
    operation on tensors of the host and of the device, which is ``meta``.
    """
    # not implemented for tensors without values
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    # indices that a module caches belong to no mode
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def to_meta(tensor: Tensor) -> Tensor:
        fake = mode.from_tensor(tensor)
        with mode:
            return fake.detach().to("meta").requires_grad_(tensor.requires_grad)

    state = {
        name: to_meta(tensor)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    device_inputs = {
        name: part if part.on_host else replace(part, values=to_meta(part.values))
        for name, part in inputs.items()
    }
    with mode:
        output = torch.func.functional_call(model, state, (device_inputs,))
        target, weight = torch.zeros(2, 2, device="meta")
        loss = compute_batch_loss(model.head, output, target, weight, 0.5, 0.0)
        if loss.requires_grad:
            loss.backward()
    if model.training:
        learned = [name for name, p in model.named_parameters() if p.requires_grad]
        assert any(state[name].grad is not None for name in learned)
    return output.logits


def count_questions(model: nn.Module, inputs: dict[str, Inputs]) -> Counter[str]:
    """Count the operations of a forward pass that wait for a GPU."""
    with HostQuestions() as questions:
        model(inputs)
    return questions.counts
