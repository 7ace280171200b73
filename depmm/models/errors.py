"""Errors of models that a user can repair."""

from depmm.errors import DepmmError

TORCHAUDIO_REMEDY = (
    "Install the same build of torchaudio as of torch; beside a CPU build: pip install "
    "--force-reinstall --no-deps torchaudio --index-url https://download.pytorch.org/whl/cpu. Or "
    "move the files torchaudio/lib/*torchaudio*.so out of that folder: they are an optional "
    "extension, which depmm does not use."
)


class ModelError(DepmmError):
    """A model that cannot be built from its settings, or inputs that a model cannot take."""


class WeightsError(DepmmError):
    """A file of weights that cannot be read, or that does not fit a model."""
