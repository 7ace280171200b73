"""Models of a finished run, with their predictions, training reference and description."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from depmm.config import Experiment, load_experiment
from depmm.data.signals.build import build_signals
from depmm.data.signals.signal import StepSignal
from depmm.data.training_reference import TrainingReference
from depmm.data.used_signal import list_limited_modalities
from depmm.device import choose_device
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.files.checksums import read_json
from depmm.inference.errors import InferenceError
from depmm.models.classical.model import ClassicalModel
from depmm.models.classical.saved import load_model
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder, find_model_folders, list_classical_folders
from depmm.runs.inference_facts import InferenceFacts, load_inference_facts
from depmm.runs.moved import check_locations
from depmm.runs.step_reference import StepReference, load_step_reference
from depmm.store.derived_streams import FACE_STREAMS, track_of
from depmm.store.voice_stream import VOICE


@dataclass(frozen=True)
class TrainedRun:
    """A run, or the runs of a cross-validation, ready for inference.

    Attributes
    ----------
    configs : dict of tuple of int to (Config or ClassicalConfig)
        Config of each model, by (fold, seed); they differ in fold, seed and tuned settings only,
        so that modalities and extraction are common.
    models : dict of tuple of int to DepressionModel
        The networks in evaluation mode by (fold, seed); empty for classical models.
    classical_models : dict of tuple of int to ClassicalModel
        The classical models by (fold, seed); empty for networks.
    facts : dict of tuple of int to InferenceFacts
        Calibration and training of each model, by (fold, seed).
    reference : TrainingReference
        Statistics of the training sessions of all models.
    step_references : dict of tuple of int to StepReference
        Mean steps of the training subjects by (fold, seed); empty if a model has none.
    description : dict of str to object
        Description of the models, as JSON values: ``name`` of the run, ``n_models``, ``kind``
        ("binary" or "severity"), ``target`` in words, ``instrument`` or None, ``corpora``,
        ``training_subjects`` (smallest and largest number per model) and ``test_metrics``
        (``confidence``, ``subjects`` and ``metrics``, a list of dict with ``label``, ``value``,
        ``ci_low``, ``ci_high`` and ``baseline``; None before ``depmm evaluate``).
    """

    configs: dict[tuple[int, int], Experiment]
    models: dict[tuple[int, int], DepressionModel]
    classical_models: dict[tuple[int, int], ClassicalModel]
    facts: dict[tuple[int, int], InferenceFacts]
    reference: TrainingReference
    step_references: dict[tuple[int, int], StepReference]
    description: dict[str, Any]

    @property
    def config(self) -> Experiment:
        """Config of the first model."""
        return next(iter(self.configs.values()))

    @property
    def tracks(self) -> list[str]:
        """The tracks of a recording that the models read, ``audio`` or ``face``."""
        tracks = {signal.track for signal in self.signals.values()}
        return sorted(track for track in tracks if track is not None)

    @property
    def signals(self) -> dict[str, StepSignal]:
        """The signals that the models read, by modality."""
        return build_signals(self.config.data)

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest score of the models."""
        if self.classical_models:
            return next(iter(self.classical_models.values())).score_range
        low, high = next(iter(self.models.values())).config.score_range
        return low, high

    def split_by_reading(self) -> list["TrainedRun"]:
        """Divide the run by what its models read of a recording.

        Tuning can choose other settings ``data`` in each fold, for example ``data.max_audio_s``.

        Returns
        -------
        list of TrainedRun
            Parts of the run, each with models that read the same; usually one.
        """
        parts: dict[str, list[tuple[int, int]]] = {}
        for key, config in self.configs.items():
            read = config.data.model_dump_json(exclude={"augment", "workers", "manifest", "store"})
            parts.setdefault(f"{read} {list_limited_modalities(config)}", []).append(key)
        return [self._keep(keys) for keys in parts.values()]

    def _keep(self, keys: Sequence[tuple[int, int]]) -> "TrainedRun":
        """Keep some of the models; reference and description remain those of all models."""
        return replace(
            self,
            configs={key: self.configs[key] for key in keys},
            models={key: self.models[key] for key in keys if key in self.models},
            classical_models={
                key: self.classical_models[key] for key in keys if key in self.classical_models
            },
        )


def read_trained_run(
    path: Path, device: str | None = None, overrides: Iterable[str] | None = None
) -> TrainedRun:
    """Read the models of a run or of a cross-validation.

    Parameters
    ----------
    path : Path
        Folder of the run, or of the cross-validation.
    device : str, optional
        Torch device of the models; default: as ``choose_device`` chooses it.
    overrides : iterable of str, optional
        ``data.manifest=FOLDER`` and ``data.store=FOLDER``, for a run without ``inference.json``
        whose data were moved.

    Returns
    -------
    TrainedRun
        Its models are in evaluation mode on the device.

    Raises
    ------
    ConfigError
        If an override changes another setting.
    RunError
        If ``inference.json`` cannot be read, or a run without it has no data.
    InferenceError
        If training is not finished, the models need features that a corpus provides, or
        ``metrics.json`` cannot be read.
    ValueError
        If the folder contains no trained model, or its files contradict each other.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # loading of weights is fast
    classical = list_classical_folders(path)
    folders = classical or find_model_folders(path)
    for folder in folders:
        if not folder.finished and not folder.inference.is_file():
            raise InferenceError(
                f"{folder.path}: the run has a model but neither inference.json nor "
                "predictions.parquet.",
                file=folder.path,
                remedy="Finish its training first.",
            )
    moved = check_locations(overrides)
    configs = [load_experiment(folder.config, moved) for folder in folders]
    config = configs[0]
    for modality, stream in config.data.features.items():
        if track_of(stream) is not None:
            continue
        raise InferenceError(
            f"{path}: the input {modality} of the model is the feature stream {stream!r} of its "
            "corpus, which cannot be computed from a recording.",
            file=path,
            setting="data.features",
            value=stream,
            remedy="Train a model on signals, or on streams that depmm computes "
            f"({', '.join((*FACE_STREAMS, VOICE))}).",
        )
    test_metrics = _test_metrics(path / "metrics.json")
    facts = {
        (cfg.split.fold, cfg.seed): load_inference_facts(folder, cfg)
        for folder, cfg in zip(folders, configs, strict=True)
    }
    keys = [(cfg.split.fold, cfg.seed) for cfg in configs]
    models: dict[tuple[int, int], DepressionModel] = {}
    step_references: dict[tuple[int, int], StepReference] = {}
    classical_models = {}
    if classical:
        models_of = zip(keys, classical, strict=True)
        classical_models = {key: load_model(folder.classical_model) for key, folder in models_of}
    else:
        models, step_references = _load_networks(keys, folders, device)
    description = {
        "name": path.name,
        "n_models": len(folders),
        **_describe(config, list(facts.values())),
        "test_metrics": test_metrics,
    }
    reference = combine_references([fact.reference for fact in facts.values()])
    return TrainedRun(
        dict(zip(keys, configs, strict=True)),
        models,
        classical_models,
        facts,
        reference,
        step_references,
        description,
    )


def combine_references(references: list[TrainingReference]) -> TrainingReference:
    """Combine the statistics of the models of a cross-validation.

    Parameters
    ----------
    references : list of TrainingReference
        Statistics of the training sessions of each model.

    Returns
    -------
    TrainingReference
        Common values; medians, smallest and largest numbers; and defaults where models differ.
    """
    if len(references) == 1:
        return references[0]

    def values(name: str) -> list[Any]:
        return [v for v in (getattr(item, name) for item in references) if v is not None]

    steps, speech = values("step_s"), values("low_speech_s")
    # what differs between the models has its default
    common = {
        name: value
        for name, value in references[0]
        if all(getattr(item, name) == value for item in references)
    }
    return TrainingReference(
        **common
        | {
            "windows_in_steps": any(values("windows_in_steps")),
            "separate_files": any(values("separate_files")),
            "files_per_session": max(values("files_per_session")),
            "step_s": median(steps) if steps else None,
            "min_steps": min(values("min_steps"), default=None),
            "low_speech_s": median(speech) if speech else None,
        }
    )


def _load_networks(
    keys: list[tuple[int, int]], folders: list[RunFolder], device: str | None
) -> tuple[dict[tuple[int, int], DepressionModel], dict[tuple[int, int], StepReference]]:
    """Load networks and their step references; no reference if a network has none."""
    models = {
        key: DepressionModel.from_pretrained(folder.path).to(choose_device(device)).eval()
        for key, folder in zip(keys, folders, strict=True)
    }
    references = {
        key: load_step_reference(folder.step_reference, model)
        for (key, model), folder in zip(models.items(), folders, strict=True)
        if folder.step_reference.is_file()
    }
    return models, references if len(references) == len(models) else {}


def _describe(config: Experiment, facts: list[InferenceFacts]) -> dict[str, Any]:
    n_subjects = [fact.training_subjects for fact in facts]
    names = {fact.instrument for fact in facts}
    instrument = next(iter(names)) if len(names) == 1 else None
    target = config.target
    if target.kind != "binary":
        description = f"{instrument or target.column} score"
    elif target.positive:
        description = (
            f"{target.column}: {' or '.join(target.positive)} against "
            f"{' or '.join(target.negative)}"
        )
    else:
        description = f"{target.column} = 1" + (f" by {instrument}" if instrument else "")
    return {
        "kind": "binary" if target.kind == "binary" else "severity",
        "target": description,
        "instrument": instrument,
        "corpora": sorted({corpus for fact in facts for corpus in fact.corpora}),
        "training_subjects": [min(n_subjects), max(n_subjects)],
    }


def _test_metrics(path: Path) -> dict[str, Any] | None:
    """Read the headline metrics of ``metrics.json``; None if the file does not exist."""
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return {
            "confidence": content["bootstrap"]["confidence"],
            "subjects": content["counts"]["test"]["subjects"],
            "metrics": [
                {
                    "label": METRICS[name].label,
                    "value": entry["value"],
                    "ci_low": entry["ci_low"],
                    "ci_high": entry["ci_high"],
                    "baseline": (entry["baseline"] or {}).get("value"),
                }
                for target in content["targets"]
                for name in HEADLINE[target]
                for entry in [content["metrics"][name]]
            ],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InferenceError(
            f"{path}: cannot be read ({error!r}).",
            file=path,
            remedy=f"Run depmm evaluate {path.parent} again.",
        ) from None
