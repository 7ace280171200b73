"""Tables of ``depmm measures``: values of all measures, and their association with the target."""

from depmm.schemas.manifest import CORPUS, SESSION, SUBJECT
from depmm.schemas.table import Column, TableSchema

MEASURES = TableSchema(
    "measures.parquet",
    "One measure of one step, or of a whole session.",
    (
        CORPUS,
        SUBJECT,
        SESSION,
        Column(
            "step",
            "int64",
            "Index of the step in its session, from 0; missing for the whole session",
            nullable=True,
        ),
        Column("modality", "str", "Modality of the signal"),
        Column("group", "str", "Behaviour that the measure describes, for example pitch"),
        Column(
            "measure",
            "str",
            "Name; ``<name>_mean`` and ``<name>_std`` summarise the steps of a session",
        ),
        Column("unit", "str", "Unit of the value; 1 for shares and scores without a unit"),
        Column("value", "float64", "The value, missing where it is undefined", nullable=True),
    ),
)
EFFECTS = TableSchema(
    "effects.csv",
    "One measure in one stratum, and its association with the target over subjects.",
    (
        Column("stratum", "str", "``all``, or a condition such as ``task = interview``"),
        Column("modality", "str", "Modality of the signal"),
        Column("group", "str", "Behaviour that the measure describes, for example pitch"),
        Column("measure", "str", "Name of the measure; the mean of the steps of a subject"),
        Column("unit", "str", "Unit of the means; 1 for shares and scores without a unit"),
        Column("effect", "str", "``hedges_g``, ``paired_hedges_g`` or ``spearman``"),
        Column(
            "estimate", "float64", "Positive minus negative class, or correlation", nullable=True
        ),
        Column("ci_low", "float64", "Lower limit of the 95 % interval", nullable=True),
        Column("ci_high", "float64", "Upper limit of the 95 % interval", nullable=True),
        Column("p", "float64", "Two-sided p value", nullable=True),
        Column("p_adjusted", "float64", "p value adjusted for all rows (Holm)", nullable=True),
        Column("n_negative", "int64", "Subjects of the negative class with a value", nullable=True),
        Column("n_positive", "int64", "Subjects of the positive class with a value", nullable=True),
        Column("n", "int64", "Subjects with a value; pairs if the effect is paired"),
        Column("missing", "int64", "Subjects of the stratum without a value"),
        Column("mean_negative", "float64", "Mean of the negative class", nullable=True),
        Column("mean_positive", "float64", "Mean of the positive class", nullable=True),
    ),
)
CODEBOOK = TableSchema(
    "codebook.csv",
    "One column of ``steps.csv`` or ``sessions.csv``, which ``depmm measures`` writes.",
    (
        Column("file", "str", "Name of the file"),
        Column("column", "str", "Name of the column"),
        Column("modality", "str", "Modality that is measured"),
        Column("group", "str", "Group of measures, for example ``pitch``"),
        Column("unit", "str", "Unit of the values; 1 without a unit"),
        Column("description", "str", "Formula and source"),
    ),
)
