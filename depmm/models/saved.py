"""Checks of a saved model before it is used: its folder, its config and its tensors."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from depmm.config import EncoderConfig, FusionConfig
from depmm.errors import closest, similar_path
from depmm.files.checksums import check, read_json
from depmm.files.damage import DamagedFileError, damaged, remedy_for
from depmm.models.errors import ModelError, WeightsError
from depmm.models.parameter_limit import limited_parameters

MODEL_TYPE = "depmm"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
# far above every published model; larger sizes are typing errors or attacks
MAX_NUMBER = 100_000
# vocabularies, ids of tokens and bases of rotary positions of published models are larger
LARGE = ("vocab_size", "_id", "_ids", "_theta")
MAX_LARGE = 10_000_000
MAX_CONFIG_BYTES = 1 << 27  # the tokenizer of XLM-R has 17 MB
MAX_LEVELS = 50  # of dicts and lists in each other
# settings that count layers, each of which has at least one tensor
DEPTHS = ("layers", "blocks", "n_stacks", "num_hidden_layers", "num_adapter_layers")
FLOAT_TYPES = ("float32", "float16", "bfloat16")
SECTIONS: dict[str, TypeAdapter[Any]] = {
    "encoders": TypeAdapter(dict[str, EncoderConfig]),
    "fusion": TypeAdapter(FusionConfig),
    "subtract_session_mean": TypeAdapter(bool),
    "auxiliary_step_head": TypeAdapter(bool),
    "target": TypeAdapter(Literal["binary", "severity", "levels"]),
    "output": TypeAdapter(Literal["number", "linear", "classes", "ordinal"]),
    "score_range": TypeAdapter(Annotated[list[float], Field(min_length=2, max_length=2)]),
}

TensorType = tuple[tuple[int, ...], torch.dtype]  # shape and type of the values
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def find_saved_model(path: Path | str, subfolder: str = "") -> Path:
    """Find the local folder of a saved model; a hub is never asked.

    Parameters
    ----------
    path : Path or str
        Folder of a run or of a cross-validation.
    subfolder : str, optional
        Folder of a fold in it.

    Returns
    -------
    Path
        The folder, which contains ``model.safetensors``.

    Raises
    ------
    ModelError
        If it does not exist or contains no model.
    """
    folder = Path(path) / subfolder
    if not folder.is_dir():
        raise missing_model(folder)
    if not (folder / WEIGHTS_FILE).exists():
        folds = sorted(entry.parent.name for entry in folder.glob(f"*/{WEIGHTS_FILE}"))
        raise ModelError(
            f"{folder}: the folder contains no {WEIGHTS_FILE}.",
            file=folder / WEIGHTS_FILE,
            remedy=f"Give one of its folds: {', '.join(folds[:5])}."
            if folds
            else "Finish the training of the run, or check the path.",
        )
    return folder


def missing_model(folder: Path) -> ModelError:
    """Build the error of a folder that does not exist.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    ModelError
        The error, to be raised; its remedy names the most similar path.
    """
    return ModelError(
        f"{folder}: there is no such folder. Runs are read from local folders only.",
        file=folder,
        remedy=similar_path(folder) or "Check the path, or download the run first.",
    )


def is_path_of_run(name: Path | str) -> bool:
    """Guess whether a name that is no existing path is the mistyped path of a local run.

    Parameters
    ----------
    name : Path or str
        What was given to transformers: a path or the name of a model on a hub.

    Returns
    -------
    bool
        Whether the name, or the most similar path, lies in a folder of runs.
    """
    path = Path(name)
    if path.exists():
        return False
    if isinstance(name, Path) or path.parent.name == "runs":
        return True
    similar = similar_path(path)
    folders = [path.parent] if path.parent != Path() else []
    if similar is not None:
        similar_folder = Path(similar.removeprefix("Did you mean ").removesuffix("?"))
        folders += [similar_folder, similar_folder.parent]
    return any(_holds_runs(folder) for folder in folders)


def _holds_runs(folder: Path) -> bool:
    return any(
        (run / "config.yaml").is_file() and (run / "environment.json").is_file()
        for run in (folder, *folder.glob("*"))
    )


def read_saved_config(folder: Path) -> dict[str, Any]:
    """Read and check the ``config.json`` of a saved model.

    Parameters
    ----------
    folder : Path
        Folder of the model.

    Returns
    -------
    dict of str to object
        Its content.

    Raises
    ------
    ModelError
        If the file does not exist.
    DamagedFileError
        If it or the file of the weights does not match its checksum, or a value is missing or
        cannot be used.
    WeightsError
        If the header of the weights cannot be read.
    """
    path = folder / CONFIG_FILE
    if not path.exists():
        raise ModelError(f"{path}: there is no such file.", file=path, remedy=remedy_for(path))
    if (size := path.stat().st_size) > MAX_CONFIG_BYTES:
        raise damaged(path, f"{size} bytes are more than {MAX_CONFIG_BYTES}")
    content = read_json(path)
    if content.get("model_type") != MODEL_TYPE:
        raise damaged(path, f"model_type is {content.get('model_type')!r:.80}, not {MODEL_TYPE!r}")
    check(folder / WEIGHTS_FILE)
    _check_numbers(path, content, len(read_header(folder / WEIGHTS_FILE)), "")
    for name, section in SECTIONS.items():
        if name not in content:
            raise damaged(path, f"{name} is missing")
        try:
            value = section.validate_python(content[name], strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join([name, *map(str, first["loc"])])
            raise damaged(path, f"{where} is {first['input']!r:.80}: {first['msg']}") from None
        # a default in place of a missing setting would give other predictions
        if differing := _find_difference(content[name], section.dump_python(value), name):
            raise damaged(path, f"{differing} is missing")
    low, high = content["score_range"]
    if not low < high:
        raise damaged(path, f"score_range is {content['score_range']}, which is empty")
    if content.get("dtype") not in (None, *FLOAT_TYPES):
        raise damaged(path, f"dtype is {content['dtype']!r:.80}, none of {', '.join(FLOAT_TYPES)}")
    return content


def add_defaults(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """Add the default of every missing setting, so that a saved model does not depend on them.

    Parameters
    ----------
    section : {"encoders", "fusion"}
        Section of the config of the model.
    values : dict
        Its settings.

    Returns
    -------
    dict
        All settings.
    """
    adapter = SECTIONS[section]
    complete: dict[str, Any] = adapter.dump_python(adapter.validate_python(values))
    return complete


def _find_difference(given: Any, used: Any, name: str) -> str | None:
    """Find the first setting that is used, but is not the given one."""
    if isinstance(given, dict) and isinstance(used, dict):
        found = (_find_difference(given.get(key), used[key], f"{name}.{key}") for key in used)
        return next((where for where in found if where), None)
    return None if given == used else name


def _check_numbers(path: Path, value: Any, n_tensors: int, name: str, level: int = 0) -> None:
    """Refuse sizes with which the model could not have been trained."""
    if level > MAX_LEVELS:
        raise damaged(path, f"{name[:40]} has more than {MAX_LEVELS} levels")
    if isinstance(value, dict):
        for key, entry in value.items():
            where = f"{name}.{key}" if name else str(key)
            _check_numbers(path, entry, n_tensors, where, level + 1)
    elif isinstance(value, list):
        if len(value) > max(n_tensors, 1000):
            raise damaged(path, f"{name} has {len(value)} entries")
        for entry in value:
            _check_numbers(path, entry, n_tensors, name, level + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        depth = name.rpartition(".")[2] in DEPTHS
        limit = n_tensors if depth else MAX_LARGE if name.endswith(LARGE) else MAX_NUMBER
        if abs(value) > limit:
            raise damaged(path, f"{name} is {value!r:.40}, more than {limit}")


def read_header(path: Path) -> dict[str, TensorType]:
    """Read names, shapes and types of the tensors of a safetensors file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to tuple
        Shape and type of each tensor.

    Raises
    ------
    WeightsError
        If the file is not in safetensors.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = {}
            for name in file.keys():  # noqa: SIM118
                entry = file.get_slice(name)
                header[name] = (tuple(entry.get_shape()), _TYPES[entry.get_dtype()])
            return header
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{path}: cannot be read as safetensors ({error}).", file=path, remedy=remedy_for(path)
        ) from None


def check_tensors(
    path: Path, expected: Mapping[str, TensorType], found: Mapping[str, TensorType]
) -> None:
    """Check that a file has exactly the tensors of a model.

    Parameters
    ----------
    path : Path
        The file.
    expected, found : mapping of str to tuple
        Shape and type of the tensors of the model and of the file.

    Raises
    ------
    WeightsError
        If a tensor is missing, unexpected, or has another shape or type.
    """
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    problem = None
    if missing:
        problem, name = f"the tensor {missing[0]!r} is missing", missing[0]
        if similar := closest(missing[0], unexpected):
            problem += f"; the file has {similar!r}, which the model does not have"
        if len(missing) > 1:
            problem += f" ({len(missing)} tensors are missing)"
    elif unexpected:
        name = unexpected[0]
        problem = f"the model has no tensor {name!r} ({len(unexpected)} are unexpected)"
    else:
        for name, (shape, dtype) in expected.items():
            if found[name][0] != shape:
                problem = f"the tensor {name!r} has the shape {found[name][0]}, not {shape}"
            elif found[name][1] != dtype:
                problem = f"the tensor {name!r} has the type {found[name][1]}, not {dtype}"
            if problem:
                break
    if problem:
        raise WeightsError(f"{path}: {problem}.", file=path, value=name, remedy=remedy_for(path))


def tensor_types(tensors: Mapping[str, Tensor]) -> dict[str, TensorType]:
    """Return shape and type of tensors.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The tensors.

    Returns
    -------
    dict of str to tuple
        Shape and type of each.
    """
    return {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}


def check_finite(path: Path, tensors: Mapping[str, Tensor], remedy: str | None = None) -> None:
    """Check that no tensor contains NaN or an infinity.

    Parameters
    ----------
    path : Path
        File of the tensors.
    tensors : mapping of str to Tensor
        The tensors.
    remedy : str, optional
        What to do; by default that of a file of a run.

    Raises
    ------
    WeightsError
        If a tensor contains such a value.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WeightsError(
                f"{path}: the tensor {name!r} contains NaN or an infinity.",
                file=path,
                value=name,
                remedy=remedy or remedy_for(path),
            )


def check_saved_weights(
    folder: Path, build: Callable[[], torch.nn.Module], dtype: torch.dtype | None
) -> None:
    """Check the weights of a saved model against its architecture, before they are loaded.

    Parameters
    ----------
    folder : Path
        Folder of the model.
    build : callable
        Builds the model; it is called on the meta device, where sizes take no memory.
    dtype : torch.dtype or None
        Type in which the model was saved; default: that of its construction.

    Raises
    ------
    DamagedFileError
        If the model cannot be built from its config.
    WeightsError
        If a tensor is missing, unexpected, or has another shape or type.
    """
    path = folder / WEIGHTS_FILE
    found = read_header(path)
    try:
        # a factor, because parts of a pre-trained network are built and not kept
        with torch.device("meta"), limited_parameters(1000 + 10 * len(found)):
            expected = tensor_types(build().state_dict())
    except DamagedFileError:
        raise
    except Exception as error:  # settings that contradict each other raise in many ways
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise damaged(folder / CONFIG_FILE, f"no model can be built from it ({reason})") from None
    for name, (shape, _) in list(expected.items()):
        if dtype is not None and name in found and found[name][1] == dtype:
            expected[name] = (shape, dtype)
    check_tensors(path, expected, found)
