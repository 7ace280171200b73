"""Batch normalisation over valid positions, against torch; several processes against one."""

from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from several_processes import (
    CASES,
    N_PROCESSES,
    build_two_modality_model,
    compute_gradients,
    normalise_part,
    run_process,
    sessions_of,
)
from torch import nn

from depmm.models.batch_norm import MaskedBatchNorm1d, MaskedBatchNorm2d, exclude_positions

LAYERS = [
    (nn.BatchNorm1d, MaskedBatchNorm1d, (4, 3, 7)),
    (nn.BatchNorm2d, MaskedBatchNorm2d, (4, 3, 2, 7)),
]


def pair(reference, masked, channels: int = 3):
    """Build two layers with the same random parameters."""
    torch.manual_seed(0)
    layers = reference(channels), masked(channels)
    for layer in layers:
        torch.manual_seed(1)
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return layers


def apply(layer, x, *args):
    """Apply a layer and return output and gradients of a weighted sum of it."""
    x = x.clone().requires_grad_()
    out = layer(x, *args)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out).sin()).sum().backward()
    return out.detach(), x.grad, layer.weight.grad, layer.bias.grad


def assert_same_buffers(a: nn.Module, b: nn.Module) -> None:
    torch.testing.assert_close(dict(a.named_buffers()), dict(b.named_buffers()))


@pytest.mark.parametrize(("reference", "masked", "shape"), LAYERS)
@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_without_invalid_positions_it_is_that_of_torch(reference, masked, shape, mask, training):
    a, b = pair(reference, masked)
    assert a.state_dict().keys() == b.state_dict().keys()
    args = [torch.ones(shape[0], shape[-1], dtype=torch.bool)] if mask else []
    for offset in (0, 1000):  # a mean that is large compared with the standard deviation
        x = torch.randn(shape) + offset
        for layer in (a, b):
            layer.train().zero_grad()
        # the second batch in evaluation mode uses the statistics of the first
        for layer in (a, b):
            layer.train(training or offset == 0)
        result, expected = apply(b, x, *args), apply(a, x)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=2e-3 if offset else 1e-5)
        assert_same_buffers(a, b)
        torch.manual_seed(3)


def test_statistics_are_those_of_the_gathered_valid_frames():
    a, b = pair(nn.BatchNorm2d, MaskedBatchNorm2d)
    x = torch.randn(3, 3, 2, 5)
    valid = torch.arange(5) < torch.tensor([5, 0, 2])[:, None]
    x[1, :, :, 1] = torch.nan  # an invalid position is not read
    frames = x.permute(0, 3, 1, 2)[valid].unsqueeze(-1)
    weight = torch.linspace(-1, 1, x.numel()).view_as(x).sin()
    frames.requires_grad_()
    expected = a(frames)
    (expected.squeeze(-1) * weight.permute(0, 3, 1, 2)[valid]).sum().backward()
    out, gradient, *of_parameters = apply(b, x, valid)
    torch.testing.assert_close(out.permute(0, 3, 1, 2)[valid].unsqueeze(-1), expected)
    inside = valid[:, None, None].expand_as(out)
    assert (out[~inside] == 0).all()
    assert (gradient[~inside] == 0).all()
    torch.testing.assert_close(
        gradient.permute(0, 3, 1, 2)[valid].unsqueeze(-1), frames.grad, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(of_parameters, [a.weight.grad, a.bias.grad])
    assert_same_buffers(a, b)


@pytest.mark.parametrize("mask", [True, False])
def test_a_single_position_has_no_variance(mask):
    layer = MaskedBatchNorm2d(2)
    x = torch.tensor([3.0, -5.0]).view(1, 2, 1, 1)
    args = [torch.ones(1, 1, dtype=torch.bool)] if mask else []
    out, gradient, *_ = apply(layer, x, *args)
    assert (out == 0).all()  # the bias
    assert (gradient == 0).all()
    assert layer.running_mean.tolist() == pytest.approx([0.3, -0.5])
    assert layer.running_var.tolist() == pytest.approx([0.9, 0.9])


def test_no_position_leaves_the_running_statistics():
    layer = MaskedBatchNorm2d(2)
    layer.running_mean.fill_(4.0)
    x = torch.randn(2, 2, 3, 4)
    out, *_ = apply(layer, x, torch.zeros(2, 4, dtype=torch.bool))
    assert (out == 0).all()
    with exclude_positions(layer):
        out, gradient, *_ = apply(layer, x)
    torch.testing.assert_close(out, (x - 4) / (1 + 1e-5) ** 0.5)
    assert gradient.isfinite().all()
    assert not layer.excluded
    assert layer.running_mean.tolist() == [4.0, 4.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked == 0


def test_half_precision_is_computed_in_float32():
    layer, reference = MaskedBatchNorm2d(2), nn.BatchNorm2d(2)
    x = (torch.randn(4, 2, 3, 5) + 30).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x, torch.ones(4, 5, dtype=torch.bool))
        expected = reference(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected)
    assert_same_buffers(layer, reference)


@pytest.fixture(scope="module")
def of_processes(tmp_path_factory) -> list[dict]:
    """Return what each of two processes computed."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(run_process, (str(folder),), nprocs=N_PROCESSES)
    return [
        torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(N_PROCESSES)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [(5, 3), (5, 0), (1, 0), (0, 0)])
def test_a_layer_of_two_processes_normalises_as_one_does(lengths, of_processes):
    expected = normalise_part(lengths, slice(None))
    results = [process["layer"][lengths] for process in of_processes]
    for name in ("out", "gradient"):
        joined = torch.cat([result[name] for result in results])
        torch.testing.assert_close(joined, expected[name], rtol=1e-5, atol=1e-6)
    for name in ("weight", "bias"):
        torch.testing.assert_close(sum(result[name] for result in results), expected[name])
    for result in results:
        torch.testing.assert_close(result["buffers"], expected["buffers"])
        for name, value in result["buffers"].items():
            assert torch.equal(value, results[0]["buffers"][name])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_gradient_of_one(case, of_processes):
    model = build_two_modality_model()
    expected = compute_gradients(model, model, *sessions_of(case, None), 1)
    assert max(gradient.abs().max() for gradient in expected["gradients"].values()) > 0.1
    for process in of_processes:
        result = process[case]
        torch.testing.assert_close(result["gradients"], expected["gradients"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(result["buffers"], expected["buffers"], rtol=1e-5, atol=1e-6)
