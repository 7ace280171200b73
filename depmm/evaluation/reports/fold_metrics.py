"""Headline metrics of each fold of a cross-validation, beside those of the pooled predictions.

A pooled AUROC also compares sessions of different folds, whose predictions come from different
models: shifts between the models count as errors. The mean over folds compares only sessions of one
fold. It is defined for folds that have both classes.

Leaving one subject out has no such folds, and pooling is biased: without the left-out subject, the
training sessions have fewer of its class, so that predictions lean towards the other class. In
simulations of noise (40 subjects, regularised linear model) the mean pooled AUROC was .444 instead
of .5, .491 with folds of one positive and one negative subject, and .490 with five folds
(``experiments/benchmarks/statistics/comparisons.py``). With five folds, .084 of the 95 % intervals
of the pooled AUROC were below .5 and .054 above it: they do not cover the dependence of folds.

The standard deviation over folds is not a standard error: folds share most of their training
subjects, and a fold has few test subjects.

References
----------
Parker, Guenter and Bedo, "Stratification bias in low signal microarray studies", BMC Bioinformatics
8:326, 2007. Airola et al., "An experimental comparison of cross-validation techniques for
estimating the area under the ROC curve", Computational Statistics & Data Analysis 55(4), 2011.
"""

from typing import Any

import numpy as np

from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.schemas.manifest import SUBJECT_KEY


def measure_folds(tested: ResampledSessions, targets: list[str]) -> dict[str, Any] | None:
    """Compute the headline metrics of each fold.

    Parameters
    ----------
    tested : ResampledSessions
        The tested rows.
    targets : list of str
        ``binary``, ``severity`` or both.

    Returns
    -------
    dict or None
        ``folds``: seed, fold, numbers of subjects and (binary) positive sessions, and ``values`` by
        metric, NaN where undefined; ``summary`` by metric: ``pooled``, ``mean`` and ``sd`` over the
        folds in which it is defined, and their number ``defined``. None with one fold.
    """
    names = [name for target in targets for name in HEADLINE[target]]
    folds: list[dict[str, Any]] = []
    for rows in tested.seeds.values():
        for (seed, fold), part in rows.groupby(["seed", "fold"]):
            entry: dict[str, Any] = {
                "seed": seed,
                "fold": fold,
                "subjects": len(part.drop_duplicates(SUBJECT_KEY)),
                "sessions": len(part),
            }
            if "binary" in targets:
                entry["positive_sessions"] = int(part["y_true"].sum())
            entry["values"] = {
                name: METRICS[name].function(
                    part[METRICS[name].measured].to_numpy(float),
                    part[METRICS[name].predicted].to_numpy(float),
                    unit_weights(len(part)),
                )[0]
                for name in names
            }
            folds.append(entry)
    if len({entry["fold"] for entry in folds}) < 2:
        return None
    summary = {}
    for name in names:
        values = np.array([entry["values"][name] for entry in folds])
        values = values[np.isfinite(values)]
        summary[name] = {
            "pooled": float(np.mean(tested.values(name).per_seed)),
            "mean": float(values.mean()) if len(values) else np.nan,
            "sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
            "defined": len(values),
        }
    return {"folds": folds, "summary": summary}


def pooling_warning(measured: dict[str, Any] | None) -> str | None:
    """State that pooling is biased where no fold has both classes.

    Parameters
    ----------
    measured : dict or None
        What ``measure_folds`` returns.

    Returns
    -------
    str or None
        A sentence; None if a fold has both classes, or there is no AUROC.
    """
    auroc = measured["summary"].get("auroc") if measured else None
    if not auroc or auroc["defined"] or not np.isfinite(auroc["pooled"]):
        return None
    return (
        "No fold has test sessions of both classes, so that AUROC can only be computed over pooled "
        "folds. Leaving one subject out lowers this pooled AUROC: with predictions of noise it is "
        "about .44 instead of .50 (40 subjects, simulated). Folds with a positive and a "
        "negative subject each (split.kind: k_fold, with half as many folds as subjects) reach "
        ".49."
    )
