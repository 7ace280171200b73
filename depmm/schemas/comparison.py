"""Tables of comparisons: of runs, and of training and test corpora."""

from depmm.schemas.table import Column, TableSchema

_METRIC = Column("metric", "str", "Name of the metric, for example ``auroc``")
_LOW = Column("ci_low", "float64", "Lower limit of the confidence interval", nullable=True)
_HIGH = Column("ci_high", "float64", "Upper limit of the confidence interval", nullable=True)

COMPARED_RUNS = TableSchema(
    "runs.csv",
    "One metric of one run of a comparison, mean over its seeds.",
    (
        Column("run", "str", "Name of the run or of the table"),
        _METRIC,
        Column("value", "float64", "Value; missing if undefined", nullable=True),
        _LOW,
        _HIGH,
        Column("baseline", "float64", "Best constant prediction", nullable=True),
        Column("seeds", "int64", "Number of trainings"),
        Column("parameters", "int64", "Parameters of one network", nullable=True),
        Column("training_s", "float64", "Duration of one training", unit="s", nullable=True),
    ),
)
DIFFERENCES = TableSchema(
    "differences.csv",
    "Paired difference of two runs in one metric.",
    (
        _METRIC,
        Column("run_a", "str", "First run"),
        Column("run_b", "str", "Second run"),
        Column("value_a", "float64", "Metric of the first run", nullable=True),
        Column("value_b", "float64", "Metric of the second run", nullable=True),
        Column("difference", "float64", "First minus second run", nullable=True),
        _LOW,
        _HIGH,
        Column("method", "str", "Method of the interval", nullable=True),
        Column("reason", "str", "Why there is no interval", nullable=True),
        Column("undefined", "str", "Why there is no difference", nullable=True),
        Column("p", "float64", "P value of the paired test", nullable=True),
        Column("p_adjusted", "float64", "P value, adjusted for all rows", nullable=True),
        Column(
            "smallest", "float64", "True difference that is shown with a power of .8", nullable=True
        ),
        Column("seeds_a", "int64", "Number of trainings of the first run"),
        Column("seeds_b", "int64", "Number of trainings of the second run"),
        Column("unit", "str", "Unit of the metrics, for example ``session``"),
        Column("sessions", "int64", "Number of compared sessions, or units"),
        Column("subjects", "int64", "Number of their subjects"),
    ),
)
CROSS_CORPUS = TableSchema(
    "cross_corpus.parquet",
    "One metric of one cell of ``depmm cross-corpus``; ``cross_corpus.csv`` has the same columns.",
    (
        Column("train", "str", "Training corpora, separated by plus signs"),
        Column("test", "str", "Test corpus"),
        Column("kind", "str", "Kind of the cell, for example ``within``"),
        _METRIC,
        Column("value", "float64", "Value", nullable=True),
        _LOW,
        _HIGH,
        Column("method", "str", "Method of the interval", nullable=True),
        Column("undefined", "str", "Why there is no value", nullable=True),
        Column("baseline", "str", "Best constant prediction", nullable=True),
        Column("baseline_value", "float64", "Its value", nullable=True),
        Column("gain", "float64", "Gain over the baseline", nullable=True),
        Column("gain_low", "float64", "Lower limit of the gain", nullable=True),
        Column("gain_high", "float64", "Upper limit of the gain", nullable=True),
        Column("outcome", "str", "Verdict, for example ``better``", nullable=True),
        Column("covariate_baseline", "str", "Best covariates without a recording", nullable=True),
        Column("covariate_value", "float64", "Their value", nullable=True),
        Column("sessions", "float64", "Number of test sessions"),
        Column("subjects", "float64", "Number of test subjects"),
        Column("positive_sessions", "float64", "Number of positive ones", nullable=True),
        Column("train_subjects", "float64", "Number of training subjects"),
        Column("validation_subjects", "float64", "Number of validation subjects"),
        Column("seeds", "float64", "Number of seeds of training"),
    ),
)
