"""Shortcuts: properties of a session other than voice and face that predict its label.

Every shortcut is tested over subjects, as the sessions of a subject are not independent, with an
effect size from -1 to 1 and a two-sided test (one-sided for runs of ids). The p values of a corpus
are adjusted together, so that the probability of a false warning does not depend on the number of
shortcuts.

A shortcut that nearly separates the classes (``ERROR_EFFECT_SIZE``) is an *error*: a model can
reach its score by the shortcut alone, so results are meaningless until it is removed or shown to be
inaccessible to the model. If it is inaccessible, such as ids for a model that reads only audio and
faces, allow it by name: every run records that.

References
----------
Geirhos et al., "Shortcut learning in deep neural networks", Nature Machine Intelligence 2, 2020.
Kerby, "The simple difference formula: an approach to teaching nonparametric correlation",
Comprehensive Psychology 3, 2014 (rank-biserial correlation).
Wald and Wolfowitz, "On a test whether two samples are from the same population", Annals of
Mathematical Statistics 11(2), 1940 (runs test).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln, logsumexp

from depmm.audit.findings import AuditInput, Finding, Severity
from depmm.corpora.patterns import natural_sort_key
from depmm.multiple_testing import holm
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

ALPHA = 0.05  # adjusted p value below which a shortcut is a warning
ERROR_EFFECT_SIZE = 0.8  # absolute effect size from which a significant shortcut is an error
RANK_BISERIAL = "rank-biserial correlation"


@dataclass(frozen=True)
class Association:
    """Association of one property with the label in one corpus.

    Attributes
    ----------
    description : str
        The property in both classes, with numbers.
    effect_measure : str
        Measure of the effect size.
    effect_size : float
        Effect size, -1 to 1; 0 is no association.
    p_value : float
        p value of the test, not adjusted.
    """

    description: str
    effect_measure: str
    effect_size: float
    p_value: float


@dataclass(frozen=True)
class Shortcut:
    """A property with the test of its association with the label.

    Attributes
    ----------
    name : str
        Name of its findings.
    test : callable
        Function from the rows of `labelled_subjects` of one corpus to the association; None if it
        cannot be tested.
    remedy : str
        What to do if the property predicts the label.
    """

    name: str
    test: Callable[[pd.DataFrame], Association | None]
    remedy: str


def shortcuts(inputs: AuditInput) -> Iterator[Finding]:
    """Test every shortcut in every corpus with labels.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One per corpus and shortcut that can be tested; p values are adjusted within the corpus.
    """
    for corpus, subjects in labelled_subjects(inputs).groupby("corpus"):
        results = [(shortcut, shortcut.test(subjects)) for shortcut in SHORTCUTS]
        tested = [(shortcut, result) for shortcut, result in results if result is not None]
        adjusted = holm([result.p_value for _, result in tested]).tolist()
        for (shortcut, result), p_adjusted in zip(tested, adjusted, strict=True):
            severity = _severity(result.effect_size, p_adjusted)
            yield Finding(
                shortcut.name,
                severity,
                f"{corpus}: {result.description} ({result.effect_measure} "
                f"{result.effect_size:+.2f}, p = {result.p_value:.2g}, adjusted {p_adjusted:.2g}).",
                "No action is needed." if severity == "info" else shortcut.remedy,
                effect_measure=result.effect_measure,
                effect_size=result.effect_size,
                p_value=result.p_value,
                p_adjusted=p_adjusted,
            )


def _severity(effect_size: float, p_adjusted: float) -> Severity:
    if p_adjusted >= ALPHA:
        return "info"
    return "error" if abs(effect_size) >= ERROR_EFFECT_SIZE else "warning"


def labelled_subjects(inputs: AuditInput) -> pd.DataFrame:
    """Summarise the labelled sessions of each subject.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Returns
    -------
    DataFrame
        One row per subject in natural order of the ids. Columns corpus, subject, label (majority; a
        tie is positive), gender (missing if unknown), and, as means over the sessions, steps,
        duration_s (NaN if unknown) and black_border (NaN if unknown).
    """
    sessions = inputs.manifest.sessions.dropna(subset=["label"])
    properties = _session_properties(inputs)
    table = sessions[[*SESSION_KEY, "label", "gender"]].merge(
        properties, on=SESSION_KEY, how="left"
    )
    table["label"] = table["label"].astype(float)
    subjects = table.groupby(SUBJECT_KEY, as_index=False).agg(
        label=("label", "mean"),
        gender=("gender", "first"),
        steps=("steps", "mean"),
        duration_s=("duration_s", "mean"),
        black_border=("black_border", "mean"),
    )
    subjects["label"] = (subjects["label"] >= 0.5).astype(int)
    order = subjects["subject"].map(natural_sort_key)
    return subjects.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def step_durations(inputs: AuditInput) -> pd.Series:
    """Compute the duration of each step.

    A step without end lasts to the end of its file, whose duration must be known.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Returns
    -------
    Series
        Durations in seconds with the index of ``manifest.steps``; NaN if unknown.
    """
    steps = inputs.manifest.steps
    durations = inputs.recordings.table["length_s"].to_dict() if inputs.recordings else {}
    ends = [
        end if not np.isnan(end) else durations.get((corpus, face if pd.isna(audio) else audio))
        for corpus, end, audio, face in zip(
            steps["corpus"], steps["end_s"], steps["audio"], steps["face"], strict=True
        )
    ]
    return pd.Series(ends, index=steps.index, dtype=float) - steps["start_s"]


def _session_properties(inputs: AuditInput) -> pd.DataFrame:
    borders = inputs.recordings.table["black_border"].to_dict() if inputs.recordings else {}
    steps = inputs.manifest.steps
    files = zip(steps["corpus"], steps["face"], strict=True)
    table = steps[SESSION_KEY].assign(
        duration_s=step_durations(inputs),
        black_border=pd.Series(
            [borders.get((corpus, file)) for corpus, file in files], index=steps.index, dtype=float
        ),
    )
    return table.groupby(SESSION_KEY, as_index=False).agg(
        steps=("duration_s", "size"),
        duration_s=("duration_s", lambda values: values.sum(skipna=False)),
        black_border=("black_border", "mean"),
    )


def _test_gender(subjects: pd.DataFrame) -> Association | None:
    """Test gender with Fisher's exact test; the effect size is the phi coefficient."""
    subjects = subjects.dropna(subset=["gender"])
    female, positive = subjects["gender"] == "female", subjects["label"] == 1
    table = np.array(
        [[(a & b).sum() for b in (positive, ~positive)] for a in (female, ~female)], dtype=float
    )
    margins = np.concatenate([table.sum(0), table.sum(1)])
    if not margins.all():
        return None
    return Association(
        f"{table[0, 0]:.0f} of {table[0].sum():.0f} women and {table[1, 0]:.0f} of "
        f"{table[1].sum():.0f} men are positive",
        "phi",
        float(np.linalg.det(table) / np.sqrt(margins.prod())),
        float(stats.fisher_exact(table).pvalue),
    )


def _rank_test(
    column: str, description: str, scale: float = 1.0
) -> Callable[[pd.DataFrame], Association | None]:
    """Build the Mann-Whitney U test of a column; the effect size is the rank-biserial correlation.

    ``description`` names the property of one subject, with ``{}`` for the median.
    """

    def test(subjects: pd.DataFrame) -> Association | None:
        known = subjects.dropna(subset=[column])
        positive, negative = (known.loc[known["label"] == k, column].to_numpy() for k in (1, 0))
        if not len(positive) or not len(negative):
            return None
        result = stats.mannwhitneyu(positive, negative, alternative="two-sided")
        medians = [f"{np.median(values) * scale:.4g}" for values in (positive, negative)]
        return Association(
            f"median {description.format(medians[0])} in {len(positive)} positive subjects, "
            f"{medians[1]} in {len(negative)} negative subjects",
            RANK_BISERIAL,
            float(2 * result.statistic / (len(positive) * len(negative)) - 1),
            1.0 if np.isnan(result.pvalue) else float(result.pvalue),
        )

    return test


def _test_id_order(subjects: pd.DataFrame) -> Association | None:
    """Test the rank of the subject id."""
    ranked = subjects.assign(rank=np.arange(1, len(subjects) + 1))
    return _rank_test("rank", f"rank {{}} of {len(subjects)} in order of the ids")(ranked)


def _test_id_runs(subjects: pd.DataFrame) -> Association | None:
    """Test the number of runs of one label along the ids (exact Wald-Wolfowitz test).

    The test finds labels that are a function of the id without rising or falling with it. The
    effect size is the share of the expected changes of label that are missing: 1 for two runs.
    """
    labels = subjects["label"].to_numpy()
    n_positive, n_subjects = int(labels.sum()), len(labels)
    n_negative = n_subjects - n_positive
    if not n_positive or not n_negative or n_subjects < 3:
        return None
    runs = 1 + int((labels[1:] != labels[:-1]).sum())
    expected = 1 + 2 * n_positive * n_negative / n_subjects
    return Association(
        f"in order of their ids, the {n_subjects} subjects form {runs} runs of one label; "
        f"{expected:.1f} runs are expected by chance",
        "share of missing changes of label",
        (expected - runs) / (expected - 2),
        _runs_p_value(runs, n_positive, n_negative),
    )


def _runs_p_value(runs: int, n_positive: int, n_negative: int) -> float:
    """Compute the probability of at most this number of runs of labels in random order.

    The time is proportional to ``runs``; the relative error is below 1e-9 for 100,000 subjects.
    """

    def log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            result = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        return np.where((k >= 0) & (k <= n), result, -np.inf)

    counts = np.arange(2, runs + 1)
    first, second = (counts + 1) // 2 - 1, counts // 2 - 1
    # an order of labels begins with a positive or a negative one; logarithms, because the numbers
    # of orders have thousands of digits
    terms = [
        log_choose(n_positive - 1, first) + log_choose(n_negative - 1, second),
        log_choose(n_positive - 1, second) + log_choose(n_negative - 1, first),
    ]
    n_orders = log_choose(n_positive + n_negative, np.array([n_positive]))
    return min(1.0, float(np.exp(logsumexp(np.concatenate(terms)) - n_orders[0])))


_ID_REMEDY = (
    "Do not give names and order of files to the model, and check whether the classes were "
    "recorded at different times or with different devices. If only the ids follow the label, and "
    "the model reads audio and faces only, allow the finding."
)
SHORTCUTS = (
    Shortcut(
        "gender_shortcut",
        _test_gender,
        "Report results by gender and the baseline of gender alone, or balance the classes.",
    ),
    Shortcut(
        "step_count_shortcut",
        _rank_test("steps", "{} steps per session"),
        "Sample the same number of steps from every session, so that a model cannot count them, "
        "and report the baseline of the number of steps alone.",
    ),
    Shortcut(
        "duration_shortcut",
        _rank_test("duration_s", "{} s per session"),
        "Cut all sessions to the same duration, so that a model cannot measure it, and report the "
        "baseline of the duration alone.",
    ),
    Shortcut("id_order_shortcut", _test_id_order, _ID_REMEDY),
    Shortcut("id_runs_shortcut", _test_id_runs, _ID_REMEDY),
    Shortcut(
        "black_border_shortcut",
        _rank_test("black_border", "{} % of the frame area as black border", scale=100),
        "Crop the borders of all videos before extraction: aligned faces at the edge of the "
        "frame include the border.",
    ),
)
