"""Split-conformal sets of labels and intervals of severity, with a stated coverage.

Papadopoulos et al. 2002; per class ("Mondrian") Vovk et al. 2005, Chap. 4; introduced by
Angelopoulos & Bates 2023. How wrong answers are is measured on validation subjects; a new subject's
set is as wide as all but a share ``alpha`` of those needed.

The unit is the subject. Sessions of one subject are not exchangeable with those of another, so each
validation subject gives ONE score: that of their worst session (per class, where they have sessions
of both). Subjects drawn alike are exchangeable however many sessions they have, and so for a new
subject: ``P(all their sessions are covered) >= 1 - alpha``, and per class for labels (Mondrian).
That is on average over who validates and who is tested; one set of validation subjects can be
lucky. Subjects who also chose the epoch are not quite exchangeable with new ones, and the coverage
measured on tested subjects stands beside the promise for that reason.

Where validation subjects are too few for ``alpha`` the set is everything, and says so.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SUBJECT_KEY
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.calibration import validation_rows
from depmm.evaluation.stats.intervals import wilson_interval
from depmm.evaluation.stats.weighted_sums import Array

ALPHAS = (0.1, 0.2)  # shares of subjects that a set may miss: promises of 90 % and 80 %
ROUNDING = 1e-9


@dataclass(frozen=True)
class Quantile:
    """How large a score is still covered.

    Parameters
    ----------
    value : the score; infinite where everything is
    subjects : on whom it was measured
    min_subjects : the least number of subjects for which it can be finite
    """

    value: float
    subjects: int
    min_subjects: int

    @property
    def unbounded(self) -> bool:
        """Whether subjects were too few, so that every answer is covered."""
        return not np.isfinite(self.value)


def conformal_quantile(scores: ArrayLike, alpha: float) -> Quantile:
    """Take the ``ceil((n + 1) (1 - alpha))``-th smallest of ``n`` scores.

    The finite-sample quantile: of ``n + 1`` exchangeable scores the last is among the smallest
    ``k`` with probability at least ``k / (n + 1)`` (Lei et al. 2018, Alg. 2).

    Parameters
    ----------
    scores : [n], one a subject; larger is stranger
    alpha : share that may be missed

    Raises
    ------
    ValueError : ``alpha`` is not inside (0, 1)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"conformal: alpha is {alpha}, not inside (0, 1); 0.1 promises 90 %")
    ordered = np.sort(np.asarray(scores, dtype=float))
    needed = int(np.ceil((1 - alpha) / alpha - ROUNDING))
    rank = int(np.ceil((len(ordered) + 1) * (1 - alpha) - ROUNDING))
    value = float(ordered[rank - 1]) if rank <= len(ordered) else np.inf
    return Quantile(value, len(ordered), needed)


def max_per_subject(rows: pd.DataFrame, scores: ArrayLike) -> Array:
    """One score a subject: the largest of their sessions', [subjects]."""
    worst = rows.assign(_score=np.asarray(scores, dtype=float)).groupby(SUBJECT_KEY)["_score"].max()
    return worst.to_numpy(float)


# ---- labels ------------------------------------------------------------------------------------


def fit_label_sets(
    predictions: pd.DataFrame, alpha: float, answer: str = "y_prob"
) -> dict[tuple[int, int], dict[int, Quantile]]:
    """Quantiles of ``1 - probability of the true class``, per (fold, seed) and class.

    Parameters
    ----------
    predictions : checked table; only its validation rows are read
    alpha : share of the subjects of each class that may be missed
    answer : column of the probabilities

    Raises
    ------
    CalibrationError : a (fold, seed) has no validation rows, or of one class only
    """
    fitted: dict[tuple[int, int], dict[int, Quantile]] = {}
    for key, own in validation_rows(predictions, "y_true", answer):
        fitted[key] = {}
        for label in (0, 1):
            members = own[own["y_true"] == label]
            scores = max_per_subject(members, nonconformity(members[answer], label))
            fitted[key][label] = conformal_quantile(scores, alpha)
    return fitted


def nonconformity(y_prob: ArrayLike, label: int) -> Array:
    """Score of a session under a label: what the probability leaves to the other, [N]."""
    prob = np.asarray(y_prob, dtype=float)
    return 1 - prob if label else prob


def predict_label_sets(
    rows: pd.DataFrame,
    fitted: dict[tuple[int, int], dict[int, Quantile]],
    answer: str = "y_prob",
) -> pd.DataFrame:
    """Which labels each row's set holds: bool columns ``has_0`` and ``has_1``."""
    sets = pd.DataFrame(index=rows.index)
    keys = list(zip(rows["fold"], rows["seed"], strict=True))
    for label in (0, 1):
        limit = np.array([fitted[int(f), int(s)][label].value for f, s in keys])
        sets[f"has_{label}"] = nonconformity(rows[answer], label) <= limit
    return sets


def measure_label_sets(
    predictions: pd.DataFrame, tested: ResampledSessions, alpha: float
) -> dict[str, Any]:
    """Coverage and size of the label sets of tested sessions.

    Returns
    -------
    ``coverage`` by class (``0``, ``1``) and of ``all``: share of the subjects (with sessions of
    that class) whose every such session is covered, with Wilson's interval; mean over seeds.
    ``sizes``: share of the sessions whose set is ``empty``, ``one`` label, ``both``.
    ``unbounded``: whether subjects of a class were too few in any fold; ``min_subjects``: how many
    it takes; ``fits``: the quantiles
    """
    fitted = fit_label_sets(predictions, alpha)
    sizes: list[list[float]] = []
    covered: dict[str, list[float]] = {"0": [], "1": [], "all": []}
    subjects = dict.fromkeys(covered, 0)
    for rows in tested.seeds.values():
        sets = predict_label_sets(rows, fitted)
        size = sets.sum(axis=1)
        sizes.append([(size == n).mean() for n in (0, 1, 2)])
        positive = rows["y_true"].to_numpy(int) == 1
        hit = np.where(positive, sets["has_1"], sets["has_0"])
        for name, members in (("0", ~positive), ("1", positive), ("all", np.full(len(rows), True))):
            if members.any():
                whole = max_per_subject(rows[members], ~hit[members]) == 0
                covered[name].append(whole.mean())
                subjects[name] = max(subjects[name], len(whole))
    quantiles = [quantile for classes in fitted.values() for quantile in classes.values()]
    return {
        "alpha": alpha,
        "coverage": {
            name: _coverage(shares, subjects[name], tested.confidence)
            for name, shares in covered.items()
        },
        "sizes": dict(zip(("empty", "one", "both"), np.mean(sizes, axis=0), strict=True)),
        "unbounded": any(quantile.unbounded for quantile in quantiles),
        "min_subjects": quantiles[0].min_subjects,
        "fits": [
            {"fold": fold, "seed": seed, "class": label, "limit": q.value, "subjects": q.subjects}
            for (fold, seed), classes in fitted.items()
            for label, q in classes.items()
        ],
    }


# ---- severity ----------------------------------------------------------------------------------


def score_range(rows: pd.DataFrame) -> tuple[float, float] | None:
    """Lowest and highest score of the rows' one instrument; None where it is not known."""
    if "instrument" not in rows or len(names := rows["instrument"].dropna().unique()) != 1:
        return None
    scale = INSTRUMENTS.get(str(names[0]))
    if scale is None or scale.lowest is None or scale.highest is None:
        return None
    return scale.lowest, scale.highest


def fit_severity_intervals(
    predictions: pd.DataFrame, alpha: float
) -> dict[tuple[int, int], Quantile]:
    """Quantiles of the absolute residual, per (fold, seed) (Lei et al. 2018, Alg. 2).

    Raises
    ------
    CalibrationError : a (fold, seed) has no validation rows
    """
    return {
        key: conformal_quantile(
            max_per_subject(own, np.abs(own["score"] - own["score_pred"])), alpha
        )
        for key, own in validation_rows(predictions, "score", "score_pred")
    }


def predict_severity_intervals(
    rows: pd.DataFrame,
    fitted: dict[tuple[int, int], Quantile],
    bounds: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Interval of each row's score: columns ``low`` and ``high``, clipped to the instrument.

    Parameters
    ----------
    rows : with fold, seed and score_pred
    fitted : from ``fit_severity_intervals``
    bounds : lowest and highest possible score; None: intervals may leave the instrument
    """
    keys = zip(rows["fold"], rows["seed"], strict=True)
    half = np.array([fitted[int(fold), int(seed)].value for fold, seed in keys])
    score = rows["score_pred"].to_numpy(float)
    lowest, highest = bounds or (-np.inf, np.inf)
    return pd.DataFrame(
        {
            "low": np.clip(score - half, lowest, highest),
            "high": np.clip(score + half, lowest, highest),
        },
        index=rows.index,
    )


def measure_severity_intervals(
    predictions: pd.DataFrame, tested: ResampledSessions, alpha: float
) -> dict[str, Any]:
    """Coverage and width of the severity intervals of tested sessions.

    Returns
    -------
    ``coverage`` (``all``, as in ``measure_label_sets``), ``width`` (mean over sessions, in points;
    NaN where infinite), ``bounds`` of the instrument or None, ``unbounded``, ``min_subjects``,
    ``fits``
    """
    fitted = fit_severity_intervals(predictions, alpha)
    bounds = score_range(predictions[predictions["split"] == "test"])
    shares, widths, subjects = [], [], 0
    for rows in tested.seeds.values():
        spans = predict_severity_intervals(rows, fitted, bounds)
        # a residual of exactly the quantile is inside, whatever rounding says
        inside = rows["score"].between(spans["low"] - ROUNDING, spans["high"] + ROUNDING)
        whole = max_per_subject(rows, ~inside) == 0
        shares.append(whole.mean())
        widths.append(float((spans["high"] - spans["low"]).mean()))
        subjects = max(subjects, len(whole))
    return {
        "alpha": alpha,
        "coverage": {"all": _coverage(shares, subjects, tested.confidence)},
        "width": float(np.mean(widths)),
        "bounds": bounds,
        "unbounded": any(quantile.unbounded for quantile in fitted.values()),
        "min_subjects": next(iter(fitted.values())).min_subjects,
        "fits": [
            {"fold": fold, "seed": seed, "half_width": q.value, "subjects": q.subjects}
            for (fold, seed), q in fitted.items()
        ],
    }


def _coverage(shares: list[float], subjects: int, confidence: float) -> dict[str, Any] | None:
    """Mean over seeds with Wilson's interval; a bootstrap of a share of 1 would have no width."""
    if not shares:
        return None
    found = wilson_interval(float(np.mean(shares)) * subjects, subjects, confidence)
    return {
        "value": found.value,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "subjects": subjects,
    }
