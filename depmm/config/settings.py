"""Base class of all settings, and the error for settings that cannot be used."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from depmm.errors import DepmmError

SAMPLE_RATE = 16_000  # Hz, every waveform in the project
MAX_SEED = 2**32 - 1  # of scikit-learn and optuna
CROP_SIZE = 224  # pixels, height and width of every stored face crop
TRACKS = ("audio", "face")  # of a recording, and columns of steps.parquet that name its file
# branches of a fusion and columns of tables, and attributes of torch.nn.ModuleDict, whose keys are
# the modalities
_RESERVED = frozenset({
    "multimodal", "cross", "error", "gap", "of_others", "add_module", "apply", "bfloat16",
    "buffers", "call_super_init", "children", "clear", "compile", "cpu", "cuda", "double",
    "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state",
    "get_parameter", "get_submodule", "half", "ipu", "items", "keys", "load_state_dict", "modules",
    "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "parameters",
    "pop", "register_backward_hook", "register_buffer", "register_forward_hook",
    "register_forward_pre_hook", "register_full_backward_hook", "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook", "register_module",
    "register_parameter", "register_state_dict_post_hook", "register_state_dict_pre_hook",
    "requires_grad_", "set_extra_state", "set_submodule", "share_memory", "state_dict", "to",
    "to_empty", "train", "training", "type", "update", "values", "xpu", "zero_grad",
})  # fmt: skip


def _not_reserved(name: str) -> str:
    if name in _RESERVED:
        raise ValueError(f"{name!r} has another meaning. Give the modality another name.")
    return name


Modality = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_not_reserved)
]


def _is_local(value: Any) -> Any:
    if value == "":  # as a path, it would be the current folder
        raise ValueError("the path is empty. Give the path of a file or folder.")
    if isinstance(value, str) and "://" in value:
        raise ValueError(
            f"{value[:200]} is a URL. Give a path of this computer; only data.store can be a URL."
        )
    return value


# YAML has no type for paths: strict validation would reject a string
FilePath = Annotated[Path, BeforeValidator(_is_local), Field(strict=False)]


class ConfigError(DepmmError):
    """A config or a setting that cannot be used.

    ``setting`` is the dotted name of the setting, ``value`` the given value and ``file`` the
    config. Validators of a section give the name relative to their section; ``load_config``
    completes it.
    """


class Settings(BaseModel):
    """Base class of every section; unknown keys and values of another type are errors.

    None is the value of a setting whose type allows None; any other setting that is None has its
    default, and an entry of a mapping that is None is left out.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_gives_the_default(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kept = {}
        for name, value in values.items():
            field = cls.model_fields.get(name)
            if field is None:  # unknown: an error
                kept[name] = value
            elif value is not None or _allows_none(field.annotation):
                kept[name] = _without_none(value, field.annotation)
        return kept


def _allows_none(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(_allows_none(part) for part in get_args(annotation))
    return annotation in (NoneType, Any)


def _without_none(value: Any, annotation: Any) -> Any:
    """Leave out the entries of a mapping that are None, unless its type allows None."""
    if get_origin(annotation) is not dict or not isinstance(value, dict):
        return value
    if _allows_none(get_args(annotation)[1]):
        return value
    return {key: entry for key, entry in value.items() if entry is not None}
