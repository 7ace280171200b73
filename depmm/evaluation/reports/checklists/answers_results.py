"""Answers about evaluation, leakage and results, from the evidence of a run."""

from depmm.evaluation.reports.checklists.items import Answer, Evidence
from depmm.evaluation.stats.metrics import HEADLINE, METRICS


def partition(evidence: Evidence) -> Answer | None:
    """State how the subjects were divided.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    metrics = evidence.metrics
    if not metrics["counts"]["train"]["sessions"]:
        return None
    n_folds, n_seeds = len(metrics["folds"]), metrics["bootstrap"]["n_trainings"]
    repeats = f" in {metrics['repeats']} repetitions" if metrics["repeats"] > 1 else ""
    kind = f"split.kind is {evidence.config.split.kind}; " if evidence.config else ""
    text = (
        f"{kind}{n_folds} tested {'fold' if n_folds == 1 else 'folds'}{repeats}, {n_seeds} "
        f"{'seed' if n_seeds == 1 else 'seeds'}. All sessions of a subject are in one split. "
        "Training fits the model, validation chooses, test is only evaluated."
    )
    return Answer(text, ("report.html#folds", "report.html#protocol", "config.yaml#split"))


def measures(evidence: Evidence) -> Answer | None:
    """List the metrics and plots.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    names = ", ".join(METRICS[name].label for name in evidence.metrics["metrics"])
    text = f"Metrics: {names}; calibration, conformal prediction sets and curves."
    return Answer(text, ("report.html#metrics", "report.html#curves", "report.html#calibration"))


def uncertainty(evidence: Evidence) -> Answer | None:
    """State how the intervals were computed.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    bootstrap = evidence.metrics["bootstrap"]
    text = (
        f"{bootstrap['confidence']:.0%} intervals over test subjects; each interval in "
        "metrics.json names its method."
    )
    return Answer(text, ("report.html#protocol", "report.html#metrics"))


def performance(evidence: Evidence) -> Answer | None:
    """State the headline metrics with their intervals.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    parts = []
    for target in evidence.metrics["targets"]:
        for name in HEADLINE[target]:
            entry = evidence.metrics["metrics"][name]
            if entry["value"] is None:
                continue
            interval = "no interval"
            if entry["ci_low"] is not None:
                interval = f"{entry['ci_low']:.3f} to {entry['ci_high']:.3f}"
            parts.append(f"{METRICS[name].label} {entry['value']:.3f} ({interval})")
    if not parts:
        return None
    text = f"{'; '.join(parts)}."
    if evidence.metrics["subgroups"]:
        text += f" Subgroups: {', '.join(evidence.metrics['subgroups'])}."
    return Answer(text, ("report.html#metrics", "report.html#subgroups"))


def heterogeneity(evidence: Evidence) -> Answer | None:
    """State how performance differs between corpora.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if "corpus" not in evidence.metrics["subgroups"]:
        return None
    names = ", ".join(evidence.metrics["subgroups"]["corpus"])
    return Answer(f"Metrics of each corpus: {names}.", ("report.html#subgroups",))


def fairness(evidence: Evidence) -> Answer | None:
    """State for which subgroups gaps were tested.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    gaps = evidence.metrics["subgroup_gaps"]
    if not gaps:
        return None
    tested = [gap for gap in gaps if gap["outcome"] != "undefined"]
    groupings = sorted({gap["grouping"] for gap in tested})
    shown = sum(gap["outcome"] == "shown" for gap in tested)
    text = f"{len(gaps)} gaps, none of which can be tested."
    if tested:
        text = f"Gaps tested by {', '.join(groupings)}: {shown} of {len(tested)} are shown (Holm)."
        if n_others := len(gaps) - len(tested):
            text += f" Gaps without a test: {n_others}."
    return Answer(text, ("report.html#subgroups",))


def updating(evidence: Evidence) -> Answer | None:
    """State whether probabilities were recalibrated, on which sessions.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    fitted = [
        name
        for name, entry in evidence.metrics["calibration"].get("binary", {}).items()
        if isinstance(entry, dict) and entry.get("fits")
    ]
    if not fitted:
        return None
    text = (
        f"Recalibrated on validation sessions and compared on test sessions: {', '.join(fitted)}."
    )
    return Answer(text, ("report.html#calibration",))


def limitations(evidence: Evidence) -> Answer | None:
    """State how many limitations the report lists, and the gap to training.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    warnings = evidence.metrics["warnings"]
    name = HEADLINE[evidence.metrics["targets"][0]][0]
    gap = evidence.metrics["split_gap"][name]["gap"]
    if not warnings and gap is None:
        return None
    text = f"Limitations that the report lists: {len(warnings)}."
    if gap is not None:
        text += f" {METRICS[name].label}, training minus test: {gap:.3f}."
    return Answer(text, ("report.html#limitations", "report.html#split-gap"))


def tests(evidence: Evidence) -> Answer | None:
    """State the tests that were used.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    text = (
        "The model is compared with baselines by intervals of paired differences over subjects, "
        "which assume that subjects are independent."
    )
    if evidence.metrics["subgroup_gaps"]:
        text += " Gaps of subgroups: permutation tests, adjusted by Holm's method."
    return Answer(text, ("report.html#metrics", "report.html#subgroups"))


def baselines(evidence: Evidence) -> Answer | None:
    """Name the baselines and the verdict.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    names = [*evidence.metrics["baselines"]]
    for entry in evidence.metrics["covariate_baselines"].values():
        names += entry["baselines"]
    text = f"Baselines: {', '.join(dict.fromkeys(names))}. {evidence.metrics['verdict']['text']}"
    return Answer(text, ("report.html#baselines", "report.html#covariate-baselines"))


def separation(evidence: Evidence) -> Answer | None:
    """State what is fitted on training data only.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    return _leakage(evidence, ("preprocessing", "tuning", "thresholds", "initial weights"), 1)


def dependencies(evidence: Evidence) -> Answer | None:
    """State which checks of shared subjects and copies were done.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    return _leakage(evidence, ("subjects", "copies", "near copies", "identities"), 0)


def _leakage(evidence: Evidence, names: tuple[str, ...], needed: int) -> Answer | None:
    """Summarise lines of the leakage section; None if fewer than all of ``needed`` were done."""
    lines = [line for line in evidence.metrics["leakage"] if line["name"] in names]
    done = [line for line in lines if line["status"] != "not checked"]
    if not done or (needed and evidence.config is None):
        return None
    text = "; ".join(f"{line['name']}: {line['status']} ({line['result']})" for line in done)
    open_ = [line["name"] for line in lines if line["status"] == "not checked"]
    text += f". Not checked: {', '.join(open_)}." if open_ else "."
    return Answer(text, ("report.html#leakage", "report.html#audit"))


def shortcuts(evidence: Evidence) -> Answer | None:
    """State which shortcuts the audit looked for, and what it found.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    audit = evidence.audit
    if audit is None:
        return None
    names = [name for name in audit["checks"] if "shortcut" in name]
    if not names:
        return None
    found = [f["name"] for f in audit["findings"] if f["name"] in names and f["severity"] != "info"]
    text = f"Audited: {', '.join(names)}. Findings: {', '.join(found) or 'none'}."
    return Answer(text, ("report.html#audit", "audit.json"))
