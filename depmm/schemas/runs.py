"""Tables of a run: training curves, tuning candidates, and inputs of classical models."""

from depmm.schemas.table import Column, TableSchema

HISTORY = TableSchema(
    "history.parquet",
    "One epoch of the training, or of one fold of a cross-validation.",
    (
        Column("epoch", "int64", "Number of the epoch, from 1"),
        Column("train_loss", "float64", "Mean loss of the batches of the epoch", nullable=True),
        Column("learning_rate", "float64", "Learning rate of the last optimizer step"),
        Column(
            "grad_norm",
            "float64",
            "Largest norm of the gradient over the optimizer steps, before clipping",
        ),
        Column("val_loss", "float64", "Mean loss of the validation sessions", nullable=True),
        Column(
            "val_auroc",
            "float64",
            "AUROC of the validation sessions, for binary targets",
            nullable=True,
            required=False,
        ),
        Column(
            "val_rmse",
            "float64",
            "Root mean squared error of the validation sessions, for severities and levels",
            nullable=True,
            required=False,
        ),
        Column("seconds", "float64", "Duration of the epoch with its validation", unit="s"),
        Column("seed", "int64", "Seed of the run, in a cross-validation", required=False),
        Column("fold", "int64", "Index of the tested fold, in a cross-validation", required=False),
    ),
)
TUNING = TableSchema(
    "tuning.csv",
    "One candidate of the hyper-parameter tuning of one fold; fold_<j> is its metric in inner fold "
    "j.",
    (
        Column("seed", "int64", "Seed of the run"),
        Column("fold", "int64", "Index of the outer fold"),
        Column("candidate", "int64", "Index of the candidate, in the order of the grid"),
        Column("settings", "str", "Settings of the candidate, as ``key=value``"),
        Column("metric", "str", "Metric that is optimised"),
        Column("mean", "float64", "Mean of the metric over the inner folds", nullable=True),
        Column("chosen", "bool", "Whether the candidate is used for the outer fold"),
    ),
    extra_columns=True,  # fold_0, fold_1, ...
)
MEASURE_COLUMNS = (
    Column("modality", "str", "Modality of the measure"),
    Column("set", "str", "Set of the measure"),
    Column("group", "str", "Group of the measure"),
    Column("input", "str", "Name of the input: the measure, and its statistic over steps"),
    Column(
        "statistic",
        "str",
        "mean or std over the steps of a session; step: the value of one step; session: a measure "
        "of the whole session",
    ),
)
MEASURES = TableSchema(
    "measures.csv",
    "One input of a classical model, over the training rows (sessions, or steps).",
    (
        *MEASURE_COLUMNS,
        Column("unit", "str", "Unit of the measure", nullable=True),
        Column("rows", "int64", "Number of training rows"),
        Column("missing", "int64", "Rows without a value, which is replaced by the median"),
        Column("mean", "float64", "Mean of the values", nullable=True),
        Column("std", "float64", "Standard deviation of the values", nullable=True),
        Column("description", "str", "Formula and source of the measure"),
    ),
)
