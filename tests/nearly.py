"""Tolerances for nested values that another processor may compute slightly differently."""

from typing import Any

import pytest


def nearly(value: Any, rel: float = 1e-9, abs: float = 1e-12) -> Any:
    """Wrap every float in dicts, lists and tuples in ``pytest.approx``.

    Parameters
    ----------
    value : object
        Nested expected values; all but floats are compared exactly.
    rel : float, default 1e-9
        Relative tolerance.
    abs : float, default 1e-12
        Absolute tolerance.

    Returns
    -------
    object
        The same structure, for the right-hand side of ``==``.
    """
    if isinstance(value, float):
        return pytest.approx(value, rel=rel, abs=abs, nan_ok=True)
    if isinstance(value, dict):
        return {key: nearly(part, rel, abs) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(nearly(part, rel, abs) for part in value)
    return value
