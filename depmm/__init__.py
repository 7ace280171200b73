"""Recognise depression from face and voice.

The public API is the names in ``__all__``. They are imported when they are first used, so that
``import depmm`` stays instant.

Examples
--------
>>> import depmm
>>> config = depmm.load_config("demo", ["training.epochs=3"])
>>> config.training.epochs
3
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from depmm.auto_classes import register_when_imported

if TYPE_CHECKING:
    from depmm.config import load_config
    from depmm.inference.predictor import Predictor
    from depmm.interpret.attribution.explain import explain
    from depmm.interpret.query.ask import ask
    from depmm.models.model import DepressionModel
    from depmm.reporting import evaluate
    from depmm.run_comparison import compare
    from depmm.runs.combination import combine
    from depmm.training.cross_validation import cross_validate
    from depmm.training.experiment import train

__version__ = "0.1.0"

__all__ = [
    "DepressionModel",
    "Predictor",
    "__version__",
    "ask",
    "combine",
    "compare",
    "cross_validate",
    "evaluate",
    "explain",
    "load_config",
    "train",
]

_MODULES = {
    "DepressionModel": "depmm.models.model",
    "Predictor": "depmm.inference.predictor",
    "ask": "depmm.interpret.query.ask",
    "combine": "depmm.runs.combination",
    "compare": "depmm.run_comparison",
    "cross_validate": "depmm.training.cross_validation",
    "evaluate": "depmm.reporting",
    "explain": "depmm.interpret.attribution.explain",
    "load_config": "depmm.config",
    "train": "depmm.training.experiment",
}

register_when_imported()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
