"""A trained run on new recordings: each file becomes a session of its own and goes the usual way.

The very same code decodes it into a store (a temporary one, with the run's settings), reads it and
asks the model, so that a recording of the corpus gets the answer that the run gave it.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from depmm.config import Config, load_config
from depmm.corpora.manifest import SUBJECT_KEY
from depmm.data.batch import evaluation_batches
from depmm.data.dataset import SessionDataset
from depmm.errors import DepmmError
from depmm.evaluation.batch_prediction import predict
from depmm.evaluation.predictions import check_predictions
from depmm.evaluation.reports.report import FEW_SUBJECTS
from depmm.evaluation.stats.metrics import HEADLINE, METRICS
from depmm.inference.calibrated_prediction import answer_probability, answer_score
from depmm.inference.page import PAGE_MARK, SCHEMA, STATEMENT, prediction_page
from depmm.inference.quality import (
    Quality,
    QualityWarning,
    Sound,
    TrainingReference,
    measure_quality,
    measure_sound,
    measure_training_reference,
    quality_warnings,
)
from depmm.inference.segmentation import KEY, read_steps, recording_manifest, window_steps
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.video import MediaInfo, probe
from depmm.models.model import DepressionModel
from depmm.runs.folder import model_folders, write_text
from depmm.store.extract import extract
from depmm.store.sessions import SessionStore

SCHEMA_VERSION = 1
TOP_STEPS = 5  # shown in words; the table has all


class PredictionError(DepmmError):
    """A run or a recording that nothing can be predicted with; names value, place and remedy."""


@dataclass(frozen=True)
class TrainedRun:
    """The models of a run and what is known of them.

    Attributes
    ----------
    config : of the first model; the others differ in fold and seed only
    models : (fold, seed) -> model in evaluation mode
    predictions : checked, of all models
    usual : what the training sessions are like
    about : for the reader: name, target, subjects trained on, what was measured
    """

    config: Config
    models: dict[tuple[int, int], DepressionModel]
    predictions: pd.DataFrame
    usual: TrainingReference
    about: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """How a recording is to be read.

    Attributes
    ----------
    steps : CSV of its steps, see ``read_steps``
    window_s : length of its windows, where there is no table; None: the usual step of training
    aligned : its frames are aligned faces, none is searched for
    landmarker : face model, see ``find_landmarker``
    """

    steps: Path | None = None
    window_s: float | None = None
    aligned: bool = False
    landmarker: Path | None = None


# ---- the run ---------------------------------------------------------------------------------


def read_trained_run(path: Path) -> TrainedRun:
    """Read the models of a run, or of a cross-validation.

    Raises
    ------
    PredictionError : the models read features that their corpus ships
    ValueError : no finished run of a network is there, or its files do not fit together
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # weights load in an instant
    folders = model_folders(path)
    if unfinished := [folder for folder in folders if not folder.finished]:
        raise PredictionError(
            f"{unfinished[0].path} holds a model, but no predictions.parquet: train it to the end "
            "first"
        )
    configs = [load_config(folder.config) for folder in folders]
    config = configs[0]
    for name, stream in config.data.features.items():
        raise PredictionError(
            f"{path}: the model reads the features {stream!r} of its corpus as {name}, which a "
            "recording does not hold: train a model that takes the signal"
        )
    models = {
        (own.split.fold, own.seed): DepressionModel.from_pretrained(folder.path).eval()
        for own, folder in zip(configs, folders, strict=True)
    }
    tables = [pd.read_parquet(folder.predictions) for folder in folders]
    predictions = check_predictions(pd.concat(tables, ignore_index=True))
    train = predictions[predictions["split"] == "train"]
    store = SessionStore(config.data.store, config.extract)
    usual = measure_training_reference(train, config.data.manifest, store)
    about = {"name": path.name, "models": len(models), **_describe(config, predictions, path)}
    return TrainedRun(config, models, predictions, usual, about)


def _describe(config: Config, predictions: pd.DataFrame, path: Path) -> dict[str, Any]:
    train = predictions[predictions["split"] == "train"]
    subjects = train.groupby(["fold", "seed"])[SUBJECT_KEY].apply(
        lambda own: len(own.drop_duplicates())
    )
    names = predictions["instrument"].dropna().unique()
    instrument = str(names[0]) if len(names) == 1 else None
    target = config.target
    if target.kind != "binary":
        predicted = f"{instrument or target.column} score"
    elif target.positive:
        predicted = (
            f"{target.column}: {' or '.join(target.positive)}, against "
            f"{' or '.join(target.negative)}"
        )
    else:
        predicted = f"{target.column} = 1" + (f" by {instrument}" if instrument else "")
    return {
        "task": "binary" if target.kind == "binary" else "severity",
        "target": predicted,
        "instrument": instrument,
        "corpora": sorted(train["corpus"].unique()),
        "training_subjects": [int(subjects.min()), int(subjects.max())]
        if len(subjects)
        else [0, 0],
        "measured": _measured(path / "metrics.json"),
    }


def _measured(path: Path) -> dict[str, Any] | None:
    """The headline metrics that ``depmm evaluate`` found; None where it did not run."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            "confidence": content["bootstrap"]["confidence"],
            "subjects": content["counts"]["test"]["subjects"],
            "metrics": [
                {
                    "label": METRICS[name].label,
                    **{key: content["metrics"][name][key] for key in ("value", "low", "high")},
                    "baseline": (content["metrics"][name]["baseline"] or {}).get("value"),
                }
                for task in content["tasks"]
                for name in HEADLINE[task]
            ],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise PredictionError(
            f"{path}: cannot be read ({error!r}). Run depmm evaluate {path.parent} again."
        ) from None


# ---- one recording ---------------------------------------------------------------------------


def predict_file(run: TrainedRun, file: Path, request: Request) -> dict[str, Any]:
    """Predict for one recording; nothing of it stays on the disk.

    Returns
    -------
    the content of ``<file>.json``, JSON values: ``recording``, ``model``, ``answer`` (see
    ``answer_probability`` and ``answer_score``), ``steps``, ``top_steps``, ``warnings`` and
    ``quality``

    Raises
    ------
    PredictionError : no such file, neither sound nor picture that the model takes, too many or too
        few steps
    ValueError : as ``read_steps``, ``window_steps`` and ``extract``
    """
    if not file.is_file():
        raise PredictionError(f"{file}: no such file")
    info, length = probe(file), duration_s(file)
    given = _modalities(run, file, info)
    steps, source = _steps(run, file, request, length)
    manifest = recording_manifest(file.name, steps, given, request.aligned)
    with tempfile.TemporaryDirectory(prefix="depmm-predict-") as folder:
        settings = run.config.extract
        report = extract(
            manifest, file.parent, folder, settings, request.landmarker, workers=1,
            show_progress=False,
        )  # fmt: skip
        if report.lost:
            raise PredictionError(_cannot_be_read(file, report.failures, request))
        data = run.config.data.model_copy(update={"workers": 0})
        store = SessionStore(folder, settings)
        shown = None
        if data.steps.valence:
            shown = [manifest.steps["valence"].isin(data.steps.valence).to_numpy()]
        dataset = SessionDataset(manifest.sessions, store, data, step_masks=shown)
        with store.read(*KEY) as reader:
            sound, unread = _sound(file, given)
            quality = measure_quality(reader, info.sample_rate, sound)
        _check_signal(run, file, quality)
        rows, contribution = _ask(run, dataset)
    stages, reasons = report.failures["stage"], report.failures["reason"]
    failed = [
        QualityWarning(f"{stage}_failed", reason)
        for stage, reason in zip(stages, reasons, strict=True)
    ]
    warnings = [*failed, *unread, *_alignment(run, info, request, quality)]
    warnings += quality_warnings(quality, run.usual, run.config.data.modalities)
    answer = _answer(run, rows)
    warnings += _few_subjects(answer) + _other_task(run)
    table = steps.assign(contribution=contribution)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "statement": STATEMENT,
        "recording": {
            "file": file.name,
            "duration_s": length,
            "modalities": given,
            "steps": len(steps),
            "steps_from": source,
        },
        "model": run.about,
        "answer": answer,
        "steps": _records(table.assign(end_s=table["end_s"].fillna(length))),
        "top_steps": _top(contribution),
        "warnings": [asdict(warning) for warning in warnings],
        "quality": asdict(quality),
    }


def _modalities(run: TrainedRun, file: Path, info: MediaInfo) -> list[str]:
    has = {"audio": info.has_audio, "face": info.has_video}
    given: list[str] = [name for name in run.config.data.modalities if has[name]]
    if not given:
        takes = {"audio": "sound", "face": "pictures"}
        wanted = " or ".join(takes[name] for name in run.config.data.modalities)
        raise PredictionError(
            f"{file}: has no {wanted}, which is all that this model takes: give another recording"
        )
    return given


def _steps(
    run: TrainedRun, file: Path, request: Request, length: float
) -> tuple[pd.DataFrame, str]:
    """Steps of the recording, and where they come from."""
    if request.steps is not None:
        steps, source = read_steps(request.steps, length), request.steps.name
    else:
        window = run.usual.step_s if request.window_s is None else request.window_s
        if window is None:
            raise PredictionError(
                f"how long a step was in training is not known: neither {run.config.data.manifest} "
                f"nor {run.config.data.store} is there: give --window SECONDS or --steps TABLE"
            )
        if request.window_s is not None and window > length:
            raise PredictionError(
                f"{file}: a window of {window:g} s is longer than the recording ({length:.2f} s): "
                "give a shorter one"
            )
        steps, source = window_steps(length, window), f"windows of {window:.3g} s"
    limit = run.config.data.max_steps
    if len(steps) > limit:
        raise PredictionError(
            f"{file}: {len(steps)} steps; the model takes {limit} (data.max_steps): give longer "
            "ones"
        )
    fixed = run.config.model.fixed_steps
    if fixed not in (None, len(steps)):
        raise PredictionError(
            f"{file}: {len(steps)} steps; the model reads {fixed} in one order "
            "(model.fusion.fixed_steps): give their times with --steps"
        )
    valences = run.config.data.steps.valence
    if valences and not steps["valence"].isin(valences).any():
        raise PredictionError(
            f"{file}: no {' or '.join(valences)} step, and the model was trained on no other "
            "(data.steps): give times and valences of the steps with --steps"
        )
    return steps, source


def _cannot_be_read(file: Path, failures: pd.DataFrame, request: Request) -> str:
    told = {
        reason.removeprefix(f"{file}: ").removeprefix(f"{file.name}: ")
        for reason in failures["reason"]
    }
    hint = ""
    if not request.aligned and set(failures["stage"]) == {"face"}:
        hint = " If its frames are aligned faces already, say so with --aligned."
    return f"{file}: nothing of it can be used: {' '.join(sorted(told))}{hint}"


def _sound(file: Path, given: Sequence[str]) -> tuple[Sound | None, list[QualityWarning]]:
    if "audio" not in given:
        return None, []
    try:
        return measure_sound(file), []
    except MediaError as error:  # behind the steps, which could be read
        return None, [QualityWarning("sound_not_measured", str(error))]


def _check_signal(run: TrainedRun, file: Path, quality: Quality) -> None:
    """Refuse what a model would answer to without having seen or heard anything."""
    counts = {name: quality.steps_with[name] for name in run.config.data.modalities}
    if not counts.get("face") and quality.sound and quality.sound.snr_db is None:
        raise PredictionError(
            f"{file}: its sound is digital silence and there is nothing else: check the recording"
        )
    if run.config.model.subtract_session_mean and max(counts.values()) < 2:
        raise PredictionError(
            f"{file}: one step, but this model compares the steps of a session with each other "
            "(model.subtract_session_mean): give shorter ones with --window or --steps"
        )


def _alignment(
    run: TrainedRun, info: MediaInfo, request: Request, quality: Quality
) -> list[QualityWarning]:
    """Warn where the faces may lie otherwise than those of training."""
    found: list[QualityWarning] = []
    if not quality.frames:
        return found
    if run.usual.aligned not in (None, request.aligned):
        trained, here = (
            "as its corpus aligned them" if aligned else "that depmm found and aligned"
            for aligned in (run.usual.aligned, request.aligned)
        )
        found.append(
            QualityWarning(
                "other_alignment",
                f"The model was trained with faces {trained}; this recording is read with faces "
                f"{here}: eyes and mouth may lie elsewhere in the picture.",
            )
        )
    if request.aligned and info.width != info.height:
        found.append(
            QualityWarning(
                "not_square",
                f"The frames are {info.width} x {info.height} pixels; aligned faces are usually "
                "square: is this recording really aligned?",
            )
        )
    return found


# ---- the models ------------------------------------------------------------------------------


def _ask(run: TrainedRun, dataset: SessionDataset) -> tuple[pd.DataFrame, np.ndarray]:
    """Answers of every model, one row each, and the mean contribution of each step [L]."""
    column = "y_prob" if run.about["task"] == "binary" else "score_pred"
    rows, contributions = [], []
    for (fold, seed), model in run.models.items():
        found = predict(model, dataset, [0], 1, draws=run.config.evaluation.n_gate_samples)
        if not np.isfinite(found["prediction"].iloc[0]):
            raise PredictionError(
                f"the model of fold {fold}, seed {seed} gives {found['prediction'].iloc[0]}: its "
                "weights are damaged, or the recording holds no usable signal"
            )
        spread = {"spread": found["spread"].iloc[0]} if "spread" in found else {}
        rows.append({"fold": fold, "seed": seed, column: found["prediction"].iloc[0], **spread})
        contributions.append(_contribution(model, dataset))
    return pd.DataFrame(rows), np.mean(contributions, axis=0)


@torch.no_grad()
def _contribution(model: DepressionModel, dataset: SessionDataset) -> np.ndarray:
    """What each step adds to the evidence, [L]; NaN for a step without any modality."""
    _, inputs = next(evaluation_batches(dataset, [0], 1, next(model.parameters()).device))
    features, masks = model.encode(**inputs)
    found = occlude_steps(model, features, masks)
    contribution = np.full(next(iter(masks.values())).shape[1], np.nan)
    contribution[found["step"].to_numpy(int)] = found["occlusion"]
    return contribution


def _answer(run: TrainedRun, rows: pd.DataFrame) -> dict[str, Any]:
    if run.about["task"] == "binary":
        return answer_probability(rows, run.predictions)
    bounds = next(iter(run.models.values())).config.score_range
    return answer_score(rows, run.predictions, bounds, run.about["instrument"])


def _few_subjects(answer: dict[str, Any]) -> list[QualityWarning]:
    subjects = answer.get("calibration", {}).get("validation_subjects", FEW_SUBJECTS)
    if subjects >= FEW_SUBJECTS:
        return []
    return [
        QualityWarning(
            "few_validation_subjects",
            f"The probability is calibrated on {subjects} validation subjects: fewer than "
            f"{FEW_SUBJECTS} hardly determine a temperature.",
        )
    ]


def _other_task(run: TrainedRun) -> list[QualityWarning]:
    """Warn where only steps of some tasks were trained on: a single recording does not say its."""
    tasks = run.config.data.steps.task
    if not tasks:
        return []
    return [
        QualityWarning(
            "task_not_known",
            f"The model was trained on {' and '.join(tasks)} alone; whether this recording is of "
            "that kind is not known.",
        )
    ]


def _top(contribution: np.ndarray) -> list[int]:
    """Steps that moved the answer most, the strongest first."""
    known = np.flatnonzero(np.isfinite(contribution))
    order = np.argsort(-np.abs(contribution[known]), kind="stable")
    return known[order][:TOP_STEPS].tolist()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values, null where unknown."""
    values = table.astype(object)
    rows: list[dict[str, Any]] = values.where(values.notna(), None).to_dict("records")  # type: ignore[assignment]
    return [{"step": number, **row} for number, row in enumerate(rows)]


# ---- files -----------------------------------------------------------------------------------


def check_outputs(files: Sequence[Path], folder: Path) -> None:
    """Refuse, before any work, to write over what is no prediction.

    Raises
    ------
    PredictionError : ``folder`` is a file, two recordings would have the same output, or a file of
        somebody else's is in the way
    """
    if folder.exists() and not folder.is_dir():
        raise PredictionError(f"--out {folder} is no folder: give the folder of the results")
    taken: dict[str, Path] = {}
    for file in files:
        if (other := taken.setdefault(file.stem, file)) != file or files.count(file) > 1:
            raise PredictionError(
                f"{other} and {file} would both be written to {folder / file.stem}.json: predict "
                "them one by one, each with an --out of its own"
            )
        for path, mark in _outputs(file, folder):
            if path.exists() and mark not in _head(path):
                raise PredictionError(
                    f"{path} is there and is no prediction of depmm: give another --out, it is not "
                    "written over"
                )


def _outputs(file: Path, folder: Path) -> list[tuple[Path, str]]:
    """JSON and page of a recording, and what each has near its beginning."""
    return [(folder / f"{file.stem}.json", SCHEMA), (folder / f"{file.stem}.html", PAGE_MARK)]


def _head(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(400).decode("utf-8", errors="replace")


def write_prediction(content: dict[str, Any], file: Path, folder: Path) -> Path:
    """Write ``<stem>.json`` and ``<stem>.html``; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (data, _), (page, _) = _outputs(file, folder)
    write_text(data, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(page, prediction_page(content))
    return page
