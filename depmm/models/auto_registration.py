"""Registration of a model with the Auto classes of transformers."""

from functools import wraps
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel

from depmm.models.saved import is_path_of_run, missing_model


def register_auto_classes(config_class: Any, model_class: Any) -> None:
    """Let AutoConfig and AutoModel of transformers open saved models of a class.

    They look up any name that is no local folder on a hub. With ``import depmm``, they refuse the
    mistyped path of a run instead; the names of other models are not affected.

    Parameters
    ----------
    config_class, model_class : type
        Subclasses of ``PreTrainedConfig`` and ``PreTrainedModel``.
    """
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    AutoModel.register(config_class, model_class, exist_ok=True)
    for auto_class in (AutoConfig, AutoModel):
        auto_class.from_pretrained = _refusing_missing_runs(auto_class)


def _refusing_missing_runs(auto_class: Any) -> Any:
    original = auto_class.from_pretrained.__func__

    @wraps(original)
    def from_pretrained(cls: Any, name: Path | str, *args: Any, **kwargs: Any) -> Any:
        if is_path_of_run(name):
            raise missing_model(Path(name))
        return original(cls, name, *args, **kwargs)

    return classmethod(from_pretrained)
