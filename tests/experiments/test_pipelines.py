"""Every part of the configs on a simulated corpus of its spec, from recordings to predictions.

The commands are those of the command line: simulate, index, audit, extract, and train or
cross-validate. Epochs, images, and the channels of EmoAudioNet are reduced, and published weights,
which need a download, are left out. The configs that are run contain every corpus, encoder, fusion,
kind of target and set of measures; ``test_configs`` takes a training step of each config.
"""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from config_corpora import CONFIGS, find_corpus, make_corpus, run
from filelock import FileLock
from pretrained_sources import write_sources

from depmm.config import Config, Experiment, load_experiment
from depmm.corpora.manifest import read_manifest
from depmm.schemas.manifest import SESSION_KEY


def parts_of(config: Experiment) -> set[tuple[object, ...]]:
    """Return the parts of a config: corpus, target, and encoders and fusion, or measures."""
    parts: set[tuple[object, ...]] = {
        ("corpus", config.data.manifest),
        ("target", config.target.kind, config.target.output),
        ("tuning", config.tuning is not None),
    }
    if not isinstance(config, Config):
        settings = config.classical
        sets = {("measures", name) for names in settings.measures.values() for name in names}
        return parts | sets | {("unit", settings.unit), ("late", settings.fusion)}
    encoders = {("encoder", name, part.kind) for name, part in config.model.encoders.items()}
    initialised = ("initialised", config.training.init_from is not None)
    return parts | encoders | {("fusion", config.model.fusion.kind), initialised}


def choose_paths() -> list[Path]:
    """Choose configs that contain every part, those with the most parts first.

    Measures of the face are left out: simulated faces are aligned, so that they have no landmarks.
    """
    parts = {path: parts_of(load_experiment(path)) for path in sorted(CONFIGS.glob("*.yaml"))}
    parts = {path: found for path, found in parts.items() if ("measures", "face") not in found}
    missing: set[tuple[object, ...]] = set().union(*parts.values())
    chosen = []
    while missing:
        path = max(parts, key=lambda path: len(parts[path] & missing))
        chosen.append(path)
        missing -= parts[path]
    return sorted(chosen)


PATHS = choose_paths()


@pytest.fixture
def workplace(tmp_path_factory, monkeypatch) -> Path:
    """Return the working directory with the corpora, which all processes of a test run share."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "workplace"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


def reduce(path: Path, config: Experiment) -> list[str]:
    """Return the overrides with which a config runs in seconds on one core."""
    overrides = ["split.validation=0.5", "evaluation.n_bootstrap=100"]
    if config.tuning is not None:
        first = {name: values[:2] for name, values in config.tuning.grid.items()}
        overrides += ["tuning.folds=2", f"tuning.grid={json.dumps(first)}"]
    if not isinstance(config, Config):
        return [*overrides, "split.folds=2"] if config.split.kind == "k_fold" else overrides
    epochs = max(1, len(config.training.phases))
    overrides += [f"training.epochs={epochs}", "training.batch_size=4", "data.workers=0"]
    overrides += ["training.weights=null"]
    if config.training.phases:
        # the search of a learning rate is slow, and is run for one of the systems that use it
        rate = {} if config.name == "attention_resnet_18" else {"learning_rate": 1e-3}
        phases = [phase.model_dump() | {"epochs": 1} | rate for phase in config.training.phases]
        overrides += [f"training.phases={json.dumps(phases)}"]
    if config.model.num_steps is not None and config.data.steps.first is None:
        overrides += [f"model.fusion.num_steps={find_corpus(config).words}"]
    signals = set(config.data.modalities) - set(config.data.features)
    if "face" in signals:
        overrides += [f"data.face_size={min(64, config.data.face_size)}"]
    overrides += write_sources(config, Path("sources") / path.stem)
    for name, encoder in config.model.encoders.items():
        setting = f"model.encoders.{name}"
        if encoder.kind in ("emoaudionet", "attention_resnet"):
            overrides += [f"{setting}.channels=8"]
        if hasattr(encoder, "face_size") and name in signals:
            overrides += [f"{setting}.face_size={min(64, encoder.face_size)}"]
    return overrides


def prepare(path: Path, config: Experiment, depmm) -> None:
    """Make the corpus of a config, once for all configs and processes, and extract it."""
    corpus = find_corpus(config)
    with FileLock("lock"):
        recordings = Path("corpora") / corpus.name / "recordings"
        if not recordings.is_dir():
            make_corpus(corpus, depmm)
        options = ["--out", config.data.store, "--config", path, "--workers", 1]
        run(depmm, "extract", config.data.manifest, recordings, *options)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_part_runs_on_a_corpus_of_its_spec(path, workplace, depmm):
    config = load_experiment(path)
    prepare(path, config, depmm)
    command, overrides = "cross-validate", reduce(path, config)
    if isinstance(config, Config):
        command = "train"
        if config.training.init_from is not None:
            first = path.with_stem(config.training.init_from.name)
            out = Path("initial") / path.stem
            prepare(first, load_experiment(first), depmm)
            run(depmm, "train", first, *reduce(first, load_experiment(first)), f"out={out}")
            overrides += [f"training.init_from={out / first.stem}"]
    run(depmm, command, path, *overrides)
    predictions = pd.read_parquet(config.out / config.name / "predictions.parquet")
    if command == "cross-validate" and config.split.kind != "official":
        predictions = predictions[predictions["split"] == "test"]
    sessions = read_manifest(config.data.manifest).sessions
    target, column = config.target, sessions[config.target.column]
    used = column.isin([*target.positive, *target.negative]) if target.positive else column.notna()
    expected = set(sessions.loc[used, SESSION_KEY].itertuples(index=False, name=None))
    assert set(predictions[SESSION_KEY].itertuples(index=False, name=None)) == expected
    assert len(predictions) == len(expected) > 0
    assert predictions["y_prob" if target.kind == "binary" else "score_pred"].notna().all()
