"""What a model would score that sees no recording: gender and age, duration, or the interviewer.

Recordings of depressed subjects differ from others in ways that are not depression: who was asked
how long, by whom, and of which gender and age. A model that only hears these has learned nothing
about depression, and yet beats a constant (E-DAIC: 8 of 13 women of the test are positive, 9 of 43
men). Where it is not shown to be better than such a baseline, a report says so.

The baselines of each (fold, seed) are fitted on its TRAIN rows (on its validation rows where the
table has no labelled train rows), never on the rows that are tested: logistic regression with
balanced classes, deciding at 0.5, or ridge regression of the score, both with scikit-learn's
penalty. Numbers are standardised, and the median stands in for a missing one beside a column that
says so; words are one-hot, and one that no train row has is none of them.

Baselines vary from fold to fold, so that pooled over folds, and most of all when leaving one
subject out, a baseline that knows nothing can score below chance: the baseline of a verdict remains
the best constant answer (``baselines``).
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from depmm.evaluation.baselines import fitting_rows, verdict
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.metrics import HEADLINE, METRICS, metric_names
from depmm.evaluation.thresholds import DEFAULT_THRESHOLD

COVARIATE_BASELINES: dict[str, tuple[str, ...]] = {
    "demographics": ("gender", "age"),
    "duration": ("duration_s", "n_steps"),
    "interviewer": ("interviewer",),
}
UNKNOWN = "not known"


class _NotPossible(ValueError):
    """A baseline that these predictions do not allow, and why."""


def add_covariate_baselines(
    predictions: pd.DataFrame, target: str
) -> tuple[pd.DataFrame, dict[str, list[str]], dict[str, str]]:
    """Add the answers of each baseline to the rows of every (fold, seed).

    Parameters
    ----------
    predictions : checked table (``check_predictions``) with any of ``COVARIATES``
    target : ``binary`` adds ``<baseline>_y_prob`` and ``<baseline>_y_pred``, ``severity`` adds
        ``<baseline>_score_pred``

    Returns
    -------
    table : a copy with the answers
    reads : baseline -> the columns that it is fitted on
    not_possible : baseline -> why there is none

    Raises
    ------
    ValueError : a fold has neither labelled train nor labelled validation rows, others have
    """
    table = predictions.copy()
    reads: dict[str, list[str]] = {}
    not_possible: dict[str, str] = {}
    for baseline, columns in COVARIATE_BASELINES.items():
        try:
            known = _known_columns(predictions, columns)
            answer = _answers(predictions, target, known)
        except _NotPossible as why:
            not_possible[baseline] = str(why)
            continue
        reads[baseline] = [str(name) for name in known]
        if target == "severity":
            table[f"{baseline}_score_pred"] = answer
        else:
            table[f"{baseline}_y_prob"] = answer
            table[f"{baseline}_y_pred"] = (answer >= DEFAULT_THRESHOLD).astype(int)
    return table, reads, not_possible


def _known_columns(predictions: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Take the columns that are known of some tested session, as a model reads them."""
    present = [name for name in columns if name in predictions]
    if not present:
        raise _NotPossible(f"the predictions have no column {' or '.join(columns)}")
    tested = predictions["split"] == "test"
    known = predictions[[name for name in present if predictions.loc[tested, name].notna().any()]]
    if known.empty:
        raise _NotPossible(f"{' and '.join(present)} of every tested session: {UNKNOWN}")
    if "duration_s" in known:
        # twice as long is one step, from seconds to hours
        seconds = known["duration_s"]
        known = known.assign(duration_s=np.log(seconds.where(seconds > 0)))
    return known


def _answers(predictions: pd.DataFrame, target: str, known: pd.DataFrame) -> np.ndarray:
    """Fit on each (fold, seed)'s own rows and answer all of its rows: ``[rows]``."""
    column = "y_true" if target == "binary" else "score"
    truth = predictions[column].to_numpy(dtype=float, na_value=np.nan)
    if predictions.loc[predictions["split"] != "test", column].isna().all():
        raise _NotPossible("no train or validation rows to fit on")
    answer = np.full(len(predictions), np.nan)
    for rows, own, split in fitting_rows(predictions, column):
        where = "the {} rows of fold {}, seed {}".format(
            split, *predictions[["fold", "seed"]].iloc[rows[0]]
        )
        if known.iloc[own].isna().all(axis=None):
            raise _NotPossible(f"{' and '.join(known.columns)} of {where}: {UNKNOWN}")
        if target == "binary" and len(np.unique(truth[own])) < 2:
            raise _NotPossible(f"{where} have one class only")
        fitted = np.isin(rows, own)
        table = encode(known.iloc[rows], fitted)
        if target == "severity":
            answer[rows] = Ridge().fit(table[fitted], truth[rows[fitted]]).predict(table)
        else:
            model = LogisticRegression(class_weight="balanced", max_iter=1000)
            model.fit(table[fitted], truth[rows[fitted]])
            answer[rows] = model.predict_proba(table)[:, 1]
    return answer


def encode(known: pd.DataFrame, own: np.ndarray) -> np.ndarray:
    """Turn covariates into numbers, by what the rows to fit on have of them.

    What ``SimpleImputer(strategy="median", add_indicator=True)`` with ``StandardScaler``, and
    ``OneHotEncoder(handle_unknown="ignore")`` do as a ``ColumnTransformer``, which takes longer
    than the fit itself; a report may need hundreds.

    Parameters
    ----------
    known : [N, columns], numbers and words, null where unknown
    own : [N] bool, the rows to fit on

    Returns
    -------
    [N, K]
    """
    numbers: list[np.ndarray] = []
    words: list[np.ndarray] = []
    for name in known:
        values = known[name]
        if not is_numeric_dtype(values):
            names = values.fillna(UNKNOWN).to_numpy(object)
            words += [names == word for word in np.unique(names[own])]
            continue
        number = values.to_numpy(float)
        absent = np.isnan(number)
        if absent[own].all():
            continue
        numbers.append(np.where(absent, np.median(number[own & ~absent]), number))
        if absent[own].any():
            numbers.append(absent)
    if numbers:
        table = np.stack(numbers, axis=1).astype(float)
        numbers = list(StandardScaler().fit(table[own]).transform(table).T)
    return np.stack([*numbers, *words], axis=1).astype(float)


def compare_with_covariate_baselines(
    tested: ResampledSessions, target: str, reads: dict[str, list[str]]
) -> dict[str, Any]:
    """Measure each baseline like the model, on the same draws, and the model's gain over it.

    Severity bands are left out: a baseline's answers have none.

    Parameters
    ----------
    tested : sessions with the answers of ``add_covariate_baselines``
    reads : its baselines

    Returns
    -------
    baseline -> ``columns`` (its columns) and ``metrics``: name -> value, low, high, n_undefined,
    ``gain`` (paired, of the model over the baseline; positive is better) and ``verdict``, both None
    for metrics that are not judged alone
    """
    baselines: dict[str, Any] = {
        baseline: {"columns": columns, "metrics": {}} for baseline, columns in reads.items()
    }
    for name in metric_names(target):
        metric = METRICS[name]
        if metric.predicted == "band_pred":
            continue
        own = tested.values(name)
        estimate = tested.interval(*own)
        sign = -1 if metric.lower_is_better else 1
        for baseline, entry in baselines.items():
            values = tested.values(name, f"{baseline}_{metric.predicted}")
            beside = tested.interval(*values)
            entry["metrics"][name] = {**asdict(beside), "gain": None, "verdict": None}
            if metric.has_baseline:
                gain = tested.interval(*(sign * (a - b) for a, b in zip(own, values, strict=True)))
                words = f"{baseline} alone: {', '.join(entry['columns'])}"
                entry["metrics"][name] |= {
                    "gain": asdict(gain),
                    "verdict": verdict(name, estimate, beside, gain, words),
                }
    return baselines


def covariate_warnings(baselines: dict[str, Any], target: str) -> list[str]:
    """Name the baselines that the model is not shown to beat in every headline metric."""
    notes = []
    for entry in baselines.values():
        verdicts = [entry["metrics"][name]["verdict"] for name in HEADLINE[target]]
        if lost := [v["text"] for v in verdicts if v["outcome"] not in ("better", "undefined")]:
            notes.append(
                f"Not shown to be better than a model that sees no recording, only "
                f"{' and '.join(entry['columns'])}: {' '.join(lost)}"
            )
    return notes
