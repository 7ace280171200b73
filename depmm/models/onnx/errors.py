"""Error of parts of a model that cannot be exported."""

from depmm.errors import DepmmError


class OnnxError(DepmmError):
    """A part of a model that cannot be exported to ONNX, or a missing library."""
