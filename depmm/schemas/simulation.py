"""Tables of a simulated corpus of emotion-word reading."""

from depmm.schemas.table import Column, TableSchema

LABELS = TableSchema(
    "labels.csv",
    "One session of a simulated subject.",
    (
        Column("subject", "str", "Subject id"),
        Column("session", "str", "Session id"),
        Column("score", "int64", "Severity on the BDI-II, 0 to 63"),
        Column("gender", "str", "Gender, female or male"),
        Column("age", "int64", "Age", unit="years"),
        Column("split", "str", "Official split: train, validation or test"),
    ),
)

WORDS = TableSchema(
    "words.csv",
    "One word that a simulated subject reads.",
    (
        Column("subject", "str", "Subject id"),
        Column("session", "str", "Session id"),
        Column("step", "int64", "Index of the word in the session, from 0"),
        Column("start_s", "float64", "Start of the word in the recording", unit="s"),
        Column("end_s", "float64", "End of the word in the recording", unit="s"),
        Column("word", "str", "The word"),
        Column("valence", "str", "Valence of the word: negative, neutral or positive"),
    ),
)
