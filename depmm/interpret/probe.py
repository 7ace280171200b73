"""How well nuisance variables can be read from the fused embedding of a session.

A logistic regression and a support vector machine predict the nuisance (gender, corpus, device,
...) from frozen embeddings of sessions of which the model has not learned. They are tested on other
subjects than they are fitted on. A balanced accuracy at chance does not prove that the nuisance is
gone: these classifiers cannot read it from so many subjects.

References
----------
Alain and Bengio, "Understanding intermediate layers using linear classifier probes", ICLR workshop,
2017. Elazar and Goldberg, "Adversarial removal of demographic attributes from text data", EMNLP
2018: a probe that is trained after an adversarial training finds what the adversary no longer does.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from depmm.config import ConceptErasureConfig, SplitConfig, load_config
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.nuisance import encode_erased
from depmm.data.precompute import ensure_embeddings
from depmm.device import choose_device, float32_precision
from depmm.errors import did_you_mean
from depmm.files.checksums import read_json, write_text
from depmm.interpret.attribution.tested_labels import warn_of_lost_sessions
from depmm.interpret.errors import ProbeError
from depmm.models.erasure import LayerInput, fit_erasers, read_layer_inputs
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder, find_model_folders
from depmm.runs.moved import check_locations, check_manifest
from depmm.schemas.manifest import SUBJECT_KEY

BATCH_SIZE = 8
N_FOLDS = 5
MIN_SUBJECTS = 4  # of each value, to fit and test within one split
N_DRAWS = 10_000
WITHIN, FROM_TRAINING = "within", "training"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionEmbeddings:
    """Fused embeddings of all sessions of one model.

    Attributes
    ----------
    embeddings : ndarray of float64, shape (N, E)
        One row per session.
    sessions : DataFrame
        The sessions, in the same order, with ``split``.
    seed : int
        Seed of the model.
    """

    embeddings: np.ndarray
    sessions: pd.DataFrame
    seed: int


def probe(
    run: Path | str,
    nuisance: Sequence[str],
    splits: Sequence[str] = ("test",),
    overrides: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Probe the models of a run, and write ``probe.json`` into its folder.

    Within the subjects of ``splits``, a logistic regression and a support vector machine (radial
    basis functions), both with weighted classes, are cross-validated by subject in the embeddings
    of each model. If the subjects are too few, as in the folds of a cross-validation, they are
    fitted on the training subjects of each model instead and tested on those of ``splits``; the
    result says which. After a concept erasure, the erased embedding is probed, which is what the
    output layers of the model read.

    Parameters
    ----------
    run : Path or str
        Folder of a run or of a cross-validation.
    nuisance : sequence of str
        Columns of the sessions.
    splits : sequence of {"test", "validation"}, default ("test",)
        Subjects that are tested.
    overrides : iterable of str, optional
        ``data.manifest=FOLDER`` and ``data.store=FOLDER``: where the data of a moved run are.

    Returns
    -------
    dict of str to object
        The content of ``probe.json``: ``splits``, and ``nuisance`` with an entry of
        ``measure_nuisance`` by name, those of earlier calls included.

    Raises
    ------
    ProbeError
        If a column does not exist or has one value, or if there are too few subjects.
    RunError
        If the folder contains no trained network, or its manifest does not exist.
    ConfigError
        If an override changes another setting.
    """
    path, device, moved = Path(run), choose_device(), check_locations(overrides)
    folders = find_model_folders(path)
    check_manifest(folders[0], moved)
    models = [embed_run(folder, device, moved) for folder in folders]
    file = RunFolder(path).probe
    content: dict[str, Any] = {"schema_version": 2, "splits": list(splits), "nuisance": {}}
    if file.is_file():
        before = read_json(file)
        if all(before.get(key) == content[key] for key in ("schema_version", "splits")):
            content["nuisance"] = before["nuisance"]
    for name in nuisance:
        content["nuisance"][name] = measure_nuisance(models, name, splits)
    write_text(file, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return content


@torch.no_grad()
def embed_run(
    folder: RunFolder, device: torch.device, overrides: Sequence[str] = ()
) -> SessionEmbeddings:
    """Compute the fused embeddings of all sessions of a model, as its output layers use them.

    Parameters
    ----------
    folder : RunFolder
        Folder of the trained model.
    device : device
        Where the model computes.
    overrides : sequence of str, optional
        Where the data of a moved run are, as ``key=value``.

    Returns
    -------
    SessionEmbeddings
        After a training with concept erasure, the erased embeddings.
    """
    config = load_config(folder.config, overrides)
    split = SplitConfig(kind="file", file=folder.split)  # that of the training
    data = load_experiment_data(config.model_copy(update={"split": split}))
    warn_of_lost_sessions(data, folder, ["train", "validation", "test"])
    model = DepressionModel.from_pretrained(folder.path).to(device).eval()
    with float32_precision("highest", device):
        data = ensure_embeddings(model.encoders, data, device)
        batches = evaluation_batches(data.dataset, range(len(data.sessions)), BATCH_SIZE, device)
        inputs = read_layer_inputs(model, batches)
    if config.training.concept_erasure is not None:
        inputs = _erase(inputs, data, config.training.concept_erasure)
    rows = np.concatenate([part.embeddings for part in inputs], axis=1)
    logger.info("%s: %d sessions embedded", folder.path, len(rows))
    return SessionEmbeddings(rows, data.sessions.reset_index(drop=True), config.seed)


def _erase(
    inputs: list[LayerInput], data: ExperimentData, settings: ConceptErasureConfig
) -> list[LayerInput]:
    """Erase the nuisance as the training did; the output layers ignore what is removed."""
    labels, given = encode_erased(data.sessions, settings)
    train = sorted(data.indices("train"))
    erasers = fit_erasers(
        [LayerInput(part.layer, part.embeddings[train]) for part in inputs],
        [values[train] for values in labels],
        None if given is None else given[train],
    )
    return [LayerInput(part.layer, erasers[part.layer](part.embeddings)) for part in inputs]


def measure_nuisance(
    models: Sequence[SessionEmbeddings], name: str, splits: Sequence[str] = ("test",)
) -> dict[str, Any]:
    """Measure how well a nuisance can be read from the embeddings of several models.

    Parameters
    ----------
    models : sequence of SessionEmbeddings
        One per fold and seed.
    name : str
        Column of the sessions.
    splits : sequence of str, default ("test",)
        Subjects that are tested.

    Returns
    -------
    dict of str to object
        ``protocol`` (``within``: cross-validated within the subjects of ``splits``; ``training``:
        fitted on the training subjects), ``classes``, ``sessions``, ``subjects``, ``models``,
        ``balanced_accuracy`` with ``ci_low`` and ``ci_high`` (95 %) of the logistic regression, the
        same of the support vector machine in ``nonlinear``, and ``chance``.

    Raises
    ------
    ProbeError
        If the column does not exist or has one value, or if there are too few subjects.
    """
    protocol = WITHIN if all(_enough(model, name, splits) for model in models) else FROM_TRAINING
    tables = [_probe_model(model, name, splits, protocol) for model in models]
    table = pd.concat([part for part in tables if part is not None], ignore_index=True)
    classes = sorted(table["value"].unique())
    if len(classes) < 2:
        raise ProbeError(
            f"{name} has the value {classes[0]!r} in all sessions of {' and '.join(splits)}.",
            column=name,
            value=classes,
            remedy="Choose another column, or --split validation,test.",
        )
    value, low, high = balanced_accuracy_interval(table)
    by_svm = balanced_accuracy_interval(table.assign(predicted=table["predicted_nonlinear"]))
    return {
        "protocol": protocol,
        "classes": classes,
        "sessions": len(table.drop_duplicates([*SUBJECT_KEY, "session"])),
        "subjects": len(table.drop_duplicates(SUBJECT_KEY)),
        "models": len(models),
        "balanced_accuracy": value,
        "ci_low": low,
        "ci_high": high,
        "nonlinear": dict(zip(("balanced_accuracy", "ci_low", "ci_high"), by_svm, strict=True)),
        "confidence": 0.95,
        "chance": 1 / len(classes),
    }


def _values(model: SessionEmbeddings, name: str) -> pd.Series:
    if name not in model.sessions:
        raise ProbeError(
            f"The sessions have no column {name!r}.",
            column=name,
            value=name,
            remedy=did_you_mean(name, map(str, model.sessions.columns)),
        )
    column = model.sessions[name]
    return column.astype("str").where(column.notna())


def _count_subjects(rows: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Count the subjects of each value."""
    keys = rows[SUBJECT_KEY].assign(value=values).dropna().drop_duplicates()
    return keys["value"].value_counts()


def _enough(model: SessionEmbeddings, name: str, splits: Sequence[str]) -> bool:
    values = _values(model, name)
    rows = model.sessions["split"].isin(splits)
    counts = _count_subjects(model.sessions[rows], values[rows])
    return len(counts) > 1 and bool(counts.min() >= MIN_SUBJECTS)


def _probe_model(
    model: SessionEmbeddings, name: str, splits: Sequence[str], protocol: str
) -> pd.DataFrame:
    """Predict the nuisance of the tested sessions of a model."""
    values = _values(model, name)
    known = values.notna().to_numpy()
    tested = known & model.sessions["split"].isin(splits).to_numpy()
    labels = values.to_numpy(object)
    table = model.sessions.loc[tested, [*SUBJECT_KEY, "session"]].assign(
        value=labels[tested], seed=model.seed
    )
    x, y = model.embeddings[tested], labels[tested]
    if protocol == WITHIN:
        subjects = model.sessions[tested].groupby(SUBJECT_KEY).ngroup().to_numpy()
        n_folds = min(N_FOLDS, int(_count_subjects(model.sessions[tested], values[tested]).min()))
        predicted = np.empty((2, len(y)), object)
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
        for fit, test in folds.split(x, y, subjects):
            predicted[:, test] = _fit_and_predict(x[fit], y[fit], x[test], name)
    else:
        training = known & (model.sessions["split"] == "train").to_numpy()
        predicted = _fit_and_predict(model.embeddings[training], labels[training], x, name)
    return table.assign(predicted=predicted[0], predicted_nonlinear=predicted[1])


def _fit_and_predict(x: np.ndarray, y: np.ndarray, tested: np.ndarray, name: str) -> np.ndarray:
    """Predict with a logistic regression and a support vector machine; shape (2, N)."""
    if len(set(y)) < 2:
        raise ProbeError(
            f"{name} has one value in the sessions that the probe is fitted on.",
            column=name,
            remedy="Choose another column, or --split validation,test.",
        )
    classifiers = (
        LogisticRegression(class_weight="balanced", max_iter=2000),
        SVC(class_weight="balanced"),  # radial basis functions
    )
    return np.stack(
        [
            make_pipeline(StandardScaler(), classifier).fit(x, y.astype(str)).predict(tested)
            for classifier in classifiers
        ]
    ).astype(object)


def balanced_accuracy_interval(
    table: pd.DataFrame, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Compute the mean recall over the classes, and its interval over subjects.

    As for the balanced accuracy of two classes (``depmm.evaluation.stats.metric_intervals``), the
    recall of each class is drawn from the beta distribution of Jeffreys' interval, whose trials are
    the effective number of subjects of the class. The interval has a width at 1 as well.

    Parameters
    ----------
    table : DataFrame
        Columns corpus, subject, value and predicted; a session may be predicted by several models.
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    tuple of float
        Balanced accuracy, and the bounds.
    """
    rng = np.random.default_rng(0)
    recalls, draws = [], []
    for _, rows in table.groupby("value"):
        counts = rows.groupby(SUBJECT_KEY).size().to_numpy(float)
        n = counts.sum() ** 2 / (counts**2).sum()
        recall = float((rows["value"] == rows["predicted"]).mean())
        recalls.append(recall)
        draws.append(rng.beta(recall * n + 0.5, (1 - recall) * n + 0.5, N_DRAWS))
    value = float(np.mean(recalls))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.mean(draws, axis=0), [tail, 1 - tail])
    return value, min(float(low), value), max(float(high), value)
