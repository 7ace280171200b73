"""Config, environment and evaluation of a run without what must not be shared."""

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from depmm.config import Experiment
from depmm.evaluation.fitted_calibration import ConformalLimit
from depmm.runs.inference_facts import InferenceFacts
from depmm.sharing.ids import MIN_SUBJECTS, SubjectIds

# of metrics.json; other keys describe single sessions, other runs, or small groups
METRIC_KEYS = (
    *("schema_version", "kind", "unit", "targets", "corpora", "instrument", "verdict", "metrics"),
    *("baselines", "covariate_baselines", "confusion", "threshold_setting", "thresholds"),
    *("counts", "folds", "seeds", "repeats", "smallest_effects", "split_gap"),
)
CALIBRATION_KEYS = ("ece", "brier", "log_loss", "in_the_large", "intercept", "slope")
BOOTSTRAP_KEYS = ("unit", "class_counts", "n_bootstrap", "confidence", "seed", "n_trainings")
EDGE_DECIMALS = 2  # of the predictions at which an interval of a probability changes


def share_config(config: Experiment) -> dict[str, Any]:
    """Replace the paths of a config by names.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The config of a run.

    Returns
    -------
    dict of str to object
        Values of a config that ``load_experiment`` reads.
    """
    values: dict[str, Any] = config.model_dump(mode="json")
    values["out"] = "runs"
    # names of folders that a reader of the exported folder does not have
    values["data"] |= {"manifest": "manifest", "store": "store"}
    if values["split"].get("file"):
        values["split"]["file"] = "split.csv"
    if "training" in values:
        values["training"] |= {"init_from": None, "weights": {}}
    if "model" in values:
        values["model"]["encoders"] = share_encoders(values["model"]["encoders"])
    return values


def share_encoders(encoders: Mapping[str, Any]) -> dict[str, Any]:
    """Replace local folders of pre-trained models by their names.

    Parameters
    ----------
    encoders : mapping of str to dict
        Settings of the encoders.

    Returns
    -------
    dict of str to dict
        The same settings; a name on a hub stays.
    """
    shared = {}
    for name, values in encoders.items():
        source = values.get("source")
        shared[name] = values | {"source": name_of(source)} if source else dict(values)
        shared[name].update(_share_architecture(values))
    return shared


def _share_architecture(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the names of classes, which are subjects if a network recognised speakers."""
    architecture = values.get("architecture") or {}
    network = architecture.get("network")
    if not isinstance(network, dict) or not isinstance(network.get("id2label"), dict):
        return {}
    numbers = {index: f"LABEL_{index}" for index in network["id2label"]}
    labels = {"id2label": numbers, "label2id": {name: int(i) for i, name in numbers.items()}}
    return {"architecture": architecture | {"network": network | labels}}


def share_facts(facts: InferenceFacts) -> InferenceFacts:
    """Round what is the value of a single session.

    With the exact prediction of a validation session, an owner of a recording could prove that it
    is one of them. Quantiles are rounded up, so that their coverage holds.

    Parameters
    ----------
    facts : InferenceFacts
        Facts of a run.

    Returns
    -------
    InferenceFacts
        The shared facts.
    """
    fitted, reference = facts.calibration, facts.reference
    interval = fitted.interval
    if interval is not None:
        edges = [round(edge, EDGE_DECIMALS) for edge in interval.edges]
        interval = interval.model_copy(update={"edges": edges})
    labels = {label: _round_up(limit) for label, limit in fitted.labels.items()}
    score = None if fitted.score is None else _round_up(fitted.score)
    speech = reference.low_speech_s
    rounded = {"low_speech_s": None if speech is None else round(speech, 1)}
    calibration = {"interval": interval, "labels": labels, "score": score}
    return facts.model_copy(
        update={
            "calibration": fitted.model_copy(update=calibration),
            "reference": reference.model_copy(update=rounded),
        }
    )


def _round_up(limit: ConformalLimit) -> ConformalLimit:
    """Round to two significant digits."""
    if not limit.value:
        return limit
    unit = 10.0 ** (math.floor(math.log10(limit.value)) - 1)
    value = float(f"{math.ceil(limit.value / unit - 1e-9) * unit:.6g}")
    return limit.model_copy(update={"value": value})


def name_of(source: str) -> str:
    """Return the name of a pre-trained model without the folders of this computer.

    Parameters
    ----------
    source : str
        Name on a hub, or local folder.

    Returns
    -------
    str
        ``owner/name`` of a hub as it is; of a local folder its last component.
    """
    is_hub_name = source.count("/") <= 1 and not source.startswith((".", "/", "~"))
    if is_hub_name and "\\" not in source and not Path(source).exists():
        return source
    return PureWindowsPath(source).name if "\\" in source else PurePath(source).name


def share_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Keep versions, platform and commit; of the command only its name.

    Parameters
    ----------
    environment : mapping of str to object
        Content of ``environment.json``.

    Returns
    -------
    dict of str to object
        The shared part.
    """
    # the hash of the manifest and the audit tell whether another copy is the same data
    shared = {key: value for key, value in environment.items() if key != "audit"}
    # a script has a name of the user, and arguments are paths
    words = re.split(r"\s+", str(shared.pop("command", "")))
    if PurePath(words[0]).name in ("depmm", "__main__.py"):
        commands = [word for word in words[1:2] if re.fullmatch(r"[a-z][a-z-]*", word)]
        shared["command"] = " ".join(["depmm", *commands])
    return shared


def share_metrics(
    content: Mapping[str, Any], ids: SubjectIds
) -> tuple[dict[str, Any], dict[str, str]]:
    """Keep the metrics of an evaluation that describe groups of subjects.

    Parameters
    ----------
    content : mapping of str to object
        Content of ``metrics.json``.
    ids : SubjectIds
        Ids of the run; texts that contain one are left out.

    Returns
    -------
    shared : dict of str to object
        The kept keys, under the same names.
    left_out : dict of str to str
        Key that is left out -> reason.
    """
    shared: dict[str, Any] = {key: content[key] for key in METRIC_KEYS if key in content}
    left_out: dict[str, str] = {}
    shared["metrics"] = {
        name: {key: value for key, value in entry.items() if key != "per_seed"}
        for name, entry in content["metrics"].items()
    }
    bootstrap = content["bootstrap"]
    shared["bootstrap"] = {key: bootstrap[key] for key in BOOTSTRAP_KEYS if key in bootstrap}
    shared["calibration"] = _share_calibration(content.get("calibration") or {})
    subgroups = content.get("subgroups") or {}
    shared["subgroups"] = _share_subgroups(subgroups, left_out)
    warnings = list(content.get("warnings") or ())
    shared["warnings"] = [text for text in warnings if not ids.search(text)]
    if n_left := len(warnings) - len(shared["warnings"]):
        left_out["warnings"] = f"{n_left} of {len(warnings)} contain ids or paths"
    used = (content.get("coverage") or {}).get("used_signal")
    if used:
        shared["coverage"] = {"used_signal": used}
    # metrics of the validation subjects, who often are few
    n_subjects = [counts.get("subjects", 0) for counts in content.get("counts", {}).values()]
    if shared.get("split_gap") and min(n_subjects, default=0) < MIN_SUBJECTS:
        del shared["split_gap"]
    for key in sorted(content.keys() - shared.keys()):
        if content[key]:
            left_out[key] = "it describes single sessions, small groups, or other runs"
    return shared, left_out


def _share_calibration(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """Keep measures of calibration; curves show single predictions."""
    binary = calibration.get("binary") or {}
    kept = {}
    for split, values in binary.items():
        if isinstance(values, dict):
            measures = {key: values[key] for key in CALIBRATION_KEYS if key in values}
            if measures:
                kept[split] = measures
    return {"binary": kept} if kept else {}


def _share_subgroups(subgroups: Any, left_out: dict[str, str]) -> Any:
    """Leave out subgroups of few subjects."""
    shared: dict[str, Any] = {}
    for grouping, groups in dict(subgroups).items():
        if not isinstance(groups, dict):
            continue
        for name, entry in groups.items():
            n_subjects = entry.get("subjects") if isinstance(entry, dict) else None
            if not isinstance(n_subjects, int) or n_subjects < MIN_SUBJECTS:
                left_out[f"subgroups.{grouping}.{name}"] = f"fewer than {MIN_SUBJECTS} subjects"
            else:
                shared.setdefault(grouping, {})[name] = entry
        # with one group left, the other is the difference to all
        if len(groups) > 1 and len(shared.get(grouping, {})) == len(groups) - 1:
            del shared[grouping]
            left_out[f"subgroups.{grouping}"] = "the rest would be a group of few subjects"
    return shared
