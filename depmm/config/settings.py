"""Base class of all settings, and the error of a setting that cannot be used."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from depmm.errors import DepmmError

SAMPLE_RATE = 16_000  # Hz, every waveform in the project
CROP_SIZE = 224  # pixels, height and width of every stored face crop
MODALITIES = ("audio", "face")
Modality = Literal["audio", "face"]

# YAML has no type for paths: strict validation would refuse the text of one
FilePath = Annotated[Path, Field(strict=False)]


class ConfigError(DepmmError):
    """A config or a setting that cannot be used.

    ``setting`` is the dotted name of the setting, ``value`` what was given and ``file`` the config.
    Validators of a section name the setting relative to their section; ``load_config`` completes
    the name.
    """


class Settings(BaseModel):
    """Base class of every section: unknown keys and conversions of types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
