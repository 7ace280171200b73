"""Nested content whose numbers another processor, or other kernels, may end a little elsewhere."""

from typing import Any

import pytest


def nearly(value: Any, rel: float = 1e-9, abs: float = 1e-12) -> Any:
    """Put ``pytest.approx`` around every float in dicts, lists and tuples; the rest is exact."""
    if isinstance(value, float):
        return pytest.approx(value, rel=rel, abs=abs, nan_ok=True)
    if isinstance(value, dict):
        return {key: nearly(part, rel, abs) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(nearly(part, rel, abs) for part in value)
    return value
