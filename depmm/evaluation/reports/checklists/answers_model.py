"""Answers about inputs, model, training and software, from the evidence of a run."""

from depmm.config import Config
from depmm.evaluation.reports.checklists.items import Answer, Evidence


def inputs(evidence: Evidence) -> Answer | None:
    """Name the modalities, feature streams and selected steps.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if (config := evidence.config) is None:
        return None
    data = config.data
    text = f"Modalities: {', '.join(data.modalities)}."
    if data.features:
        streams = ", ".join(f"{name}: {stream}" for name, stream in data.features.items())
        text += f" Streams of features in place of signals: {streams}."
    chosen = {name: value for name, value in data.steps.model_dump().items() if value}
    text += f" Steps: {chosen or 'all'}. All signals of these modalities are inputs."
    return Answer(text, ("config.yaml#data.modalities", "report.html#signals"))


def input_definition(evidence: Evidence) -> Answer | None:
    """State how much of each modality is read, at which limits.

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
    if evidence.config is None or not coverage or not coverage.get("used_signal"):
        return None
    used = "; ".join(entry["text"] for entry in coverage["used_signal"].values())
    return Answer(f"{used}.", ("report.html#signals", "config.yaml#data"))


def assessors(evidence: Evidence) -> Answer | None:
    """State that inputs are computed from recordings without human interpretation.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if evidence.config is None or evidence.config.data.features:
        return None
    text = "Inputs are computed from the recordings by software, without human interpretation."
    return Answer(text, ("config.yaml#data.modalities",))


def preparation(evidence: Evidence) -> Answer | None:
    """Summarise extraction settings and the audit.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if (config := evidence.config) is None:
        return None
    data = config.data
    text = (
        f"Per step: at most {data.max_audio_s:g} s of sound, {data.frames_per_step} face crops of "
        f"{data.face_size} pixels; silence removed: {'yes' if data.remove_silence else 'no'}. All "
        "settings of extraction are in the config (extract)."
    )
    if evidence.audit is not None:
        text += f" Audit: {evidence.audit['verdict']}"
    return Answer(text, ("config.yaml#extract", "report.html#audit", "report.html#config"))


def input_handling(evidence: Evidence) -> Answer | None:
    """State how inputs are scaled and augmented.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if (config := evidence.config) is None:
        return None
    lines = {line["name"]: line["result"] for line in evidence.metrics["leakage"]}
    changed = config.data.augment.model_dump(exclude_defaults=True)
    text = f"Scaling: {lines['preprocessing']}. Augmentation in training: {changed or 'none'}."
    return Answer(text, ("config.yaml#data.augment", "report.html#leakage"))


def model_building(evidence: Evidence) -> Answer | None:
    """Describe type of model, optimisation, choice of the epoch, tuning and split.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if (config := evidence.config) is None:
        return None
    if isinstance(config, Config):
        encoders = ", ".join(f"{n}: {e.kind}" for n, e in config.model.encoders.items())
        training = config.training
        text = (
            f"Encoders {encoders}; fusion {config.model.fusion.kind}; {training.optimizer}, at "
            f"most {training.epochs} epochs, batches of {training.batch_size}; the epoch is chosen "
            f"by the {training.monitor} of validation subjects."
        )
    else:
        text = f"Classical model: {getattr(config, 'classical', None)!r}."
    tuned = ", ".join(config.tuning.names) if config.tuning else "none"
    text += f" Split: {config.split.kind}. Tuned settings: {tuned}."
    return Answer(text, ("config.yaml#model", "report.html#training", "report.html#tuning"))


def model_selection(evidence: Evidence) -> Answer | None:
    """State how the epoch is chosen, and how many runs on the manifest are known.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if not isinstance(config := evidence.config, Config):
        return None
    text = f"The best epoch by the {config.training.monitor} of validation subjects is kept."
    if ledger := evidence.metrics["ledger"]:
        text += f" Runs on the same manifest in the same folder: {len(ledger['runs'])}."
    return Answer(text, ("config.yaml#training.monitor", "report.html#ledger"))


def tuning(evidence: Evidence) -> Answer | None:
    """State whether settings were tuned by the run.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if evidence.config is None:
        return None
    places = ("report.html#tuning", "tuning.csv", "config.yaml#tuning")
    if not evidence.n_candidates:
        return Answer("The run has no hyper-parameter tuning.", places)
    text = (
        f"{evidence.n_candidates} candidates in each training, in inner folds of training and "
        "validation subjects."
    )
    return Answer(text, places)


def class_imbalance(evidence: Evidence) -> Answer | None:
    """State the handling of class imbalance.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if not isinstance(config := evidence.config, Config) or config.target.kind != "binary":
        return None
    text = f"training.class_balance is {config.training.class_balance}."
    return Answer(text, ("config.yaml#training.class_balance", "report.html#calibration"))


def model_output(evidence: Evidence) -> Answer | None:
    """State output and origin of thresholds; not if a threshold is a default.

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
    if "binary" not in metrics["targets"]:
        return Answer("The output is a severity score.", ("report.html#metrics",))
    sources = sorted({entry["source"] for entry in metrics["thresholds"]})
    if any(source.startswith("0.5") for source in sources):
        return None
    values = sorted({round(entry["value"], 3) for entry in metrics["thresholds"]})
    shown = f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"
    text = f"The output is a probability; decision threshold {shown} ({'; '.join(sources[:3])})."
    return Answer(text, ("report.html#folds", "config.yaml#evaluation.threshold"))


def calculation(evidence: Evidence) -> Answer | None:
    """State how the predictions were calculated.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if evidence.config is None:
        return None
    version = evidence.environment.get("depmm", "of unknown version")
    text = f"depmm {version} predicted every session with the saved model of its fold."
    places = ("predictions.parquet", "model.safetensors", "report.html#command")
    return Answer(text, places)


def full_model(evidence: Evidence) -> Answer | None:
    """State where weights and settings of the model are.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if "model.safetensors" not in evidence.files:
        return None
    text = "Weights, settings and code version allow predictions of new recordings: depmm predict."
    return Answer(text, ("model.safetensors", "config.json", "config.yaml", "README.md"))


def code(evidence: Evidence) -> Answer | None:
    """State version and commit of the code.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if not (version := evidence.environment.get("depmm")):
        return None
    commit = evidence.environment.get("commit", "unknown")
    text = f"depmm {version}{'' if commit == 'unknown' else f', commit {commit}'}."
    return Answer(text, ("environment.json", "report.html#environment"))


def infrastructure(evidence: Evidence) -> Answer | None:
    """State system, processors and versions.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    names = ("system", "processor", "gpu", "python", "torch")
    known = [f"{n} {evidence.environment[n]}" for n in names if n in evidence.environment]
    if not known:
        return None
    return Answer(f"{'; '.join(known)}.", ("environment.json", "report.html#environment"))


def command(evidence: Evidence) -> Answer | None:
    """State the command of the training.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if not (text := evidence.environment.get("command")):
        return None
    return Answer(f"Training: {text}", ("report.html#command", "config.yaml", "environment.json"))


def quality_of_new_inputs(evidence: Evidence) -> Answer | None:
    """State what is compared when a new recording is predicted.

    Parameters
    ----------
    evidence : Evidence
        What is recorded.

    Returns
    -------
    Answer or None
        None if it is not recorded.
    """
    if not {"model.safetensors", "inference.json"} <= evidence.files:
        return None
    text = (
        "depmm predict warns if a new recording differs from the training data in its steps or "
        "windows, or if only part of it can be read; the reference values are in the run."
    )
    return Answer(text, ("inference.json", "report.html#signals"))
