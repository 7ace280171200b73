"""Error of exports and of exported folders."""

from depmm.errors import DepmmError


class SharingError(DepmmError):
    """A run that cannot be exported, or an exported folder that cannot be used or uploaded."""
