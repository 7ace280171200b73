"""The error of sessions that do not fit a config."""

from depmm.errors import DepmmError


class DataError(DepmmError):
    """Sessions or steps that do not fit the settings of an experiment."""
