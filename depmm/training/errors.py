"""Errors of training."""

from depmm.errors import DepmmError


class TrainingError(DepmmError):
    """A training diverged."""
