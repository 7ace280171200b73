"""The error of a manifest, raised by every module that reads a corpus."""

from depmm.errors import DepmmError


class ManifestError(DepmmError):
    """Recordings, tables or a manifest that cannot be used."""
