"""The error of this package."""

from depmm.errors import DepmmError


class InferenceError(DepmmError):
    """A run or a recording from which no prediction can be computed."""
