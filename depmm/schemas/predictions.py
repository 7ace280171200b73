"""Table of the predictions of a run, which ``depmm evaluate`` reads."""

from depmm.schemas.manifest import CORPUS, SESSION, SUBJECT
from depmm.schemas.table import Column, TableSchema

PREDICTIONS = TableSchema(
    "predictions.parquet",
    "Prediction of one session, of any split, in one fold and seed.",
    (
        CORPUS,
        SUBJECT,
        SESSION,
        Column("split", "str", "``train``, ``validation`` or ``test``"),
        Column("fold", "int64", "Index of the fold, from 0"),
        Column("seed", "int64", "Seed of the training"),
        Column("y_true", "int64", "Label, 0 or 1; missing for severity targets", nullable=True),
        Column("y_prob", "float64", "Predicted probability of label 1", nullable=True),
        Column("score", "float64", "Measured severity", unit="points", nullable=True),
        Column("score_pred", "float64", "Predicted severity", unit="points", nullable=True),
        Column("instrument", "str", "Questionnaire of score and label", nullable=True),
        Column("gender", "str", "``female`` or ``male``", nullable=True, required=False),
        Column("age", "float64", "Age", unit="years", nullable=True, required=False),
        Column("task", "str", "What the participant did", nullable=True, required=False),
        Column("valence", "str", "Valence of the steps", nullable=True, required=False),
        Column("interviewer", "str", "Id of the interviewer", nullable=True, required=False),
        Column(
            "duration_s",
            "float64",
            "Duration of all steps",
            unit="s",
            nullable=True,
            required=False,
        ),
        Column("n_steps", "float64", "Number of steps", nullable=True, required=False),
        Column(
            "gate_std",
            "float64",
            "Standard deviation of the prediction under sampled fusion gates",
            required=False,
        ),
    ),
)
