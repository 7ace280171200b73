"""What answers that know nothing would score, on the same test rows and the same draws.

Each fold's constants come from its TRAIN rows (from its validation rows where the table has no
labelled train rows), never from the rows that are tested:

- ``majority``: the more frequent class (negative when both are equally frequent);
- ``always_negative``, ``always_positive``: one class; the latter is the baseline of F1 on rare
  positives;
- ``constant_probability``: the share of positives;
- ``even_odds``: probability 0.5 for everyone;
- ``constant_mean``: the mean score.

A table of tested rows alone (binary) is judged by the answers that need no training: one class for
everyone, probability 0.5.

Constants that differ from fold to fold differ *against* the truth: a fold whose tested subjects are
positive has fewer positives left to train on. Pooled over folds, the majority class can so score
far below one constant answer (an accuracy of 0 when leaving one of two equal groups out, subject by
subject). A metric is therefore compared with the best of the constant answers, or with its chance
level where every single constant scores the same (0.5 for balanced accuracy and AUROC).
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.evaluation.stats.bootstrap import MetricValues, ResampledSessions
from depmm.evaluation.stats.intervals import Interval
from depmm.evaluation.stats.metrics import METRICS, PredictionColumn, metric_names

BASELINES: dict[str, tuple[PredictionColumn, str]] = {
    "majority": ("y_pred", "majority class"),
    "always_negative": ("y_pred", "always negative"),
    "always_positive": ("y_pred", "always positive"),
    "constant_probability": ("y_prob", "constant probability"),
    "even_odds": ("y_prob", "probability 0.5"),
    "constant_mean": ("score_pred", "constant mean"),
}
ROUNDING = 1e-9  # a gain below this is rounding, not a gain
NO_SOURCE = "none"  # of a table of tested rows alone
CHANCE = "chance"  # the baseline of a metric on which all constants agree
LABELS = {CHANCE: "any constant answer", **{name: label for name, (_, label) in BASELINES.items()}}


def add_baselines(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Add the constant answers of each (fold, seed) to its rows.

    Parameters
    ----------
    predictions : table with split, fold, seed and y_true (binary) or score (severity)
    target : ``binary`` adds the constant decisions and the probability, ``severity`` the mean

    Returns
    -------
    A copy with a column for each constant, and ``binary_baseline_source`` or
    ``severity_baseline_source``: the split that they come from

    Raises
    ------
    ValueError : a fold has neither labelled train nor labelled validation rows, though other folds
        have, or though the target is severity
    """
    column = "y_true" if target == "binary" else "score"
    if target == "binary" and predictions.loc[predictions["split"] != "test", column].isna().all():
        fixed = {"always_negative": 0, "always_positive": 1, "even_odds": 0.5}
        return predictions.assign(**fixed, binary_baseline_source=NO_SOURCE)
    truth = predictions[column].to_numpy(dtype=float, na_value=np.nan)
    constant = np.full(len(predictions), np.nan)
    source = np.full(len(predictions), "", dtype=object)
    for rows, own, name in fitting_rows(predictions, column):
        constant[rows], source[rows] = truth[own].mean(), name
    table = predictions.assign(**{f"{target}_baseline_source": source})
    if target == "severity":
        return table.assign(constant_mean=constant)
    return table.assign(
        majority=(constant > 0.5).astype(int),
        always_negative=0,
        always_positive=1,
        constant_probability=constant,
        even_odds=0.5,
    )


def fitting_rows(
    predictions: pd.DataFrame, column: str
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], str]]:
    """Say for each (fold, seed) which rows its baselines are fitted on; never the tested ones.

    Parameters
    ----------
    predictions : table with split, fold, seed and ``column``
    column : the truth

    Yields
    ------
    all rows of the (fold, seed), those of them to fit on, and the split of these

    Raises
    ------
    ValueError : a fold has neither labelled train nor labelled validation rows
    """
    known = predictions[column].notna().to_numpy()
    split = predictions["split"].to_numpy()
    trainings: dict[Any, Any] = predictions.groupby(["fold", "seed"]).indices
    for (fold, seed), rows in trainings.items():
        for name in ("train", "validation"):
            if (own := rows[known[rows] & (split[rows] == name)]).size:
                yield rows, own, name
                break
        else:
            raise ValueError(
                f"predictions: fold {fold}, seed {seed} has no train or validation rows with "
                f"{column}, so that no baseline can be set without looking at the test: add its "
                f"train rows ({column} is enough, the answers may be null)"
            )


def compare_with_baselines(
    tested: ResampledSessions, target: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute every metric of a target beside its baseline.

    Returns
    -------
    metrics : name -> value, low, high, n_undefined; ``baseline`` (name, value, low, high) and
        ``gain`` (paired difference to it; positive is better), both None where a constant answer
        reaches the best value; ``verdict``; ``per_seed`` with several seeds
    baselines : baseline -> metric -> value, low, high, n_undefined
    """
    metrics: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    for name in metric_names(target):
        metric = METRICS[name]
        if any(metric.predicted not in rows for rows in tested.seeds.values()):
            continue  # no bands: the instrument is unknown or has none
        own = tested.values(name)
        estimate = tested.interval(*own)
        entry: dict[str, Any] = {
            **asdict(estimate),
            "baseline": None,
            "gain": None,
            "verdict": None,
        }
        if len(own.per_seed) > 1:
            entry["per_seed"] = dict(zip(map(str, tested.seeds), own.per_seed, strict=True))
        constants = {
            baseline: tested.values(name, baseline)
            for baseline, (answer, _) in BASELINES.items()
            if answer == metric.predicted
            and all(baseline in rows for rows in tested.seeds.values())
        }
        for baseline, values in constants.items():
            baselines.setdefault(baseline, {})[name] = asdict(tested.interval(*values))
        if metric.has_baseline:
            baseline, best = _best_baseline(name, constants, own)
            beside = tested.interval(*best)
            sign = -1 if metric.lower_is_better else 1
            gain = tested.interval(*(sign * (a - b) for a, b in zip(own, best, strict=True)))
            entry["baseline"] = {"name": baseline, **asdict(beside)}
            entry["gain"] = asdict(gain)
            entry["verdict"] = verdict(name, estimate, beside, gain, LABELS[baseline])
        metrics[name] = entry
    return metrics, baselines


def verdict(
    name: str, estimate: Interval, baseline: Interval, gain: Interval, baseline_label: str
) -> dict[str, str]:
    """Say in plain words whether a metric is better than its baseline.

    Better means that the lower bound of the paired gain over the baseline is above 0: model and
    baseline are compared on the same subjects in every draw. Where the baseline is chance this is
    the same as the metric's own lower bound above it.

    Returns
    -------
    ``answer`` (``better`` | ``not shown to be better`` | ``worse`` | ``undefined``) and ``words``
    """
    label = METRICS[name].label
    if not np.isfinite([estimate.value, gain.ci_low]).all():
        return {"outcome": "undefined", "text": f"{label} is undefined on these sessions."}
    if gain.ci_low > ROUNDING:
        answer, relation = "better", "better than"
    elif gain.ci_high < -ROUNDING:
        answer, relation = "worse", "worse than"
    else:
        answer, relation = "not shown to be better", "not shown to be better than"
    words = (
        f"{label} {estimate.value:.2f} ({estimate.ci_low:.2f} to {estimate.ci_high:.2f}) is "
        f"{relation} the baseline of {baseline.value:.2f} ({baseline_label})."
    )
    return {"outcome": answer, "text": words}


def _best_baseline(
    name: str, constants: dict[str, MetricValues], own: MetricValues
) -> tuple[str, MetricValues]:
    """Pick the constant answer with the best point value, or the metric's chance level."""
    metric = METRICS[name]
    if metric.chance is not None:
        return CHANCE, MetricValues(*(np.full_like(part, metric.chance) for part in own))
    sign = -1 if metric.lower_is_better else 1
    quality = {baseline: sign * np.mean(values.per_seed) for baseline, values in constants.items()}
    best = max(quality, key=lambda baseline: np.nan_to_num(quality[baseline], nan=-np.inf))
    return best, constants[best]
