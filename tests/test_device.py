"""Choice of the device, and precision of float32 computations."""

import pytest
import torch

from depmm.device import choose_device, float32_precision


@pytest.mark.parametrize(
    ("argument", "gpu", "use_cpu", "expected"),
    [
        (None, True, "", "cuda"),
        (None, True, "false", "cuda"),
        (None, True, "true", "cpu"),
        (None, False, "", "cpu"),
        ("cuda:1", False, "true", "cuda:1"),
        ("cpu", True, "", "cpu"),
    ],
)
def test_the_first_gpu_is_used_unless_another_device_is_requested(
    monkeypatch, argument, gpu, use_cpu, expected
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("ACCELERATE_USE_CPU", use_cpu)
    assert choose_device(argument) == torch.device(expected)


def get_precision() -> tuple[str, bool]:
    """Return the precision of matrix products, and whether convolutions may use TF32."""
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def test_the_precision_is_set_for_cuda_only_and_restored():
    before = get_precision()
    with float32_precision("high", torch.device("cpu")):
        assert get_precision() == before
    with float32_precision("high", torch.device("cuda")):
        assert get_precision() == ("high", True)
        with float32_precision("highest", torch.device("cuda")):
            assert get_precision() == ("highest", False)
        assert get_precision() == ("high", True)
    assert get_precision() == before
