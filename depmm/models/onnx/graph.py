"""Write a module as an ONNX graph, and compare the graph with the module."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from depmm.models.onnx.errors import OnnxError

MAX_ERROR = 1e-4  # of onnxruntime against torch, relative to values above 1


def write_graph(
    module: nn.Module,
    example: Mapping[str, Tensor],
    dynamic: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    path: Path,
) -> None:
    """Write a module as an ONNX graph.

    Parameters
    ----------
    module : Module
        In evaluation mode; its ``forward`` takes the tensors of the inputs in order.
    example : mapping of str to Tensor
        Example of each input; dynamic sizes are at least 2.
    dynamic : mapping of str to sequence of int
        Dimensions of each input that may have any size.
    outputs : sequence of str
        Names of the outputs.
    path : Path
        The file.

    Raises
    ------
    OnnxError
        If the extra ``onnx`` is not installed, or the module cannot be exported.
    """
    onnx = _import_onnx()
    auto = torch.export.Dim.DYNAMIC
    shapes = tuple(dict.fromkeys(dynamic[name], auto) for name in example)
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(
                module, tuple(example.values()), dynamic_shapes=(shapes,), strict=False
            )
            exported = torch.onnx.export(
                program, (), dynamo=True, input_names=list(example), output_names=list(outputs),
                verbose=False,
            )  # fmt: skip
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        lines = str(error).strip().splitlines()
        raise OnnxError(
            f"{type(module).__name__} cannot be exported to ONNX ({lines[0] if lines else error!r}"
            ").",
            file=path,
            value=str(error),
            remedy="Export the run without --onnx.",
        ) from error
    assert exported is not None  # it is None with a file name only
    model = exported.model_proto
    _strip(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def compare_graph(module: nn.Module, inputs: Sequence[Mapping[str, Tensor]], path: Path) -> float:
    """Run a graph in onnxruntime, and return its largest difference to the module.

    Parameters
    ----------
    module : Module
        A module that takes the tensors of the inputs in order, and returns one or several tensors.
    inputs : sequence of mapping of str to Tensor
        Inputs of several sizes.
    path : Path
        The graph.

    Returns
    -------
    float
        Largest difference, relative to values above 1.

    Raises
    ------
    OnnxError
        If it is above ``MAX_ERROR``.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    largest = 0.0
    for values in inputs:
        with torch.no_grad():
            expected = module(*values.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(None, {name: value.numpy() for name, value in values.items()})
        for wanted, got in zip(expected, found, strict=True):
            reference = wanted.numpy()
            error = np.abs(got - reference) / np.maximum(1, np.abs(reference))
            largest = max(largest, float(error.max()))
    if not largest <= MAX_ERROR:
        raise OnnxError(
            f"{path.name}: onnxruntime differs from torch by {largest:.1e}.",
            file=path,
            value=largest,
            remedy="Update onnxruntime and torch, or export the run without --onnx.",
        )
    return largest


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise OnnxError(
            f"The export to ONNX needs {error.name}.",
            value=error.name,
            remedy="Install the extra: pip install 'depmm[onnx]'.",
        ) from None
    del onnxruntime, onnxscript
    return onnx


def _strip(model: Any) -> None:
    """Remove what torch adds about the source code: it contains paths of this computer."""
    parts = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output]
    parts += [*model.graph.value_info, *model.graph.initializer, *model.functions]
    for function in model.functions:
        parts += function.node
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch says about itself: a deprecated call, and torchvision that is absent."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning
            )
            yield
    finally:
        logger.setLevel(level)
