"""Registration of the model with the Auto classes of transformers, without importing transformers.

``AutoModel.from_pretrained(run)`` must work after ``import depmm``, which must not import
transformers, because that takes seconds. The model is therefore registered when another module
imports the Auto classes.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

CONFIGURATION, FACTORY, MODELING = (
    f"transformers.models.auto.{name}"
    for name in ("configuration_auto", "auto_factory", "modeling_auto")
)
BASE = "transformers.modeling_utils"  # imports the first one, before its PreTrainedModel exists


def register_when_imported() -> None:
    """Register the model now, or when the Auto classes are imported."""
    if CONFIGURATION in sys.modules:
        _register()
    elif not any(isinstance(finder, _AutoFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AutoFinder())


def _register() -> None:
    model = sys.modules.get("depmm.models.model")
    if model is None or not getattr(model.__spec__, "_initializing", False):
        import depmm.models.model  # noqa: F401 (registers itself at its end)


class _AutoFinder(MetaPathFinder):
    """Finder that adds the registration to the loaders of the modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (CONFIGURATION, FACTORY, MODELING, BASE):
            return None
        sys.meta_path.remove(self)  # find_spec below would call this finder again
        try:
            spec = find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(Loader):
    """Loader that registers the model after the execution of the last of the modules."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        # AutoModel imports AutoConfig, by way of the factory if that is imported first, and does
        # not exist before its module is complete; the same is true of PreTrainedModel. A module is
        # complete when its loader is at this line
        outer = {CONFIGURATION: (FACTORY, BASE), FACTORY: (BASE,)}.get(module.__name__)
        if outer and (MODELING in sys.modules or any(map(_is_incomplete, outer))):
            return
        if module.__name__ != BASE or CONFIGURATION in sys.modules:
            _register()


def _is_incomplete(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and bool(getattr(module.__spec__, "_initializing", False))
