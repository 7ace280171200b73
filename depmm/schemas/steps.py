"""Tables of ``depmm steps``: the steps of recordings, and what has no step."""

from depmm.schemas.table import Column, TableSchema

_PATH = Column("path", "str", "Path of the recording, relative to the folder of the recordings")

STEP_TABLE = TableSchema(
    "STEPS.csv",
    "One step that ``depmm steps`` found in a recording; the file has the name that ``--out`` "
    "gives.",
    (
        _PATH,
        Column("start_s", "float64", "Start, from the start of the recording", unit="s"),
        Column("end_s", "float64", "End, from the start of the recording", unit="s"),
        Column("text", "str", "Words spoken", nullable=True, required=False),
        Column(
            "speaker",
            "str",
            "``participant``, ``other``, or the name of a cluster of voices",
            nullable=True,
            required=False,
        ),
        Column(
            "confidence",
            "float64",
            "Confidence of the method that found the step, 0 to 1",
            nullable=True,
            required=False,
        ),
        Column(
            "pause_before_s",
            "float64",
            "Silence between the speech of the step before and that of this step; missing for the "
            "first step of a recording",
            unit="s",
            nullable=True,
            required=False,
        ),
    ),
)
STEP_PROBLEMS = TableSchema(
    "STEPS.problems.csv",
    "One recording, or one word of it, for which ``depmm steps`` found no step.",
    (
        _PATH,
        Column("text", "str", "The word; missing if the whole recording is meant", nullable=True),
        Column("problem", "str", "What is wrong, and what to do"),
    ),
)
