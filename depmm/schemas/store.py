"""Tables of a store: the index of its sessions, and what could not be extracted."""

from depmm.schemas.table import Column, TableSchema

_SESSION = (
    Column("corpus", "str", "Corpus id"),
    Column("subject", "str", "Subject id, unique within its corpus"),
    Column("session", "str", "Session id, unique within its subject"),
)

INDEX = TableSchema(
    file="index.parquet",
    meaning="One row per session and extraction settings that the store holds.",
    columns=(
        *_SESSION,
        Column("settings_hash", "str", "Hash of the extraction settings, part of the file name"),
        Column("n_steps", "int64", "Number of steps in the manifest"),
        Column("audio_s", "float64", "Length of the stored sound, all steps together", unit="s"),
        Column("n_frames", "int64", "Number of sampled video frames"),
        Column("n_frames_with_face", "int64", "Number of sampled frames that show a face"),
        Column("streams", "list[str]", "Names of the stored feature streams, sorted"),
    ),
)

FAILURES = TableSchema(
    file="failures.parquet",
    meaning="One row per part of a session that could not be extracted.",
    columns=(
        *_SESSION,
        Column("stage", "str", "audio, face, the name of a feature stream, or session"),
        Column("file", "str", "File relative to the root of the recordings; several with commas"),
        Column("cause", "str", "What is wrong"),
        Column("remedy", "str", "What to do about it; empty if there is no general advice"),
    ),
)
