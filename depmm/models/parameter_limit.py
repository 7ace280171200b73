"""A limit on the parameters of a network while it is built."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_parameter_registration_hook

from depmm.models.errors import ModelError


@contextmanager
def limited_parameters(limit: int) -> Iterator[None]:
    """Stop the construction of a network with too many parameters.

    A number in a config can ask for a hundred thousand layers, which would take hours and all
    memory to build, also without weights.

    Parameters
    ----------
    limit : int
        Largest number of parameters (tensors) that are registered.

    Raises
    ------
    ModelError
        From the construction, if it registers more.
    """
    count = 0

    def check(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise ModelError(f"the network has more than {limit} parameters.", value=count)

    handle = register_module_parameter_registration_hook(check)
    try:
        yield
    finally:
        handle.remove()
