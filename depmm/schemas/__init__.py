"""Schemas of every table that depmm writes, for the writers, the tests and the docs."""

from depmm.schemas.audit import SESSION_PROPERTIES
from depmm.schemas.comparison import COMPARED_RUNS, CROSS_CORPUS, DIFFERENCES
from depmm.schemas.explanations import EXPLANATIONS
from depmm.schemas.manifest import FEATURES, FOLDS, PSEUDO_SUBJECTS, SESSIONS, SPLIT, STEPS
from depmm.schemas.measures import CODEBOOK, EFFECTS, MEASURES
from depmm.schemas.predictions import PREDICTIONS
from depmm.schemas.recordings import RECORDINGS
from depmm.schemas.runs import HISTORY, TUNING
from depmm.schemas.simulation import LABELS, WORDS
from depmm.schemas.steps import STEP_PROBLEMS, STEP_TABLE
from depmm.schemas.store import FAILURES, INDEX, WARNINGS
from depmm.schemas.table import Column, SchemaError, TableSchema

__all__ = ["ALL", "Column", "SchemaError", "TableSchema"]

ALL: dict[str, TableSchema] = {
    schema.file: schema
    for schema in sorted(
        (
            CODEBOOK,
            COMPARED_RUNS,
            CROSS_CORPUS,
            DIFFERENCES,
            EFFECTS,
            *EXPLANATIONS.values(),
            FAILURES,
            FEATURES,
            FOLDS,
            HISTORY,
            INDEX,
            LABELS,
            MEASURES,
            PREDICTIONS,
            PSEUDO_SUBJECTS,
            RECORDINGS,
            SESSIONS,
            SESSION_PROPERTIES,
            SPLIT,
            STEPS,
            STEP_PROBLEMS,
            STEP_TABLE,
            TUNING,
            WARNINGS,
            WORDS,
        ),
        key=lambda schema: schema.file,
    )
}
