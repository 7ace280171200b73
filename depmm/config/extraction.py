"""Settings of the extraction of recordings into the store."""

from typing import Literal

from pydantic import Field, model_validator

from depmm.config.settings import ConfigError, Settings


class ValidityRule(Settings):
    """A condition for valid rows of features, for example ``confidence`` >= 0.5."""

    column: str = Field(description="column of the condition, for example success or confidence")
    at_least: float = Field(description="lowest value of the column at which a row is valid")
    columns: list[str] = Field(
        [], description="columns to which the rule applies; empty: the whole row"
    )


class StreamConfig(Settings):
    """A file with features of each frame that a corpus provides instead of a recording."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="name of the stream, by which data.features refers to it",
    )
    rate_hz: float = Field(gt=0, description="rows per second")
    format: Literal["table", "npy", "mat"] = Field(
        "table", description="table (text with a separator), npy (NumPy) or mat (MATLAB)"
    )
    sep: str = Field(
        ",", min_length=1, max_length=1, description="table: character that separates columns"
    )
    header: bool = Field(True, description="table: whether the first row names the columns")
    columns: list[str] = Field(
        [], description="names of the features, if the file does not contain them"
    )
    time: str | None = Field(
        None,
        description="table: column with the time of a row in seconds; default: row / rate_hz",
    )
    drop: list[str] = Field(
        [], description="table: columns that are not features; * stands for any text"
    )
    valid: list[ValidityRule] = Field(
        [], description="rules for valid rows; a value that is not finite is never valid"
    )
    axis: int = Field(
        0, ge=0, description="npy, mat: axis of the rows; the other axes are flattened"
    )
    variable: str | None = Field(None, description="mat: name of the array")

    @model_validator(mode="after")
    def _format_has_what_it_needs(self) -> "StreamConfig":
        if self.format == "table":
            if self.header == bool(self.columns):
                raise ConfigError(
                    "columns: is required with header: false, and not allowed otherwise.",
                    setting="columns",
                    value=self.columns,
                )
            if self.axis or self.variable:
                raise ConfigError(
                    "axis: and variable: belong to the formats npy and mat.",
                    setting="axis" if self.axis else "variable",
                )
        elif self.time or self.drop or self.sep != "," or not self.header:
            raise ConfigError(
                "time:, drop:, sep: and header: belong to format table.",
                setting="format",
                value=self.format,
            )
        if (self.format == "mat") != (self.variable is not None):
            raise ConfigError(
                "variable: is required with format mat, and not allowed otherwise.",
                setting="variable",
                value=self.variable,
            )
        return self


class AudioExtraction(Settings):
    """Conversion of an audio track to a waveform and its speech segments."""

    silence_db: float = Field(
        -35.0,
        lt=0,
        description="level in dB, relative to the loud level of the recording (the 95th "
        "percentile of its frames), below which a frame is silent",
    )
    min_silence_s: float = Field(
        0.5, gt=0, description="shortest pause in seconds that separates two speech segments"
    )


class FaceExtraction(Settings):
    """Conversion of a video to aligned face crops of 224 x 224 pixels."""

    frames_per_second: float = Field(
        5.0, gt=0, le=120, description="number of frames per second that are sampled and stored"
    )
    min_confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="confidence of the face detector below which a frame is masked",
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="JPEG quality of the stored crops")


class ExtractConfig(Settings):
    """Settings on which the store depends; their hash is part of every file name."""

    audio: AudioExtraction = Field(AudioExtraction(), description="extraction of the audio")
    face: FaceExtraction = Field(FaceExtraction(), description="extraction of the faces")
