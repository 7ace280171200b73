"""Whether the sessions a model is unsure of are the ones it gets wrong.

The risk-coverage curve (Geifman & El-Yaniv 2017) leaves the least sure sessions undecided and asks
how wrong the rest is. What is sure is read from the probability, or from the spread of predictions
under sampled gates of the Bernoulli fusion (column ``gate_std``; see ``DepressionModel.sample``).
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.reliability import clipped_logit, measure_over_seeds
from depmm.evaluation.stats.severity_metrics import spearman
from depmm.evaluation.stats.weighted_sums import Array, Weights

TERCILES = ("lowest", "middle", "highest")


# ---- risk and coverage -------------------------------------------------------------------------


def risk_coverage(loss: ArrayLike, confidence: ArrayLike) -> tuple[Array, Array]:
    """Mean loss of the most confident sessions, for every number of them.

    Parameters
    ----------
    loss : [N], 0 or 1 for decisions, an absolute error for scores
    confidence : [N], any scale; of sessions with the same one each is as likely to be kept: they
        share their mean loss, so that the order of rows means nothing

    Returns
    -------
    coverage [N] = 1/N ... 1, and risk [N]
    """
    level = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True)[1]
    return _curve(np.asarray(loss, dtype=float), level)


def aurc(loss: ArrayLike, confidence: ArrayLike, weights: Weights) -> Array:
    """Area under the risk-coverage curve: mean risk over all coverages 1/N ... 1, ``[D]``.

    Leaving sessions out at random gives the risk of all sessions; smaller is better.

    Parameters
    ----------
    loss, confidence : [N], as in ``risk_coverage``
    weights : [D, N], whole numbers: how often a session is in a draw
    """
    losses = np.asarray(loss, dtype=float)
    level = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True)[1]
    area = [
        _curve(np.repeat(losses, counts), np.repeat(level, counts))[1].mean()
        for counts in weights.astype(int)
    ]
    return np.array(area)


def _curve(loss: Array, level: NDArray[Any]) -> tuple[Array, Array]:
    size = np.bincount(level)
    shared = np.bincount(level, weights=loss) / np.maximum(size, 1)
    kept = np.arange(1, len(loss) + 1)
    return kept / len(loss), np.cumsum(np.repeat(shared, size)) / kept


def decision_confidence(y_prob: ArrayLike, threshold: ArrayLike) -> Array:
    """Distance of a probability from its threshold, in logits, [N].

    Geifman & El-Yaniv 2017 take the larger class probability, which is the same order for a
    threshold of 0.5; here each fold has its own, and a session at the threshold is the least sure.
    """
    return np.abs(clipped_logit(y_prob) - clipped_logit(threshold))


def measure_risk_coverage(tested: ResampledSessions) -> dict[str, Any]:
    """Risk-coverage of the tested decisions.

    Returns
    -------
    ``aurc``; ``risk``: of all sessions, which leaving out at random keeps; ``gain``: by how much
    the area lies below it (paired; positive is better); ``curve``: coverage and the mean risk over
    seeds at 5 %, 10 % ... 100 %
    """
    area = measure_over_seeds(tested, lambda r, w: aurc(_wrong(r), _sure(r), w))
    risk = measure_over_seeds(tested, lambda r, w: w @ _wrong(r) / w.sum(axis=1))
    grid = np.arange(1, 21) / 20
    curves = []
    for rows in tested.seeds.values():
        risks = risk_coverage(_wrong(rows), _sure(rows))[1]
        # the smallest number of sessions that reaches each coverage
        curves.append(risks[np.ceil(grid * len(risks) - 1e-9).astype(int) - 1])
    return {
        "aurc": asdict(tested.interval(*area)),
        "risk": asdict(tested.interval(*risk)),
        "gain": asdict(tested.interval(risk[0] - area[0], risk[1] - area[1])),
        "curve": {"coverage": grid.tolist(), "risk": np.mean(curves, axis=0).tolist()},
    }


def _wrong(rows: pd.DataFrame) -> Array:
    return (rows["y_true"].to_numpy(float) != rows["y_pred"].to_numpy(float)).astype(float)


def _sure(rows: pd.DataFrame) -> Array:
    return decision_confidence(rows["y_prob"], rows["threshold"])


# ---- spread under sampled gates ----------------------------------------------------------------


def terciles(spread: ArrayLike) -> Array:
    """Third of the sessions by spread, [N] of 0, 1, 2; equal spreads share one."""
    middle = rankdata(np.asarray(spread, dtype=float)) - 0.5
    return np.minimum(3 * middle // len(middle), 2).astype(int)


def measure_gate_std(tested: ResampledSessions, target: str) -> dict[str, Any] | None:
    """Relation of the spread under sampled gates to the error of the (expected) prediction.

    Parameters
    ----------
    tested : with a column ``gate_std``
    target : ``binary``: the error is ``|y_true - y_prob|``; ``severity``: ``|score - score_pred|``

    Returns
    -------
    ``gate_std`` (mean over sessions), ``spearman`` (of spread and error), ``terciles``: mean error
    of each third of the sessions by spread, cut once on all of them; None without a spread for
    every tested row

    Raises
    ------
    ValueError : a spread is negative
    """
    everyone = pd.concat(tested.seeds.values())
    if "gate_std" not in everyone or everyone["gate_std"].isna().any():
        return None
    if (everyone["gate_std"] < 0).any():
        raise ValueError(
            f"predictions: spread is {everyone['gate_std'].min()} in a tested row; it is a "
            "standard deviation: give values from 0 on, or drop the column"
        )
    truth, answer = ("y_true", "y_prob") if target == "binary" else ("score", "score_pred")

    def error(rows: pd.DataFrame) -> Array:
        return np.abs(rows[truth].to_numpy(float) - rows[answer].to_numpy(float))

    def by_third(third: int) -> Callable[[pd.DataFrame, Weights], Array]:
        def mean_error(rows: pd.DataFrame, weights: Weights) -> Array:
            counts = weights * (terciles(rows["gate_std"]) == third)
            total = counts.sum(axis=1).astype(float)
            none = np.full(len(total), np.nan)
            return np.divide(counts @ error(rows), total, out=none, where=total > 0)

        return mean_error

    relation = measure_over_seeds(tested, lambda r, w: spearman(r["gate_std"], error(r), w))
    return {
        "error": f"|{truth} - {answer}|",
        "mean": float(everyone["gate_std"].mean()),
        "spearman": asdict(tested.interval(*relation)),
        "terciles": {
            name: asdict(tested.interval(*measure_over_seeds(tested, by_third(third))))
            for third, name in enumerate(TERCILES)
        },
    }
