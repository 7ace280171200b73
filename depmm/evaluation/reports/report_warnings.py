"""Warnings of a report: limitations of the evaluation that affect its interpretation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from depmm.evaluation.baselines import NO_SOURCE
from depmm.evaluation.covariate_baselines import covariate_warnings
from depmm.evaluation.prediction_checks import MAX_NAMED
from depmm.evaluation.reports.fold_metrics import pooling_warning
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.stats.resampled_sessions import ResampledSessions
from depmm.evaluation.subgroups import subgroup_warnings

FEW_SUBJECTS = 20  # with 12 subjects and an AUROC of .80, the interval has a mean width of .50


def report_warnings(content: Mapping[str, Any]) -> list[str]:
    """List the limitations of an evaluation.

    Parameters
    ----------
    content : mapping of str to object
        The content of ``metrics.json``, without ``warnings``.

    Returns
    -------
    list of str
        Sentences.
    """
    warnings = [*_protocol_warnings(content), *_interval_warnings(content)]
    if pooling := pooling_warning(content["fold_metrics"]):
        warnings.append(pooling)
    for target, entry in content["covariate_baselines"].items():
        warnings += covariate_warnings(entry["baselines"], target)
    warnings += subgroup_warnings(content["subgroup_gaps"])
    if (outside := content["out_of_range"]) and outside["rows"]:
        warnings.append(
            f"{outside['rows']} of {outside['of']} predicted scores are outside of the instrument "
            f"({outside['lowest']:g} to {outside['highest']:g}). The metrics use them as they are; "
            "conformal intervals end at the limits."
        )
    return warnings


def _protocol_warnings(content: Mapping[str, Any]) -> list[str]:
    warnings = []
    n_subjects = content["counts"]["test"]["subjects"]
    if n_subjects < FEW_SUBJECTS:
        warnings.append(
            f"There are only {n_subjects} test subjects. With fewer than {FEW_SUBJECTS}, intervals "
            "are wide, and those of errors and kappa are too narrow if few subjects have most of "
            "the error."
        )
    sources = {
        source for fold in content["protocol"] for source in fold["baseline_source"].values()
    }
    defaults = [entry for entry in content["thresholds"] if entry["source"].startswith("0.5")]
    if NO_SOURCE in sources:
        default = " the threshold is 0.5," if defaults else ""
        warnings.append(
            "The table has test rows only. Whether test subjects were used for training cannot be "
            f"checked,{default} and the baselines are those that need no training data (one class "
            "for all sessions, probability 0.5)."
        )
    elif folds := {str(f["fold"]) for f in content["protocol"] if not f["train"]["sessions"]}:
        warnings.append(
            f"The table has no train rows in fold(s) {', '.join(sorted(folds))}. In these folds, "
            "baselines are fitted on validation rows, and whether test subjects were used for "
            "training cannot be checked."
        )
    elif "validation" in sources:
        warnings.append(
            "The train rows of some folds have no labels; the baselines of these folds are fitted "
            "on validation rows."
        )
    warnings += [
        f"The threshold of fold {entry['fold']}, seed {entry['seed']} is {entry['source']}."
        for entry in defaults
        if NO_SOURCE not in sources
    ]
    if n_untested := content["untested"]["sessions"]:
        names = content["untested"]["which"]
        more = ", ..." if n_untested > MAX_NAMED else ""
        warnings.append(
            f"{n_untested} sessions are in the folds but are not tested in any of them: "
            f"{', '.join(names[:MAX_NAMED])}{more}."
        )
    return warnings


def _interval_warnings(content: Mapping[str, Any]) -> list[str]:
    warnings = []
    metrics = content["metrics"].items()
    reasons: dict[str, list[str]] = {}
    for name, entry in metrics:
        if entry["undefined"]:
            reasons.setdefault(entry["undefined"], []).append(METRICS[name].label)
    warnings += [f"Undefined: {', '.join(labels)}; {why}." for why, labels in reasons.items()]
    left_out = [
        f"{METRICS[name].label} ({entry['n_undefined']})"
        for name, entry in metrics
        if entry["n_undefined"] and not entry["undefined"]
    ]
    if left_out:
        warnings.append(
            f"Undefined bootstrap draws of {content['bootstrap']['n_bootstrap']} are left out: "
            f"{', '.join(left_out)}."
        )
    no_width: dict[str, list[str]] = {}
    for name, entry in metrics:
        if entry["reason"] and entry["ci_low"] is not None and not np.isnan(entry["ci_low"]):
            no_width.setdefault(entry["reason"], []).append(METRICS[name].label)
    for reason, labels in no_width.items():
        warnings.append(f"Intervals of {', '.join(labels)} have no width: {reason}.")
    if any(e["reason"] == ResampledSessions.NOT_RESAMPLED for _, e in metrics):
        warnings.append(f"There are no intervals: {ResampledSessions.NOT_RESAMPLED}.")
    return warnings
