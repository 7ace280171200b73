"""The leakage section of a report: what was checked, with the result, and what was not.

A check counts as done only if its result is recorded: in the predictions, in the audit of the
manifest, or in the config of a run, whose training fits scales on training sessions, chooses
settings in inner folds and the threshold on validation sessions.

References
----------
Kapoor and Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science",
Patterns 4(9), 2023, Table 1 (kinds of leakage).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from depmm.config import Config, Experiment
from depmm.config.encoders import FeatureCnnConfig
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.evaluation.baselines import NO_SOURCE
from depmm.evaluation.pretraining import pretrained_encoders, pretraining_overlap

Status = Literal["checked", "problem", "not checked"]
# names of findings of the audit; those of one line are reported together
COPIES = ("duplicate_files", "shared_files", "duplicate_rows")
NEAR_COPIES = ("copied_recordings",)
IDENTITIES = ("similar_subjects", "dissimilar_sessions", "missing_subject_ids")
RELATED = ("related_corpora", "same_subjects")
AUDIT_AGAIN = "Run depmm audit on the manifest with --root, then train again."
COMPARE_VOICES = "Run depmm audit on the manifest with --root and --identity, then train again."


def list_leakage_checks(
    content: Mapping[str, Any],
    audit: Mapping[str, Any] | None,
    config: Experiment | None,
    tuned: bool,
    corpora: Mapping[str, CorpusFacts],
) -> list[dict[str, str]]:
    """List the checks of leakage, one line each.

    Parameters
    ----------
    content : mapping of str to object
        The content of ``metrics.json``.
    audit : mapping of str to object or None
        The content of ``audit.json``.
    config : Config or ClassicalConfig or None
        Config of the run; None for predictions of another program.
    tuned : bool
        Whether the run has a table of tuning candidates.
    corpora : mapping of str to CorpusFacts
        The evaluated corpora, with the facts that the run keeps.

    Returns
    -------
    list of dict of str to str
        ``name``, ``status`` (checked, problem or not checked), ``result`` and ``remedy``, which is
        empty unless something remains to be done.
    """
    return [
        _subjects(content),
        _audited("copies", COPIES, audit, "files with the same content or the same interval"),
        _audited("near copies", NEAR_COPIES, audit, "re-encoded or shifted copies"),
        _audited("identities", IDENTITIES, audit, "one subject under several ids", COMPARE_VOICES),
        _initial_weights(config, corpora),
        _preprocessing(config),
        _tuning(config, tuned),
        _thresholds(content),
        _audited("related corpora", RELATED, audit, "corpora with the same subjects"),
    ]


def _line(name: str, status: Status, result: str, remedy: str = "") -> dict[str, str]:
    return {"name": name, "status": status, "result": result, "remedy": remedy}


def _subjects(content: Mapping[str, Any]) -> dict[str, str]:
    sources = {s for row in content["protocol"] for s in row["baseline_source"].values()}
    untrained = [row for row in content["protocol"] if not row["train"]["sessions"]]
    if NO_SOURCE in sources or untrained:
        return _line(
            "subjects",
            "not checked",
            f"{len(untrained)} of {len(content['protocol'])} trainings have no training rows",
            "Add the training and validation rows to the table of predictions.",
        )
    subjects = content["counts"]["test"]["subjects"]
    return _line(
        "subjects", "checked", f"none of {subjects} test subjects is in two splits of a fold"
    )


def _audited(
    name: str,
    checks: Iterable[str],
    audit: Mapping[str, Any] | None,
    what: str,
    remedy: str = AUDIT_AGAIN,
) -> dict[str, str]:
    if audit is None:
        return _line(name, "not checked", "the run has no audit", remedy)
    missing = [check for check in checks if check not in audit["checks"]]
    found = [
        finding
        for finding in audit["findings"]
        if finding["name"] in checks and finding["severity"] != "info"
    ]
    if found:
        kinds = ", ".join(f"{f['name']} ({f['severity']})" for f in found)
        return _line(
            name, "problem", f"the audit reports {kinds}", "See the findings of the audit."
        )
    if missing:
        result = f"the audit did not look for {what} ({', '.join(missing)})"
        return _line(name, "not checked", result, remedy)
    return _line(name, "checked", f"the audit found none ({', '.join(checks)})")


def _initial_weights(
    config: Experiment | None, corpora: Mapping[str, CorpusFacts]
) -> dict[str, str]:
    name = "initial weights"
    if config is None:
        return _line(name, "not checked", "no config", "State what the weights were trained on.")
    if not isinstance(config, Config):
        return _line(name, "checked", "a classical model has no initial weights")
    if overlap := pretraining_overlap(config, corpora):
        return _line(
            name,
            "problem",
            f"weights were trained on evaluated data: {'; '.join(overlap)}",
            "Use weights that were trained on other corpora, or evaluate another corpus.",
        )
    pretrained = pretrained_encoders(config)
    sources = [f"training.weights.{key}" for key in config.training.weights]
    sources += [f"model.encoders.{key}" for key, e in pretrained.items() if not e.pretrained_on]
    if config.training.init_from is not None:
        sources.append("training.init_from (test subjects are refused if its split is known)")
    if sources:
        remedy = (
            "State whether the data of the weights contain test subjects; pretrained_on of a "
            "pre-trained encoder names its corpora."
        )
        return _line(name, "not checked", f"weights from {', '.join(sources)}", remedy)
    if pretrained:
        names = sorted({corpus for e in pretrained.values() for corpus in e.pretrained_on})
        result = (
            f"the config names the corpora of the pre-training ({', '.join(names)}); "
            f"{' and '.join(sorted(corpora))} and related corpora are not among them"
        )
        return _line(name, "checked", result)
    return _line(name, "checked", "all weights are initialised at random")


def _preprocessing(config: Experiment | None) -> dict[str, str]:
    if config is None:
        remedy = "State on which sessions scales, imputation and features were fitted."
        return _line("preprocessing", "not checked", "no config", remedy)
    if not isinstance(config, Config):
        result = "features are standardised by the training sessions of each fold"
    elif any(isinstance(e, FeatureCnnConfig) for e in config.model.encoders.values()):
        result = "features are standardised by the training sessions of each fold (feature_cnn)"
    else:
        result = "no step is fitted to several sessions; extraction treats each recording alone"
    return _line("preprocessing", "checked", result)


def _tuning(config: Experiment | None, tuned: bool) -> dict[str, str]:
    if config is None:
        remedy = "State on which sessions settings were chosen."
        return _line("tuning", "not checked", "no config", remedy)
    if tuned:
        result = "settings are chosen in inner folds of training and validation subjects"
        return _line("tuning", "checked", result)
    return _line(
        "tuning",
        "not checked",
        "the run has no tuning; settings may have been chosen by hand with test results",
        "Compare with the ledger of runs, and state how the settings were chosen.",
    )


def _thresholds(content: Mapping[str, Any]) -> dict[str, str]:
    if "binary" not in content["targets"]:
        return _line("thresholds", "checked", "no decisions are made")
    if content["threshold_setting"] == "column":
        return _line(
            "thresholds",
            "not checked",
            "the thresholds are those of the column threshold of the table",
            "State on which sessions they were chosen, or leave the column out.",
        )
    if content["threshold_setting"] != "validation":
        result = f"the threshold is set in the config: {content['threshold_setting']}"
        return _line("thresholds", "checked", result)
    sources = sorted({entry["source"] for entry in content["thresholds"]})
    return _line("thresholds", "checked", "; ".join(sources[:3]))
