"""Predictions of a cross-validation in which each fold has its own settings ``data``."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trained_runs import AUDIO, train_tiny

from depmm.config import load_experiment
from depmm.inference import Predictor
from depmm.interpret.attribution.explain import explain
from depmm.runs.folder import RunFolder
from depmm.training.classical import train_classical

SESSION = "S003_1"
FOLD = "split={{kind: k_fold, folds: 2, validation: 0.4, fold: {}}}"
DATA = (["data.max_audio_s=0.1", "data.steps={first: 3}"], ["data.max_audio_s=0.3"])
SECTION = "classical={model: {kind: ridge}, measures: {audio: [mfcc]}, unit: step}"


@pytest.fixture(scope="module")
def network(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "network"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        for fold, data in enumerate(DATA):
            path = folder / f"seed-0-fold-{fold}"
            train_tiny(corpus, path, *AUDIO, FOLD.format(fold), *data)
            table = pd.read_parquet(path / "predictions.parquet").set_index("session")
            explain(path, split=table["split"][SESSION])
    return folder


@pytest.fixture(scope="module")
def classical(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "classical"
    for fold, data in enumerate(DATA):
        overrides = [AUDIO[0], "model=null", "training=null", SECTION, FOLD.format(fold), *data]
        path = folder / f"seed-0-fold-{fold}"
        train_classical(load_experiment(corpus.config, overrides), RunFolder(path))
    return folder


def in_run(folder: Path, table: str) -> pd.DataFrame:
    """Read the rows of the session in a table of both folds."""
    folds = [pd.read_parquet(path / table) for path in sorted(folder.iterdir())]
    rows = pd.concat(folds)
    return rows[rows["session"] == SESSION].sort_values("fold")


@pytest.mark.parametrize("kind", ["network", "classical"])
def test_each_model_reads_the_recording_with_the_settings_of_its_fold(kind, request, recording):
    folder = request.getfixturevalue(kind)
    file, steps = recording(SESSION)
    prediction = Predictor(folder).predict(file, steps)
    of_models = [model["y_prob"] for model in prediction.result["models"]]
    assert of_models == pytest.approx(in_run(folder, "predictions.parquet")["y_prob"], abs=1e-5)
    assert len(prediction.steps) == 4
    assert np.isfinite(prediction.steps["attribution"]).all()


def test_an_attribution_is_the_mean_of_the_models_that_read_the_step(network, recording):
    file, steps = recording(SESSION)
    attribution = Predictor(network).predict(file, steps).steps["attribution"]
    explained = in_run(network, "attributions.parquet")
    assert explained.groupby("step")["fold"].nunique().tolist() == [2, 2, 2, 1]
    expected = explained.groupby("step")["occlusion"].mean()
    assert attribution.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_used_signal_is_the_mean_of_the_models(network, recording):
    file, steps = recording(SESSION)
    prediction = Predictor(network).predict(file, steps, view=True)
    alone = [
        Predictor(path).predict(file, steps).used_signal["audio"]
        for path in sorted(network.iterdir())
    ]
    used = prediction.used_signal["audio"]
    assert alone[0].used < used.used < alone[1].used
    assert used.used == pytest.approx((alone[0].used + alone[1].used) / 2)
    assert used.used + sum(used.left_out.values()) == pytest.approx(used.total)
    assert used.describe() != alone[0].describe()
    # the page marks what any of the models reads
    read = sum(span.end_s - span.start_s for span in prediction.view.sound_read)
    assert read == pytest.approx(alone[1].used, abs=0.03)


def test_an_encoder_may_read_fewer_crops_than_the_dataset(corpus, recording, tmp_path):
    face = "model.encoders={face: {kind: frame_mean, frames: 2}}"
    data = ["data.modalities=[face]", "data.frames_per_step=3", "data.face_size=32"]
    run = train_tiny(corpus, tmp_path / "run", *data, "model.encoders.audio=null", face)
    summary = json.loads((run / "data_summary.json").read_text())["used_signal"]["face"]
    file, steps = recording(SESSION)
    predicted = Predictor(run).predict(file, steps, aligned=True).used_signal["face"]
    assert predicted.used == 2 * 4  # steps
    reason = list(predicted.left_out)[-1]
    assert 0 < predicted.left_out[reason] <= 4  # a step can have fewer than 3 crops
    n_steps = len(corpus.manifest.steps)
    assert 2 * n_steps - 2 < summary["used"] <= 2 * n_steps
    assert 0 < summary["left_out"][reason] <= n_steps
