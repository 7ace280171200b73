"""Registration of the model with the Auto classes of transformers, without importing transformers.

``import depmm`` must stay instant, and ``AutoModel.from_pretrained(run)`` must know the model type
``depmm`` after it. The registration therefore waits until transformers' Auto classes are imported.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

AUTO_MODULE = "transformers.models.auto.configuration_auto"


def register_when_imported() -> None:
    """Register the model now if the Auto classes are imported, otherwise when they will be."""
    if AUTO_MODULE in sys.modules:
        _register()
    elif not any(isinstance(finder, _AutoFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AutoFinder())


def _register() -> None:
    model = sys.modules.get("depmm.models.model")
    if model is None or not getattr(model.__spec__, "_initializing", False):
        import depmm.models.model  # noqa: F401 (registers itself at its end)


class _AutoFinder(MetaPathFinder):
    """Finder that wraps the loader of the one module it waits for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != AUTO_MODULE:
            return None
        sys.meta_path.remove(self)  # the search below must not come back here
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(Loader):
    """Loader that registers the model as soon as the Auto classes are complete."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _register()
