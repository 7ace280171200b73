"""Errors of inference."""

from depmm.errors import DepmmError


class InferenceError(DepmmError):
    """A run or a recording for which a prediction cannot be computed."""
