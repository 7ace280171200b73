"""Errors of models that a user can repair."""

from depmm.errors import DepmmError


class ModelError(DepmmError):
    """A model that cannot be built from its settings, or inputs that a model cannot take."""


class WeightsError(DepmmError):
    """A file of weights that cannot be read, or that does not fit a model."""
