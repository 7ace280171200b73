"""Keys of ``metrics.json``, the result of an evaluation.

In a path, ``*`` stands for any key (a metric, a subgroup, ...) and ``[]`` for the items of a list.
Undefined numbers are null. An *interval* is an object with ``value``, ``ci_low``, ``ci_high``
(bounds of the confidence interval), ``n_undefined`` (bootstrap replicates in which the value is
undefined), ``method`` (see ``depmm.evaluation.stats.intervals.Interval``) and ``reason`` (why
it has no bounds or no width). A *proportion* is an object with ``value``, ``ci_low`` and
``ci_high`` (Wilson) and may have ``subjects``. *Counts* are an object with ``sessions``,
``subjects`` and, for binary targets, ``positive_sessions``. A *verdict* is an object with
``outcome`` (better, not shown to be better, worse, undefined) and ``text``.
"""

from dataclasses import dataclass
from typing import Literal

KeyType = Literal[
    "str",
    "int",
    "float",
    "bool",
    "list",
    "object",
    "interval",
    "proportion",
    "counts",
    "verdict",
    "str or float",
]
FIELDS: dict[str, tuple[str, ...]] = {
    "interval": ("value", "ci_low", "ci_high", "n_undefined", "method", "reason"),
    "proportion": ("value", "ci_low", "ci_high", "subjects"),
    "counts": ("sessions", "subjects", "positive_sessions"),
    "verdict": ("outcome", "text"),
}


@dataclass(frozen=True)
class JsonKey:
    """One key of a JSON file.

    Attributes
    ----------
    path : str
        Keys from the root, joined by dots; ``*`` is any key and ``[]`` the items of a list.
    type : str
        Type of the value; ``object`` is an object with keys that are not listed one by one.
    meaning : str
        What the value is, without a full stop.
    """

    path: str
    type: KeyType
    meaning: str


_CALIBRATION = "calibration.binary.*"
_SETS = "calibration.*.conformal.[]"

METRICS_JSON: tuple[JsonKey, ...] = (
    JsonKey("schema_version", "int", "Version of these keys"),
    JsonKey("kind", "str", "``run``; the value in the file of a comparison is ``comparison``"),
    JsonKey("unit", "str", "Unit of every metric: ``session`` or ``subject``"),
    JsonKey("targets", "list", "``binary``, ``severity`` or both"),
    JsonKey("corpora", "list", "Corpora of the tested sessions"),
    JsonKey("instrument", "str", "Instrument of the tested sessions, null if it is not unique"),
    JsonKey("verdict", "verdict", "Verdict over the headline metrics of all targets"),
    JsonKey("metrics.*", "interval", "Metric, mean over seeds; a key of ``METRICS``"),
    JsonKey("metrics.*.undefined", "str", "Why there is no value, or null"),
    JsonKey("metrics.*.baseline", "interval", "Best constant, or chance; null without baseline"),
    JsonKey("metrics.*.baseline.name", "str", "Name of this baseline"),
    JsonKey("metrics.*.gain", "interval", "Paired difference to it; positive is better"),
    JsonKey("metrics.*.verdict", "verdict", "Whether the gain is above 0"),
    JsonKey("metrics.*.per_seed.*", "float", "Metric of each seed, if there are several"),
    JsonKey("baselines.*.*", "interval", "Each constant baseline in each metric"),
    JsonKey("covariate_baselines.*.baselines.*.columns", "list", "Covariates of the baseline"),
    JsonKey("covariate_baselines.*.baselines.*.metrics.*", "interval", "Metric of the baseline"),
    JsonKey(
        "covariate_baselines.*.baselines.*.metrics.*.gain",
        "interval",
        "Paired difference of the model to the baseline; positive: the model is better",
    ),
    JsonKey(
        "covariate_baselines.*.baselines.*.metrics.*.verdict", "verdict", "Whether it is above 0"
    ),
    JsonKey("covariate_baselines.*.not_possible.*", "str", "Why a baseline cannot be fitted"),
    JsonKey("confusion", "object", "``tn``, ``fp``, ``fn``, ``tp``, mean over seeds; ``per_seed``"),
    JsonKey("levels.names", "list", "Severity levels of the instrument, the mildest first"),
    JsonKey("levels.counts", "list", "Sessions by measured (row) and predicted (column) level"),
    JsonKey("levels.by_subgroup.[].gender", "str", "Gender, if it is known"),
    JsonKey("levels.by_subgroup.[].valence", "str", "Valence, if it is known"),
    JsonKey("levels.by_subgroup.[].counts", "list", "As ``levels.counts``, for the subgroup"),
    JsonKey("out_of_range.rows", "int", "Predicted scores outside of the instrument, all seeds"),
    JsonKey("out_of_range.of", "int", "Number of predicted scores"),
    JsonKey("out_of_range.lowest", "float", "Lowest score of the instrument"),
    JsonKey("out_of_range.highest", "float", "Highest score of the instrument"),
    JsonKey(
        "threshold_setting",
        "str or float",
        "``evaluation.threshold`` of the run: ``validation`` or a number; ``column`` if the table "
        "has its thresholds; null without decisions",
    ),
    JsonKey("thresholds.[].fold", "int", "Fold of a decision threshold"),
    JsonKey("thresholds.[].seed", "int", "Seed of a decision threshold"),
    JsonKey("thresholds.[].value", "float", "Decision threshold"),
    JsonKey(
        "thresholds.[].source",
        "str",
        "How it was chosen on validation sessions, or that it is set or a column of the table",
    ),
    JsonKey("counts.*", "counts", "Counts of each split over all folds"),
    JsonKey("protocol.[].fold", "int", "Fold of a training"),
    JsonKey("protocol.[].seed", "int", "Seed of a training"),
    JsonKey("protocol.[].*", "counts", "Counts of each split of the training"),
    JsonKey("protocol.[].baseline_source.*", "str", "Split of the constants of each target"),
    JsonKey("assumed", "list", "Defaults of missing columns of the predictions table"),
    JsonKey(
        "untested.sessions", "int", "Number of sessions that are not in the test split of any fold"
    ),
    JsonKey("untested.which", "list", "Their ids"),
    JsonKey("folds", "list", "Tested folds"),
    JsonKey("seeds", "list", "Tested seeds, or repetitions of the folds"),
    JsonKey("repeats", "int", "Number of repetitions of the folds of a seed"),
    JsonKey("fold_metrics.folds.[].seed", "int", "Seed of a fold"),
    JsonKey("fold_metrics.folds.[].fold", "int", "Fold"),
    JsonKey("fold_metrics.folds.[].subjects", "int", "Number of its test subjects"),
    JsonKey("fold_metrics.folds.[].sessions", "int", "Number of its test sessions"),
    JsonKey("fold_metrics.folds.[].positive_sessions", "int", "Number of positive ones"),
    JsonKey("fold_metrics.folds.[].values.*", "float", "Headline metric of the fold"),
    JsonKey("fold_metrics.summary.*.pooled", "float", "Metric of the pooled predictions"),
    JsonKey("fold_metrics.summary.*.mean", "float", "Mean over the folds that have a value"),
    JsonKey("fold_metrics.summary.*.sd", "float", "Standard deviation over them, not an interval"),
    JsonKey("fold_metrics.summary.*.defined", "int", "Number of folds that have a value"),
    JsonKey("subgroups.*.*", "counts", "Counts of each subgroup, by grouping"),
    JsonKey("subgroups.*.*.*", "interval", "Headline metric of the subgroup"),
    JsonKey("subgroups.*.*.*.undefined", "str", "Why there is no value, or null"),
    JsonKey("subgroup_gaps.[].grouping", "str", "Grouping of a gap between subgroups"),
    JsonKey("subgroup_gaps.[].metric", "str", "Metric of the gap"),
    JsonKey("subgroup_gaps.[].compared", "list", "Subgroups that are compared"),
    JsonKey(
        "subgroup_gaps.[].between",
        "list",
        "The two subgroups, or of several the one with the largest and the smallest value",
    ),
    JsonKey("subgroup_gaps.[].value", "float", "Difference of the metric between them"),
    JsonKey("subgroup_gaps.[].ci_low", "float", "Lower bound of the interval of two subgroups"),
    JsonKey("subgroup_gaps.[].ci_high", "float", "Upper bound of the interval of two subgroups"),
    JsonKey("subgroup_gaps.[].exchanged", "str", "Units that the permutation test exchanges"),
    JsonKey("subgroup_gaps.[].p", "float", "p value of the permutation test"),
    JsonKey("subgroup_gaps.[].p_adjusted", "float", "p value after Holm's correction"),
    JsonKey("subgroup_gaps.[].outcome", "str", "``shown``, ``not shown`` or ``undefined``"),
    JsonKey("subgroup_gaps.[].undefined", "str", "Why there is no value or p value, or null"),
    JsonKey("not_grouped.*", "str", "Why there are no subgroups of a grouping"),
    JsonKey("task_by_valence.*.*", "counts", "Counts by task and valence"),
    JsonKey("task_by_valence.*.*.*", "interval", "Metric by task and valence"),
    JsonKey("task_by_valence.*.*.*.undefined", "str", "Why there is no value, or null"),
    JsonKey("gender_by_task.*.*", "counts", "Counts by gender and task"),
    JsonKey("gender_by_task.*.*.*", "interval", "Metric by gender and task"),
    JsonKey("gender_by_task.*.*.*.undefined", "str", "Why there is no value, or null"),
    JsonKey("gender_by_valence.*.*", "counts", "Counts by gender and valence"),
    JsonKey("gender_by_valence.*.*.*", "interval", "Metric by gender and valence"),
    JsonKey("gender_by_valence.*.*.*.undefined", "str", "Why there is no value, or null"),
    JsonKey("calibration.binary.bins", "int", "Number of bins of the calibration error"),
    JsonKey(f"{_CALIBRATION}.ece", "interval", "Adaptive ECE ``before`` and after calibration"),
    JsonKey(f"{_CALIBRATION}.brier", "interval", "Brier score before and after calibration"),
    JsonKey(f"{_CALIBRATION}.log_loss", "interval", "Log-loss before and after calibration"),
    JsonKey(f"{_CALIBRATION}.in_the_large", "interval", "Share of positives - mean probability"),
    JsonKey(f"{_CALIBRATION}.intercept", "interval", "Calibration intercept, slope fixed at 1"),
    JsonKey(f"{_CALIBRATION}.slope", "interval", "Calibration slope; below 1: too extreme"),
    JsonKey(f"{_CALIBRATION}.ece_if_calibrated.mean", "float", "ECE of calibrated probabilities"),
    JsonKey(f"{_CALIBRATION}.ece_if_calibrated.upper", "float", "Its 95 % quantile"),
    JsonKey(f"{_CALIBRATION}.reliability.[].prob_min", "float", "Lowest probability of a bin"),
    JsonKey(f"{_CALIBRATION}.reliability.[].prob_max", "float", "Highest probability of the bin"),
    JsonKey(f"{_CALIBRATION}.reliability.[].mean", "float", "Mean probability of the bin"),
    JsonKey(f"{_CALIBRATION}.reliability.[].positives", "proportion", "Share of positives in it"),
    JsonKey(f"{_CALIBRATION}.reliability.[].rows", "int", "Rows of the bin, over seeds"),
    JsonKey(f"{_CALIBRATION}.reliability.[].sessions", "int", "Sessions of the bin"),
    JsonKey(f"{_CALIBRATION}.reliability.[].subjects", "int", "Subjects of the bin"),
    JsonKey(f"{_CALIBRATION}.gain.*", "interval", "Paired decrease of a measure by calibration"),
    JsonKey(f"{_CALIBRATION}.fits", "list", "Calibrator of each fold and seed"),
    JsonKey(f"{_CALIBRATION}.unavailable", "str", "Why a calibrator cannot be fitted"),
    JsonKey("calibration.binary.decision_curve.[].threshold", "float", "Threshold of a decision"),
    JsonKey("calibration.binary.decision_curve.[].net_benefit", "interval", "Its net benefit"),
    JsonKey("calibration.binary.decision_curve.[].treat_all", "float", "Same, all positive"),
    JsonKey("calibration.binary.decision_curve.[].gain", "interval", "Over all or none positive"),
    JsonKey("calibration.binary.predictive_values.[].prevalence", "float", "Stated prevalence"),
    JsonKey(
        "calibration.binary.predictive_values.[].ppv", "interval", "Correct positive decisions"
    ),
    JsonKey(
        "calibration.binary.predictive_values.[].npv", "interval", "Correct negative decisions"
    ),
    JsonKey("calibration.binary.risk_coverage.aurc", "interval", "Area under risk-coverage"),
    JsonKey("calibration.binary.risk_coverage.risk", "interval", "Error of all decisions"),
    JsonKey("calibration.binary.risk_coverage.gain", "interval", "Paired difference, risk - aurc"),
    JsonKey("calibration.binary.risk_coverage.curve.coverage", "list", "Coverages of the curve"),
    JsonKey("calibration.binary.risk_coverage.curve.risk", "list", "Mean risk over seeds at them"),
    JsonKey(f"{_SETS}.alpha", "float", "1 minus the coverage of a conformal set or interval"),
    JsonKey(f"{_SETS}.coverage.*", "proportion", "Measured coverage by class (0, 1) and of all"),
    JsonKey(f"{_SETS}.sizes.*", "float", "Share of sessions whose set is empty, has one, or both"),
    JsonKey(f"{_SETS}.width", "float", "Mean width of the intervals, points"),
    JsonKey(f"{_SETS}.bounds", "list", "Lowest and highest score of the instrument"),
    JsonKey(f"{_SETS}.unbounded", "bool", "Whether a fold has too few validation subjects"),
    JsonKey(f"{_SETS}.min_subjects", "int", "Validation subjects (of a class) that are needed"),
    JsonKey(f"{_SETS}.fits", "list", "Conformal quantile of each fold and seed"),
    JsonKey("calibration.*.conformal.unavailable", "str", "Why sets cannot be fitted"),
    JsonKey("calibration.*.gate_std.error", "str", "Definition of the error of a prediction"),
    JsonKey("calibration.*.gate_std.mean", "float", "Mean standard deviation under gate samples"),
    JsonKey("calibration.*.gate_std.spearman", "interval", "Rank correlation of it and the error"),
    JsonKey("calibration.*.gate_std.terciles.*", "interval", "Mean error by thirds of it"),
    JsonKey("bootstrap.unit", "str", "What is resampled: ``subject``"),
    JsonKey(
        "bootstrap.class_counts",
        "str",
        "``fixed`` or ``random``: whether replicates have the class counts of the data",
    ),
    JsonKey("bootstrap.n_bootstrap", "int", "Number of bootstrap replicates"),
    JsonKey("bootstrap.confidence", "float", "Confidence level of the intervals"),
    JsonKey("bootstrap.seed", "int", "Seed of the bootstrap"),
    JsonKey("bootstrap.n_trainings", "int", "Seeds of training; with 1, their variance is unknown"),
    JsonKey(
        "bootstrap.subjects_by_stratum.*",
        "int",
        "Subjects by the labels of their sessions",
    ),
    JsonKey("warnings", "list", "Limitations of the evaluation, sentences"),
    JsonKey("coverage.n_sessions", "int", "Sessions of the manifest; null for a table alone"),
    JsonKey("coverage.n_predicted", "int", "Sessions of the manifest with a prediction"),
    JsonKey("coverage.excluded.[].reason", "str", "Why sessions have no prediction"),
    JsonKey("coverage.excluded.[].n_sessions", "int", "Number of these sessions"),
    JsonKey("coverage.excluded.[].sessions", "list", "Their ids"),
    JsonKey("coverage.failures.[].session", "str", "Session with an extraction failure"),
    JsonKey("coverage.failures.[].stage", "str", "Part of the session that failed"),
    JsonKey("coverage.failures.[].file", "str", "File that could not be read"),
    JsonKey("coverage.failures.[].cause", "str", "What is wrong"),
    JsonKey("coverage.failures.[].remedy", "str", "What to do; empty without general advice"),
    JsonKey("coverage.used_signal.*.unit", "str", "Unit of the amounts of a modality"),
    JsonKey("coverage.used_signal.*.total", "float", "Amount in the recordings"),
    JsonKey("coverage.used_signal.*.used", "float", "Amount that the model reads"),
    JsonKey("coverage.used_signal.*.left_out.*", "float", "Amount that is left out, by reason"),
    JsonKey("coverage.used_signal.*.text", "str", "These amounts as a sentence"),
    JsonKey("coverage.not_checked", "str", "Why manifest and store cannot be compared"),
    JsonKey("participants.variables.[].name", "str", "Covariate that describes the subjects"),
    JsonKey("participants.variables.[].unit", "str", "Its unit, or null"),
    JsonKey("participants.variables.[].numeric", "bool", "Whether it is a number"),
    JsonKey("participants.variables.[].missing", "int", "Subjects whose value is unknown"),
    JsonKey("participants.groups.[].name", "str", "``all``, or a split"),
    JsonKey("participants.groups.[].fold", "int", "Fold of the split; null for ``all``"),
    JsonKey("participants.groups.[].by_label.*.subjects", "int", "Subjects of a group and label"),
    JsonKey("participants.groups.[].by_label.*.sessions", "int", "Their sessions"),
    JsonKey(
        "participants.groups.[].by_label.*.variables.*.known", "int", "Subjects with a known value"
    ),
    JsonKey("participants.groups.[].by_label.*.variables.*.mean", "float", "Mean over subjects"),
    JsonKey("participants.groups.[].by_label.*.variables.*.std", "float", "Standard deviation"),
    JsonKey("participants.groups.[].by_label.*.variables.*.shares.*", "float", "Share of category"),
    JsonKey("participants.differences.[].name", "str", "The two groups that are compared"),
    JsonKey("participants.differences.[].fold", "int", "Fold of the two groups, or null"),
    JsonKey(
        "participants.differences.[].variables.*.value", "float", "Standardised difference, or null"
    ),
    JsonKey(
        "participants.differences.[].variables.*.chance",
        "float",
        "Absolute difference that chance exceeds in 5 % of the cases",
    ),
    JsonKey(
        "participants.differences.[].variables.*.imbalanced",
        "bool",
        "Whether the difference is above ``participants.imbalance`` and above chance",
    ),
    JsonKey("participants.imbalance", "float", "Difference of an imbalanced covariate"),
    JsonKey("participants.not_described.*", "str", "Why a covariate is not described"),
    JsonKey("smallest_effects.alpha", "float", "Size of the two-sided test of chance"),
    JsonKey("smallest_effects.power", "float", "Probability of showing a smallest effect"),
    JsonKey("smallest_effects.subjects", "int", "Tested subjects"),
    JsonKey("smallest_effects.positive", "int", "Tested positive subjects; null without labels"),
    JsonKey("smallest_effects.negative", "int", "Tested negative subjects; null without labels"),
    JsonKey("smallest_effects.auroc", "float", "Smallest AUROC that is shown to be above 0.5"),
    JsonKey("smallest_effects.balanced_accuracy", "float", "The same for balanced accuracy"),
    JsonKey("smallest_effects.pearson", "float", "Smallest correlation that is shown"),
    JsonKey("split_gap.*.train", "float", "Metric on training sessions, mean over trainings"),
    JsonKey("split_gap.*.validation", "float", "Metric on validation sessions"),
    JsonKey("split_gap.*.test", "float", "Metric on test sessions, as in ``metrics``"),
    JsonKey("split_gap.*.gap", "float", "Training minus test"),
    JsonKey("indeterminate.coverage", "float", "Coverage of the conformal sets"),
    JsonKey("indeterminate.counts.*.*", "float", "Sessions by label and outcome, mean over seeds"),
    JsonKey("indeterminate.share", "float", "Share of sessions with an indeterminate outcome"),
    JsonKey("indeterminate.unavailable", "str", "Why there are no conformal sets"),
    JsonKey("flow.stages.[].name", "str", "Stage of a session: found to used"),
    JsonKey("flow.stages.[].sessions", "int", "Sessions that reach it"),
    JsonKey("flow.stages.[].subjects", "int", "Their subjects"),
    JsonKey("flow.stages.[].positive_sessions", "int", "Positive sessions, or null"),
    JsonKey("flow.stages.[].lost.*", "int", "Sessions lost before this stage, by reason"),
    JsonKey("flow.modalities.[].modality", "str", "Modality of a count"),
    JsonKey("flow.modalities.[].label", "int", "Label of a count, or null"),
    JsonKey("flow.modalities.[].sessions", "int", "Labelled sessions"),
    JsonKey("flow.modalities.[].missing", "int", "Of them without the modality"),
    JsonKey("flow.not_indexed.*", "int", "What depmm index left out, by kind"),
    JsonKey("leakage.[].name", "str", "Kind of leak"),
    JsonKey("leakage.[].status", "str", "``checked``, ``problem`` or ``not checked``"),
    JsonKey("leakage.[].result", "str", "What was found, or why it was not checked"),
    JsonKey("leakage.[].remedy", "str", "What remains to be done, or empty"),
    JsonKey("probe.schema_version", "int", "Version of ``probe.json``"),
    JsonKey("probe.splits", "list", "Splits of the subjects that ``depmm probe`` tested"),
    JsonKey("probe.nuisance.*.protocol", "str", "``within`` these splits, or ``training``"),
    JsonKey("probe.nuisance.*.classes", "list", "Values of the nuisance"),
    JsonKey("probe.nuisance.*.sessions", "int", "Tested sessions"),
    JsonKey("probe.nuisance.*.subjects", "int", "Tested subjects"),
    JsonKey("probe.nuisance.*.models", "int", "Models whose embeddings were probed"),
    JsonKey("probe.nuisance.*.balanced_accuracy", "float", "Mean recall over the values"),
    JsonKey("probe.nuisance.*.ci_low", "float", "Lower bound of its interval over subjects"),
    JsonKey("probe.nuisance.*.ci_high", "float", "Upper bound"),
    JsonKey(
        "probe.nuisance.*.nonlinear.balanced_accuracy",
        "float",
        "The same of a support vector machine with radial basis functions",
    ),
    JsonKey("probe.nuisance.*.nonlinear.ci_low", "float", "Lower bound of its interval"),
    JsonKey("probe.nuisance.*.nonlinear.ci_high", "float", "Upper bound"),
    JsonKey("probe.nuisance.*.confidence", "float", "Level of the interval"),
    JsonKey("probe.nuisance.*.chance", "float", "One over the number of values"),
    JsonKey("ledger.searched", "str", "Folder in which runs on the same manifest were searched"),
    JsonKey("ledger.unreadable", "int", "Folders whose files cannot be read"),
    JsonKey("ledger.runs.[].this", "bool", "Whether it is this run"),
    JsonKey("ledger.runs.[].name", "str", "Name of the folder"),
    JsonKey("ledger.runs.[].started", "str", "Time of the start of the training, UTC"),
    JsonKey("ledger.runs.[].model", "str", "Kind of model and modalities"),
    JsonKey("ledger.runs.[].split", "str", "Kind of split"),
    JsonKey("ledger.runs.[].seeds", "list", "Seeds"),
    JsonKey("ledger.runs.[].finished", "bool", "Whether it has predictions"),
    JsonKey("ledger.runs.[].evaluated", "bool", "Whether it has a report"),
    JsonKey(
        "ledger.runs.[].shared_test_subjects", "int", "Its test subjects that this run tests too"
    ),
    JsonKey("ledger.runs.[].metrics.*", "float", "Headline metrics on its test sessions"),
)
