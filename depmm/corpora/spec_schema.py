"""Format of a data spec: its sections and their types; ``data_specs/README.md`` explains them."""

import json
import math
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from depmm.config import Modality, Settings, StreamConfig
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, Windows
from depmm.corpora.instruments import define_instrument, find_scale
from depmm.corpora.patterns import expand_ranges, template_fields

FILE_FIELDS = {"path": "the path of the file", "stem": "the file name without extension"}
STEP_FIELDS = ("start", "end", "text", "valence", "task")  # fields of a step table
TIME_FORMS = ("seconds", "milliseconds", "clock")  # clock: h:mm:ss or m:ss
TRUTH_FILE = "truth.json"  # written with a simulated corpus; ignored by indexing
VISIT_FIELD = "visit"  # number of a visit by date
NEAREST_FIELD = "nearest_date"  # date of a row that is joined by date
OFFSET_FIELD = "offset_s"  # seconds that are added to the times in the step table of a recording


def _code(value: Any) -> Any:
    """Convert numbers and Booleans of YAML to the text that a table cell has."""
    return str(value).lower() if isinstance(value, int) else value


Code = Annotated[
    str,
    BeforeValidator(_code),
    WithJsonSchema({"type": ["string", "integer", "boolean"]}),  # 3 is read as the text "3"
]
Choice = dict[str, list[Code]]
Names = Annotated[list[Code], AfterValidator(expand_ranges)]  # x{0-2} stands for x0, x1 and x2
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _times(value: Any) -> Any:
    """Check the form of times; whole numbers become float."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 < value < math.inf:
        return float(value)
    if value not in TIME_FORMS:
        raise ValueError(f"write {', '.join(TIME_FORMS)}, or the units per second, above 0")
    return value


Times = Annotated[
    str | float,
    BeforeValidator(_times),
    WithJsonSchema(
        {"anyOf": [{"enum": list(TIME_FORMS)}, {"type": "number", "exclusiveMinimum": 0}]}
    ),
]


class RecordingPattern(Settings):
    """Files that match one pattern, and the modalities that they contain."""

    pattern: str
    modalities: list[Modality] = Field(min_length=1)
    features: StreamConfig | None = Field(
        None, description="settings of a file with features instead of a recording"
    )
    track: int | None = Field(
        None, ge=0, description="index of the sound track, from 0; default: the default track"
    )
    channel: int | None = Field(
        None, ge=0, description="index of the channel, from 0 (left); default: mean of all channels"
    )
    fields: dict[FieldName, str] = Field({}, description="further fields: constants or templates")
    keep: Choice = Field({}, description="field -> values; other files are excluded and listed")
    drop: Choice = Field({}, description="field -> values; files with them are excluded and listed")


class Visits(Settings):
    """Visits by date: the field ``visit`` numbers the dates of a subject."""

    date: FieldName = Field(description="field with the date of a recording")
    format: str = Field("%Y-%m-%d", description="format of the date, as in Python's strptime")


class Nearest(Settings):
    """Join by date: a row belongs to the visit of its subject with the nearest date."""

    column: str = Field(description="column with the date of the row")
    format: str = Field("%Y-%m-%d", description="format of the date, as in Python's strptime")
    within_days: int = Field(
        ge=0, description="rows that are further from every visit are reported"
    )


class Table(Settings):
    """Delimited text, an Excel sheet or JSON objects, joined to the recordings on named fields."""

    file: str | None = Field(None, description="pattern of one or many files; .xlsx is read too")
    rows: str | None = Field(None, description="the table itself, written into the spec")
    format: Literal["text", "json"] = Field("text", description="json: objects are rows")
    key: str | None = Field(None, description="json: objects by name; column of these names")
    join: dict[str, str] = Field(min_length=1, description="column -> field or template")
    fields: dict[FieldName, str] = Field(min_length=1, description="field -> column")
    nearest: Nearest | None = Field(None, description="joins each row to the nearest visit")
    keep: Choice = Field({}, description="column -> values; other rows are not used")
    drop: Choice = Field({}, description="column -> values that are not used")
    required: bool = Field(True, description="whether a recording without a row is reported")
    sep: str = Field(",", min_length=1, max_length=1)
    header: bool = True
    columns: list[str] = Field([], description="names of the columns when header is false")
    whole_file: bool = Field(
        False, description="a file's whole text is one cell, e.g. a transcript"
    )
    integers: list[str] = Field([], description="columns of whole numbers: 007 and 7 are one value")
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = Field(".", description="decimal separator of the numbers")

    @property
    def location(self) -> str:
        """Name of the table in messages."""
        return self.file or f"the rows in the spec ({', '.join(self.fields)})"


def join_field(text: str) -> str:
    """Return the template of a ``join`` value; a name without braces is a field.

    Parameters
    ----------
    text : str
        The value.

    Returns
    -------
    str
        The template.
    """
    return text if "{" in text else f"{{{text}}}"


class StepTable(Table):
    """A table whose rows are steps; with ``required: false`` a file without rows is one step."""

    order: list[str] = Field(
        [], description="columns by which the rows are sorted; default: order of the file"
    )
    times: Times = Field(
        "seconds",
        description="form of the start and end columns; a number: units per second",
    )
    other_turns: Choice = Field(
        {},
        description="column -> values of rows that are turns of another speaker, such as the "
        "interviewer; they are not steps, and their end times give response latencies",
    )


class ExcludedInterval(Settings):
    """An interval of a recording that no step may overlap, such as an interruption."""

    when: dict[FieldName, Code] = Field(min_length=1, description="fields of the recording")
    start_s: float = Field(ge=0)
    end_s: float = Field(gt=0)


class Steps(Settings):
    """What a step is: a file or a row of a table with times inside a file, or windows of them."""

    order: list[FieldName] = Field(
        [], description="fields by which the files of a session are sorted"
    )
    expected: dict[FieldName, list[Code]] = Field(
        {}, description="field -> values that every session must have"
    )
    table: StepTable | None = None
    windows: Windows | None = Field(
        None, description="windows into which files or rows are cut; each window is a step"
    )
    excluded_intervals: list[ExcludedInterval] = Field(
        [], description="intervals that no step may overlap"
    )
    text_speaker: Literal["participant", "unknown"] = Field(
        "participant",
        description="whose words the text of a step is. unknown: the transcript does not tell the "
        "interviewer from the participant; models must not read such text, and it is not extracted",
    )


class Codes(Settings):
    """Translation of the codes of one field to names."""

    of: FieldName | None = Field(None, description="field with the code; default: the same field")
    names: dict[Code, Code | None] = Field(min_length=1, description="code -> name; null: unknown")


class InstrumentDefinition(Settings):
    """An instrument that depmm does not know."""

    name: str = Field(pattern=r"^[^\[\];,]*[^\[\];,\s]$", max_length=60)
    minimum: float = Field(description="lowest possible score")
    maximum: float = Field(description="highest possible score")
    cut_off: float | None = Field(None, description="lowest score with label 1")
    bands: dict[Annotated[str, Field(pattern=r"^[^\[\];,]*[^\[\];,\s]$", max_length=40)], float] = (
        Field({}, description="severity level -> its lowest score, mildest first")
    )


class Label(Settings):
    """Instrument, and the fields with its score or class."""

    instrument: str | InstrumentDefinition = Field(
        description="name of an instrument of depmm, or the definition of another one"
    )
    score: FieldName | None = None
    cut_off: float | None = Field(None, description="default: the usual one of the instrument")
    field: FieldName | None = Field(
        None, description="field of the class; used instead of the cut-off"
    )
    positive: list[Code] = Field([])
    negative: list[Code] = Field([])
    original: FieldName | None = Field(
        None,
        description="class as distributed, 0 or 1; the audit compares it with the label",
    )
    required: bool = Field(False, description="a session without score and class is reported")

    @property
    def instrument_text(self) -> str:
        """The instrument as the manifest names it; see ``define_instrument``."""
        if isinstance(self.instrument, str):
            return self.instrument
        return define_instrument(**self.instrument.model_dump())

    @property
    def effective_cut_off(self) -> float | None:
        """Lowest score with label 1; None without a cut-off."""
        if self.score is None or self.cut_off is not None:
            return self.cut_off
        return find_scale(self.instrument_text).cut_off


class Simulation(Settings):
    """Settings that ``depmm simulate --spec`` needs in addition to the layout."""

    folder: str = Field("", description="replaces **/ at the start of a pattern")
    sessions_per_subject: int = Field(1, ge=1, description="sessions of a subject")
    words_per_recording: int | None = Field(
        None, ge=1, description="words spoken in each recording"
    )
    fields: dict[FieldName, Names] = Field(
        {}, description="values of fields, as paths and tables show them"
    )
    values_by_label: dict[FieldName, list[Code]] = Field(
        {}, description="field -> its value for label 0 and for label 1"
    )
    columns: dict[str, Names] = Field(
        {}, description="stream, or file: of a table, -> the columns of its header"
    )
    shapes: dict[FieldName, list[int]] = Field(
        {}, description="stream of arrays -> lengths of all axes but that of the rows"
    )
    rows_are_words: list[FieldName] = Field(
        [], description="streams with one row per word instead of rate_hz rows per second"
    )
    infinite: list[FieldName] = Field([], description="streams in which some values are -inf")
    excluded_rows: dict[str, list[Code]] = Field(
        {}, description="column of the step table -> values of rows that keep: excludes"
    )


class Spec(Settings):
    """Description of a corpus."""

    name: str
    title: str = Field("", description="full name of the corpus; default: its name")
    citation: str = Field("", description="publication to cite")
    licence: str = Field("", description="permitted use")
    access: str = Field("", description="how to obtain the corpus")
    known_issues: list[str] = Field([])
    unverified: list[str] = Field([], description="statements not checked at the source")
    related_corpora: list[RelatedCorpus] = Field(
        [], description="corpora that share, or may share, subjects with this one"
    )
    without_subject_ids: str | None = Field(
        None, description="reason why the ids do not identify subjects"
    )
    recordings: list[RecordingPattern] = Field(min_length=1)
    subject: str = "{subject}"
    session: str
    visits: Visits | None = Field(None, description="number the visits of a subject by date")
    columns: list[FieldName] = Field([], description="fields that become columns of the sessions")
    faces: Literal["aligned", "detect"] = "detect"
    required_modalities: list[Modality] = Field([], description="every step must have these")
    required_features: list[FieldName] = Field([], description="streams that every step must have")
    steps: Steps = Steps()
    word_list: str | None = Field(
        None, description="word list with the valence of the words; path relative to the spec"
    )
    tables: list[Table] = Field([])
    codes: dict[FieldName, Codes] = Field({})
    label: Label | None = None
    ignore: list[str] = Field([], description="patterns of known files that are not used")
    simulate: Simulation = Simulation()

    @property
    def facts(self) -> CorpusFacts:
        """The facts about the corpus that are not in its tables."""
        return CorpusFacts(
            related_corpora=self.related_corpora,
            without_subject_ids=self.without_subject_ids,
            windows=self.steps.windows,
            text_speaker=self.steps.text_speaker,
        )

    @property
    def id_fields(self) -> frozenset[str]:
        """The fields that are part of an id, and therefore of a file name."""
        return frozenset(template_fields(self.subject) + template_fields(self.session))

    @property
    def all_tables(self) -> list[Table]:
        """All tables, the table of steps included."""
        return [*self.tables, *([self.steps.table] if self.steps.table else [])]

    def describe_sources(self, names: Collection[str]) -> str:
        """Describe the tables that provide fields, for a message.

        Parameters
        ----------
        names : collection of str
            Names of fields.

        Returns
        -------
        str
            The tables, or "the file name" if no table provides the fields.
        """
        return " or ".join(table.location for table in self.find_sources(names)) or "the file name"

    def find_sources(self, names: Collection[str]) -> list[Table]:
        """Find the tables that provide fields.

        Parameters
        ----------
        names : collection of str
            Names of fields.

        Returns
        -------
        list of Table
            The tables, in the order of the spec.
        """
        sources = {self.codes[name].of or name if name in self.codes else name for name in names}
        return [table for table in self.tables if sources & set(table.fields)]


def json_schema() -> str:
    """Return the format as JSON Schema, for editors; ``load_spec`` checks further rules.

    Returns
    -------
    str
        JSON.
    """
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Spec.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
