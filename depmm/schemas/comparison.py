"""Tables of a comparison of runs, with the numbers of its report."""

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
