"""Measure training and encoding on a GPU: one table, within 8 minutes.

    python experiments/benchmarks/gpu.py [--record] [--seconds 400]
    python experiments/benchmarks/gpu.py --device cpu --quick       # the same rows at tiny sizes

- A training step of every published system at full size and with the batch size of its config, in
  float32 (TensorFloat-32, as in training) and under bfloat16 autocast.
- Encoders of transformers with random weights, and SE-ResNet-50.
- ``depmm precompute`` of face crops from a store, against the encoder on crops on the device.
- The training step in DistributedDataParallel on one device, and compiled, against the plain one.
- Forward and backward pass of the kernels of dense attention, and of sparse attention.

Batches are on the device before the clock starts. It is read after the device has finished, before
and after a number of repetitions that takes about half a second; nothing is read from the device
within them. A row that fails, for example out of memory, states the reason instead of a value. Rows
for which there is no time left state that.
"""

import argparse
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import distributed
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.parallel import DistributedDataParallel

from depmm.data.precompute import ensure_embeddings
from depmm.device import float32_precision
from depmm.models.encoders.build import build_encoder
from depmm.models.fusion.dep_former.query_selection import QuerySelection, count_selected_queries
from depmm.models.fusion.dep_former.sparse_attention import attend_selected, score_all_keys
from experiments.benchmarks.gpu_work import (
    CROP_SIZE,
    FACE_ENCODER,
    SE_RESNET,
    STEP_S,
    Work,
    build_encoding,
    build_training,
    encoder_settings,
    load_system,
    write_crops,
)
from experiments.results import publish, refuse_settings

SYSTEMS = (
    "dep_former", "dep_former_release", "attention_resnet_18", "attention_resnet_101",
    "emoaudionet", "depnet", "senet", "resnet50_sequence", "spectrogram_cnn", "mult",
    "perceiver_fusion", "dep_mamba",
)  # fmt: skip
# steps per batch
ENCODERS = (("hubert_base", 64), ("wavlm_base", 64), ("vit_base", 128), (SE_RESNET, 128))
LENGTHS = ((24, 256), (72, 256), (512, 32), (4096, 4))  # length, batch
KERNELS = (SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.FLASH_ATTENTION)
COMPILED = ("dep_former_release", "attention_resnet_18")
TARGET_S, WARMUP, N_TURNS = 0.4, 3, 3


@dataclass(frozen=True)
class Measurement:
    """What a row states.

    Attributes
    ----------
    value : float
        Steps, images or passes per second.
    unit : str
        Unit of the value.
    reference : float or None
        What the value is compared with, in the same unit.
    meaning : str
        Meaning of the reference.
    """

    value: float
    unit: str
    reference: float | None = None
    meaning: str = ""


@dataclass(frozen=True)
class Setup:
    """Where and how long is measured.

    Attributes
    ----------
    device : device
        Device of models and batches.
    quick : bool
        Whether sizes are tiny.
    """

    device: torch.device
    quick: bool


Row = tuple[str, str, str, Callable[[], Measurement]]  # part, case, precision, measurement


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Work, repeats: int, device: torch.device) -> float:
    """Measure the seconds of one of several repetitions."""
    synchronise(device)
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronise(device)
    return (time.perf_counter() - began) / repeats


def rates_in_turns(works: list[Work], setup: Setup) -> list[float]:
    """Measure repetitions per second of several computations in turns, after a warm-up."""
    device = setup.device
    for work in works:
        seconds_of(work, 1 if setup.quick else WARMUP, device)
    target = 0.0 if setup.quick else TARGET_S
    repeats = [max(1, round(target / seconds_of(work, 1, device))) for work in works]
    turns = [
        [seconds_of(work, n, device) for work, n in zip(works, repeats, strict=True)]
        for _ in range(1 if setup.quick else N_TURNS)
    ]
    return [1 / statistics.median(times) for times in zip(*turns, strict=True)]


def measure_training(name: str, half: bool, setup: Setup) -> Measurement:
    """Measure the training step of a config."""
    config, n_sessions = load_system(name, setup.quick)
    step, _, _ = build_training(config, n_sessions, setup.device, half, setup.quick)
    with float32_precision("high", setup.device):
        (rate,) = rates_in_turns([step], setup)
    return Measurement(rate, f"steps/s, batch {n_sessions}")


def measure_wrapped(name: str, wrapper: str, half: bool, setup: Setup) -> Measurement:
    """Measure the training step of a wrapped model, against the plain one in turns."""
    config, n_sessions = load_system(name, setup.quick)
    steps = []
    with tempfile.TemporaryDirectory() as folder:
        if wrapper == "DDP":
            distributed.init_process_group(
                "nccl" if setup.device.type == "cuda" else "gloo",
                init_method=f"file://{folder}/rendezvous",
                rank=0,
                world_size=1,
            )
        try:
            for wrapped in (True, False):
                step, model, replace = build_training(
                    config, n_sessions, setup.device, half, setup.quick
                )
                if wrapped and wrapper == "DDP":
                    # as in a training of DEP-Former, where short batches leave layers unused
                    replace(DistributedDataParallel(model, find_unused_parameters=True))
                elif wrapped:
                    # eager is the compiler without a code generator, which a test does not need
                    replace(torch.compile(model, backend="eager" if setup.quick else "inductor"))
                steps.append(step)
            with float32_precision("high", setup.device):
                rate, plain = rates_in_turns(steps, setup)
        finally:
            if wrapper == "DDP":
                distributed.destroy_process_group()
            torch.compiler.reset()
    return Measurement(rate, f"steps/s, batch {n_sessions}", plain, "plain")


def measure_encoder(name: str, n_steps: int, half: bool, setup: Setup) -> Measurement:
    """Measure an encoder in evaluation mode, in bfloat16 against float32."""
    settings = encoder_settings(name, setup.quick)
    built = [
        build_encoding(settings, setup.device, low, n_steps, setup.quick)
        for low in ((True, False) if half else (False,))
    ]
    with float32_precision("highest", setup.device):
        rates = rates_in_turns([encode for encode, _ in built], setup)
    steps = [rate * n for rate, (_, n) in zip(rates, built, strict=True)]
    return Measurement(steps[0], "steps/s", *([steps[1], "float32"] if half else []))


def measure_precompute(setup: Setup) -> Measurement:
    """Measure the embedding of stored crops, against the encoder on crops on the device."""
    n_sessions, n_steps = (2, 3) if setup.quick else (60, 64)
    encode, n_crops = build_encoding(FACE_ENCODER, setup.device, False, n_steps, setup.quick)
    with float32_precision("highest", setup.device):
        (rate,) = rates_in_turns([encode], setup)
    encoders = {"face": build_encoder(FACE_ENCODER).eval()}
    with tempfile.TemporaryDirectory() as folder:
        data = write_crops(Path(folder), n_sessions, n_steps)
        began = time.perf_counter()
        ensure_embeddings(encoders, data, setup.device)
        synchronise(setup.device)
        seconds = time.perf_counter() - began
    images = n_sessions * n_steps / seconds
    return Measurement(images, "images/s", rate * n_crops, "encoder alone")


def measure_attention(length: int, batch: int, kernel: SDPBackend | None, setup: Setup):
    """Measure a pass of attention, forward and backward; None: sparse against dense attention."""
    if setup.quick:
        length, batch = min(length, 24), 1
    dtype = torch.float32 if setup.device.type == "cpu" else torch.bfloat16
    shape = (batch, 8, length, 64)
    q, k, v = (
        torch.randn(shape, device=setup.device, dtype=dtype, requires_grad=True) for _ in range(3)
    )
    mask = torch.ones(batch, length, dtype=torch.bool, device=setup.device)
    bound = count_selected_queries(length, 5)
    selection = QuerySelection(5)

    def dense() -> None:
        scaled_dot_product_attention(q, k, v).sum().backward()

    def sparse() -> None:
        scores = score_all_keys(q, k, mask, bound)
        selected = selection(q, k, mask, scores)
        attend_selected(q, k, v, selected, mask, bound, scores).sum().backward()

    if kernel is None:
        rate, reference = rates_in_turns([sparse, dense], setup)
        return Measurement(rate, "passes/s", reference, "dense")
    with sdpa_kernel(kernel):
        (rate,) = rates_in_turns([dense], setup)
    return Measurement(rate, "passes/s")


def list_rows(setup: Setup) -> Iterator[Row]:
    """List all rows; nothing is measured yet."""
    precisions = (("float32", False), ("bfloat16", True))
    for name in SYSTEMS:
        for precision, half in precisions:
            yield "training", name, precision, partial(measure_training, name, half, setup)
    for name, n_steps in ENCODERS:
        for precision, half in precisions:
            work = partial(measure_encoder, name, n_steps, half, setup)
            yield "encoder", name, precision, work
    yield "precompute", SE_RESNET, "float32", partial(measure_precompute, setup)
    for wrapper, names in (("DDP", COMPILED[:1]), ("torch.compile", COMPILED)):
        for name in names:
            work = partial(measure_wrapped, name, wrapper, True, setup)
            yield wrapper, name, "bfloat16", work
    for length, batch in LENGTHS:
        for kernel in (*KERNELS, None):
            name = "sparse" if kernel is None else kernel.name.lower()
            work = partial(measure_attention, length, batch, kernel, setup)
            yield "attention", f"{name}, L = {length}, batch {batch}", "bfloat16", work


def measure(row: Row, setup: Setup, out_of_time: bool) -> dict[str, object]:
    """Measure a row, or state why there is no value."""
    part, case, precision, work = row
    cells: dict[str, object] = {"part": part, "case": case, "precision": precision}
    empty = dict.fromkeys(("value", "unit", "reference", "ratio", "peak memory, GiB"))
    cuda = setup.device.type == "cuda"
    try:
        if out_of_time:
            return cells | empty | {"remark": "not measured: no time left"}
        if cuda:
            torch.cuda.reset_peak_memory_stats(setup.device)
        result = work()
        peak = torch.cuda.max_memory_allocated(setup.device) / 2**30 if cuda else None
        compared = result.reference is not None
        return cells | {
            "value": result.value,
            "unit": result.unit,
            "reference": result.reference,
            "ratio": result.value / result.reference if compared else None,
            "peak memory, GiB": peak,
            "remark": f"reference: {result.meaning}" if compared else "",
        }
    except Exception as error:  # a row states its failure, and the others follow
        lines = str(error).strip().splitlines() or [""]
        return cells | empty | {"remark": f"{type(error).__name__}: {lines[0][:120]}"}
    finally:
        gc.collect()
        if cuda:
            with contextlib.suppress(RuntimeError):  # repeats an error of the device
                torch.cuda.empty_cache()


def measure_all(setup: Setup, seconds: float) -> list[dict[str, object]]:
    """Measure all rows for which there is time."""
    end = time.perf_counter() + seconds
    rows = []
    for row in list_rows(setup):
        rows.append(measure(row, setup, time.perf_counter() > end))
        last = rows[-1]
        print(*(last[c] for c in ("part", "case", "precision", "value", "remark")), flush=True)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to test the script")
    parser.add_argument("--seconds", type=float, default=400, help="no row starts after this time")
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args(arguments)
    refuse_settings(parser, options, "device", "quick", "seconds")
    setup = Setup(torch.device(options.device), options.quick)
    rows = measure_all(setup, options.seconds)
    card = torch.cuda.get_device_name(setup.device) if setup.device.type == "cuda" else "CPU"
    notes = (
        f"One {card}. Batches are on the device. Training in float32 permits TensorFloat-32, "
        f"encoders do not. Crops have {CROP_SIZE} x {CROP_SIZE} pixels; steps of speech have "
        f"{STEP_S} s. Weights are random. Medians of three turns."
    )
    command = "python experiments/benchmarks/gpu.py --record"
    publish("gpu", rows, options.record, command=command, notes=notes)


if __name__ == "__main__":
    main()
