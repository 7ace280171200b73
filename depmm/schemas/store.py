"""Tables of a store: the index of its sessions, and failures and warnings of the extraction."""

from depmm.schemas.manifest import CORPUS, SESSION, SUBJECT
from depmm.schemas.table import Column, TableSchema

INDEX = TableSchema(
    file="index.parquet",
    meaning="One session that was extracted with one set of extraction settings.",
    columns=(
        CORPUS,
        SUBJECT,
        SESSION,
        Column("settings_hash", "str", "Hash of the extraction settings, part of the file name"),
        Column("steps_hash", "str", "Hash of the steps of the manifest: their times, texts, files"),
        Column("n_steps", "int64", "Number of steps in the manifest"),
        Column("audio_s", "float64", "Length of the stored sound, all steps together", unit="s"),
        Column("n_frames", "int64", "Number of sampled video frames"),
        Column("n_frames_with_face", "int64", "Number of sampled frames that show a face"),
        Column("n_steps_with_text", "int64", "Number of steps with a text"),
        Column(
            "streams", "list[str]", "Names of the feature streams, stored and derived ones, sorted"
        ),
    ),
)

FAILURES = TableSchema(
    file="failures.parquet",
    meaning="One part of a session that could not be extracted.",
    columns=(
        CORPUS,
        SUBJECT,
        SESSION,
        Column("stage", "str", "audio, face, the name of a feature stream, or session"),
        Column("file", "str", "File relative to the root of the recordings; several with commas"),
        Column("cause", "str", "What is wrong"),
        Column("remedy", "str", "What to do about it; empty if there is no general advice"),
    ),
)

WARNINGS = TableSchema(
    file="warnings.parquet",
    meaning="One property of a recording that was extracted, which may make its data unsuitable.",
    columns=(
        CORPUS,
        SUBJECT,
        SESSION,
        Column("settings_hash", "str", "Hash of the extraction settings, part of the file name"),
        Column("stage", "str", "audio, face or the name of a feature stream"),
        Column("file", "str", "File relative to the root of the recordings"),
        Column("name", "str", "Identifier of the warning, for example digital_silence"),
        Column("problem", "str", "What was found, with the measured numbers"),
        Column("remedy", "str", "What to do about it"),
    ),
)
