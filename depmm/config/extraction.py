"""Settings of the extraction of recordings into the store."""

from typing import Literal

from pydantic import Field, model_validator

from depmm.config.settings import ConfigError, Settings

TABLE_SETTINGS = ("time", "units_per_second", "select", "drop", "sep", "decimal", "header")


class ValidityRule(Settings):
    """A condition for valid rows of features, for example ``confidence`` >= 0.5."""

    column: str = Field(description="column of the condition, for example success or confidence")
    at_least: float = Field(description="lowest value of the column at which a row is valid")
    columns: list[str] = Field(
        [], description="columns to which the rule applies; empty: the whole row"
    )


class RowSelection(Settings):
    """A choice among several rows of one time, for example among the faces of a video frame."""

    column: str = Field(description="column of the choice, for example face_id or confidence")
    value: float | str | None = Field(
        None, description="only the rows in which the column has this value are read"
    )
    keep: Literal["largest"] | None = Field(
        None, description="of the rows of one time, the one with the largest value is read"
    )

    @model_validator(mode="after")
    def _has_one_rule(self) -> "RowSelection":
        if (self.value is None) == (self.keep is None):
            raise ConfigError(
                "select: needs either value: or keep: largest.", setting="value", value=self.value
            )
        return self


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
    decimal: Literal[".", ","] = Field(".", description="table: decimal mark of the numbers")
    header: bool = Field(True, description="table: whether the first row names the columns")
    columns: list[str] = Field(
        [], description="names of the features, if the file does not contain them"
    )
    time: str | None = Field(
        None,
        description="table: column with the time of a row; default: row / rate_hz",
    )
    units_per_second: float = Field(
        1.0, gt=0, description="unit of the time column, for example 1000.0 for milliseconds"
    )
    select: RowSelection | None = Field(
        None, description="table: the rows that are read, if there are several rows per time"
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
            self._check_table()
        else:
            fields = type(self).model_fields
            given = [name for name in TABLE_SETTINGS if getattr(self, name) != fields[name].default]
            if given:
                raise ConfigError(
                    f"{given[0]}: belongs to format table.", setting="format", value=self.format
                )
        if (self.format == "mat") != (self.variable is not None):
            raise ConfigError(
                "variable: is required with format mat, and not allowed otherwise.",
                setting="variable",
                value=self.variable,
            )
        return self

    def _check_table(self) -> None:
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        for wrong, setting, message in (
            (
                self.header == bool(self.columns),
                "columns",
                "columns: is required with header: false, and not allowed otherwise.",
            ),
            (bool(twice), "columns", f"columns: contains {twice[:1]} twice. Give each a name."),
            (
                bool(self.axis or self.variable),
                "axis" if self.axis else "variable",
                "axis: and variable: belong to the formats npy and mat.",
            ),
            (
                self.decimal == self.sep,
                "decimal",
                "decimal: and sep: are the same character. Correct one of them.",
            ),
            (
                self.time is None and self.units_per_second != 1,
                "units_per_second",
                "units_per_second: is the unit of the column of time:, which is not given.",
            ),
            (
                self.time is None and self.select is not None and self.select.keep is not None,
                "select",
                "select: with keep: compares rows of one time and needs the column of time:.",
            ),
        ):
            if wrong:
                raise ConfigError(message, setting=setting, value=getattr(self, setting))


class AudioExtraction(Settings):
    """Conversion of an audio track to a waveform and its speech segments."""

    silence_db: float = Field(
        -35.0,
        lt=0,
        description="level in dB, relative to the loud level of the recording (the 95th "
        "percentile of the frames of all its steps), below which a frame is silent; where the "
        "background is louder, pauses count as speech",
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
