"""Errors of experiment data."""

from depmm.errors import DepmmError


class DataError(DepmmError):
    """Sessions or steps that do not fit the settings of an experiment."""
