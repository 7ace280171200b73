"""Answers about data, subjects and outcome, from the evidence of a run."""

from typing import Any

from depmm.evaluation.reports.checklists.items import Answer, Evidence


def data_sources(evidence: Evidence) -> Answer | None:
    """Name the corpora and the version of the manifest.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if any("corpus" in default for default in evidence.metrics["assumed"]):
        return None
    text = f"Corpora of the tested sessions: {', '.join(evidence.metrics['corpora'])}."
    if digest := evidence.environment.get("manifest_sha256"):
        text += f" SHA-256 of the manifest: {digest}."
    places = ("report.html#protocol", "environment.json", "config.yaml#data.manifest")
    return Answer(text, places)


def outcome(evidence: Evidence) -> Answer | None:
    """Describe the target, its instrument and its distribution.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    instrument, config = evidence.metrics["instrument"], evidence.config
    if config is None and instrument is None:
        return None
    text = f"Instrument: {instrument}. " if instrument else ""
    if config is not None:
        target = config.target
        text = f"The target is the column {target.column} ({target.kind}). {text}"
        if target.positive:
            text += f"Positive: {', '.join(target.positive)}; "
            text += f"negative: {', '.join(target.negative)}. "
    text += f"{_count(evidence.metrics['counts']['test'])} are tested."
    return Answer(text, ("report.html#protocol", "config.yaml#target", "report.html#participants"))


def sample_counts(evidence: Evidence) -> Answer | None:
    """Count subjects, sessions and events of each split.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    counts = evidence.metrics["counts"]
    parts = [f"{name}: {_count(counts[name])}" for name in counts if counts[name]["sessions"]]
    return Answer(f"{'; '.join(parts)}.", ("report.html#folds", "report.html#flow"))


def analysis_counts(evidence: Evidence) -> Answer | None:
    """Count subjects and events of each analysis, with training rows only.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if not evidence.metrics["counts"]["train"]["sessions"]:
        return None
    answer = sample_counts(evidence)
    if answer is None:
        return None
    text = answer.text
    if len(evidence.metrics["protocol"]) > 1:
        text += f" There are {len(evidence.metrics['protocol'])} trainings, each with its counts."
    if evidence.n_candidates:
        text += (
            f" In each training, {evidence.n_candidates} candidates of settings were compared in "
            "inner folds."
        )
    return Answer(text, (*answer.places, "report.html#tuning"))


def sample_size(evidence: Evidence) -> Answer | None:
    """State the smallest effects that the test set can show.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    effects = evidence.metrics["smallest_effects"]
    known = {
        label: effects[name]
        for name, label in (
            ("auroc", "AUROC"),
            ("balanced_accuracy", "balanced accuracy"),
            ("pearson", "correlation"),
        )
        if effects[name] is not None
    }
    if not known:
        return None
    listed = ", ".join(f"{label} {value:.2f}" for label, value in known.items())
    text = (
        f"With {effects['subjects']} tested subjects, the smallest effects shown with a power of "
        f"{effects['power']:.0%} are: {listed}."
    )
    return Answer(text, ("report.html#smallest-effects",))


def missing_data(evidence: Evidence) -> Answer | None:
    """State how often modalities are missing, by label, and that they are masked.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    flow = evidence.metrics["flow"]
    if not flow or not flow["modalities"]:
        return None
    names = {0: "negative", 1: "positive", None: "all"}
    parts = [
        f"{entry['modality']}, {names[entry['label']]}: {entry['missing']} of {entry['sessions']}"
        for entry in flow["modalities"]
    ]
    text = f"Labelled sessions without a modality: {'; '.join(parts)}. "
    text += "A session without any modality is left out; a missing modality of others is masked."
    return Answer(text, ("report.html#missing-modalities", "report.html#coverage"))


def missing_shares(evidence: Evidence) -> Answer | None:
    """State the share of missing modalities by label, and of missing covariates.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    answer = missing_data(evidence)
    if answer is None:
        return None
    shares = [
        f"{entry['modality']} {'' if entry['label'] is None else entry['label']}: "
        f"{entry['missing'] / entry['sessions']:.1%}"
        for entry in evidence.metrics["flow"]["modalities"]
        if entry["sessions"]
    ]
    return Answer(f"Missing by modality and label: {'; '.join(shares)}.", answer.places)


def flow(evidence: Evidence) -> Answer | None:
    """State how many sessions reach each stage.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    content = evidence.metrics["flow"]
    if not content:
        return None
    counts = evidence.metrics["counts"]
    stages = [
        f"{s['name']} {s['sessions']} sessions of {s['subjects']} subjects"
        for s in content["stages"]
    ]
    stages += [
        f"{word} {counts[split]['sessions']}"
        for split, word in (("train", "trained"), ("validation", "validated"), ("test", "tested"))
    ]
    return Answer(f"{'; '.join(stages)}.", ("report.html#flow",))


def exclusions(evidence: Evidence) -> Answer | None:
    """List the reasons for which sessions are left out, with their numbers.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    content = evidence.metrics["flow"]
    if not content:
        return None
    lost = [f"{n} ({why})" for stage in content["stages"] for why, n in stage["lost"].items()]
    text = f"Sessions left out: {'; '.join(lost) or 'none'}."
    if content["not_indexed"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in content["not_indexed"].items())
        text += f" Not in the manifest: {kinds}."
    return Answer(text, ("report.html#flow",))


def corrupt_data(evidence: Evidence) -> Answer | None:
    """State how many parts of sessions could not be extracted, and the verdict of the audit.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    coverage = evidence.metrics["coverage"]
    if not coverage or "failures" not in coverage:
        return None
    text = f"Parts of sessions that could not be extracted: {len(coverage['failures'])}. "
    text += "They are left out and recorded, never replaced."
    if evidence.audit is not None:
        text += f" Audit: {evidence.audit['verdict']}"
    return Answer(text, ("report.html#coverage", "report.html#audit", "audit.json"))


def characteristics(evidence: Evidence) -> Answer | None:
    """State which characteristics of the subjects are described.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    variables = evidence.metrics["participants"]["variables"]
    if not variables:
        return None
    names = ", ".join(variable["name"] for variable in variables)
    text = f"Described by split and label: {names}. {_largest(evidence, 'positive and negative')}"
    return Answer(text.strip(), ("report.html#characteristics", "report.html#differences"))


def training_and_test(evidence: Evidence) -> Answer | None:
    """State the largest standardised difference between training and test subjects.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    text = _largest(evidence, "train and test")
    return Answer(text, ("report.html#differences",)) if text else None


def _largest(evidence: Evidence, name: str) -> str:
    """Describe the largest known difference of a comparison; empty if there is none."""
    known = [
        (abs(entry["value"]), variable, row["fold"], entry["chance"])
        for row in evidence.metrics["participants"]["differences"]
        if row["name"] == name
        for variable, entry in row["variables"].items()
        if entry["value"] is not None
    ]
    if not known:
        return ""
    value, variable, fold, bound = max(known, key=lambda entry: entry[0])
    where = "" if fold is None else f", fold {fold}"
    return (
        f"Largest standardised difference of {name}: {value:.2f} ({variable}{where}; chance "
        f"exceeds {bound:.2f} in 5 % of the cases)."
    )


def _count(counts: dict[str, Any]) -> str:
    text = f"{counts['sessions']} sessions of {counts['subjects']} subjects"
    if "positive_sessions" in counts:
        text += f", {counts['positive_sessions']} of the sessions positive"
    return text
