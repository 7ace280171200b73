"""Base class of all settings, and the error for settings that cannot be used."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from depmm.errors import DepmmError

SAMPLE_RATE = 16_000  # Hz, every waveform in the project
CROP_SIZE = 224  # pixels, height and width of every stored face crop
MODALITIES = ("audio", "face")
Modality = Literal["audio", "face"]

# YAML has no type for paths: strict validation would reject a string
FilePath = Annotated[Path, Field(strict=False)]


class ConfigError(DepmmError):
    """A config or a setting that cannot be used.

    ``setting`` is the dotted name of the setting, ``value`` the given value and ``file`` the
    config. Validators of a section give the name relative to their section; ``load_config``
    completes it.
    """


class Settings(BaseModel):
    """Base class of every section; unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
