"""The benchmark for a GPU, on the CPU at tiny sizes."""

import pytest
import torch
from imitated_gpu import GPU, OneDevice, imitated_gpu

from experiments.benchmarks import gpu, gpu_work
from experiments.results import check_cell

SETUP = gpu.Setup(torch.device("cpu"), quick=True)


def test_rows_are_the_same_at_tiny_and_full_sizes():
    tiny, full = (
        [row[:3] for row in gpu.list_rows(gpu.Setup(SETUP.device, quick))]
        for quick in (True, False)
    )
    assert tiny == full
    assert len(set(tiny)) == len(tiny)
    parts = {"training", "encoder", "precompute", "DDP", "torch.compile", "attention"}
    assert {part for part, _, _ in tiny} == parts


def measured(row) -> dict[str, object]:
    cells = gpu.measure(row, SETUP, out_of_time=False)
    for column, cell in cells.items():
        check_cell(column, cell, None)
    return cells


@pytest.mark.parametrize(
    ("part", "case", "precision"),
    [
        ("training", "mult", "bfloat16"),
        ("training", "depnet", "float32"),
        ("encoder", "hubert_base", "bfloat16"),
        ("encoder", "vit_base", "float32"),
        ("precompute", "SE-ResNet-50", "float32"),
        ("attention", "sparse, L = 24, batch 256", "bfloat16"),
        ("attention", "math, L = 24, batch 256", "bfloat16"),
    ],
)
def test_a_row_has_a_value(part, case, precision):
    (row,) = [row for row in gpu.list_rows(SETUP) if row[:3] == (part, case, precision)]
    cells = measured(row)
    assert cells["value"] is not None, cells["remark"]
    assert cells["value"] > 0
    assert (cells["ratio"] is not None) == (cells["reference"] is not None)


def test_a_wrapped_model_is_compared_with_the_plain_one():
    cells = measured(
        ("DDP", "mult", "bfloat16", lambda: gpu.measure_wrapped("mult", "DDP", True, SETUP))
    )
    assert cells["ratio"] is not None, cells["remark"]
    assert not torch.distributed.is_initialized()


def test_a_failure_is_a_row_with_its_reason():
    def fail():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    failed = measured(("training", "large", "float32", fail))
    assert failed["value"] is None
    assert failed["remark"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    late = gpu.measure(("training", "large", "float32", fail), SETUP, out_of_time=True)
    assert late["value"] is None
    assert list(late) == list(failed)


def test_nothing_is_read_from_the_device_while_the_clock_runs():
    config, n_sessions = gpu_work.load_system("mult", quick=True)
    with imitated_gpu() as reads:
        step, _, _ = gpu_work.build_training(config, n_sessions, GPU, True, quick=True)
        with OneDevice():
            step()
            gpu.measure_attention(24, 1, None, gpu.Setup(GPU, quick=True))
    assert reads == []
