"""The training loop: training, resumption, several processes, phases and targets."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from imitated_gpu import CudaAutocast, imitate_fp16
from interrupted_runs import LONG, assert_same_run, interrupt
from trained_runs import read_history, read_weights, train_run
from trained_weights import assert_same_weights

from depmm.config import ConfigError, load_config
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.evaluation.thresholds import apply_threshold
from depmm.models.model import DepressionModel, build_model
from depmm.runs.folder import RunFolder
from depmm.training import loop
from depmm.training.early_stopping import count_steps_without_decrease
from depmm.training.errors import TrainingError
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network

ROOT = Path(__file__).parents[2]
MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"
FIXED = ["model.fusion.dropout=0.0", "model.fusion.fusion_weights=fixed"]
AUDIO = ["data.modalities=[audio]", "model.encoders.face=null", MEAN_POOL]


def test_a_run_lowers_the_loss_and_writes_all_files(corpus, tmp_path, log):
    run = train_run(corpus, tmp_path / "run", *FIXED, "training.epochs=8")
    losses = read_history(run)["train_loss"]
    assert len(losses) == 8
    assert losses.iloc[-2:].mean() < 0.5 * losses.iloc[:2].mean()
    assert log.messages[0] == "1 process on cpu"
    assert "train: 6 sessions of 6 subjects" in log.messages
    assert sum(line.startswith("epoch") for line in log.messages) == 8

    table = pd.read_parquet(run.predictions)
    sessions = corpus.manifest.sessions
    for column, source in (("session", "session"), ("split", "split"), ("y_true", "label")):
        assert table[column].tolist() == sessions[source].tolist()  # one row per session
    assert table["y_prob"].between(0, 1).all()
    assert table[["score", "score_pred"]].isna().all(axis=None)

    files = {path.name for path in run.path.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("events.out")}
    assert files - events == {
        *(
            "config.yaml",
            "config.json",
            "environment.json",
            "data_summary.json",
            "inference.json",
            "split.csv",
            "model.safetensors",
            "step_reference.safetensors",
        ),
        *("corpora.json", "history.parquet", "predictions.parquet", "SHA256SUMS"),
    }
    for path in run.path.rglob("*"):  # torch.save writes a zip, \x80 begins a pickle
        if path.is_file() and path.suffix != ".safetensors":
            assert not path.read_bytes().startswith((b"PK", b"\x80"))

    state = DepressionModel.from_pretrained(run.path).state_dict()
    for name, value in read_weights(run).items():
        assert torch.equal(state[name], value)


def test_a_finished_run_is_not_changed_and_another_config_is_refused(corpus, tmp_path, log):
    run = train_run(corpus, tmp_path, *AUDIO, "training.epochs=1")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    log.clear()
    train_run(corpus, tmp_path, *AUDIO, "training.epochs=1")
    assert log.messages == [f"{run.path}: already finished"]
    # a setting that is not in the config of an older run has its default
    content = yaml.safe_load(run.config.read_text())
    del content["data"]["steps"]
    run.config.write_text(yaml.safe_dump(content))
    before[run.config] = run.config.stat().st_mtime_ns
    del before[run.path / "SHA256SUMS"]
    (run.path / "SHA256SUMS").unlink()
    train_run(corpus, tmp_path, *AUDIO, "training.epochs=1")
    assert log.messages[1] == log.messages[0]
    with pytest.raises(ConfigError) as info:
        train_run(corpus, tmp_path, *AUDIO, "training.epochs=2")
    assert info.value.file == run.config
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


@pytest.mark.usefixtures("new_accelerator_state")
@pytest.mark.parametrize(
    "changes",
    [
        FIXED,
        [MEAN_POOL],
        [
            *FIXED,
            "training.phases=[{epochs: 4, learning_rate: .01}, {epochs: 4, learning_rate: .01}]",
        ],
    ],
)
def test_training_in_the_half_precision_of_a_gpu_lowers_the_loss(corpus, tmp_path, changes):
    with CudaAutocast():
        run = train_run(
            corpus, tmp_path / "run", *changes, "training.mixed_precision=bf16", "training.epochs=8"
        )
    losses = read_history(run)["train_loss"]
    assert losses.iloc[-2:].mean() < 0.7 * losses.iloc[:2].mean()
    assert all(tensor.dtype == torch.float32 for tensor in read_weights(run).values())
    # the predictions are those of the saved model, in full precision
    written = pd.read_parquet(run.predictions)["y_prob"]
    model = DepressionModel.from_pretrained(run.path)
    data = load_experiment_data(load_config(run.config))
    again = predict_sessions(model, data.dataset, list(range(len(written))), 4)
    # up to rounding; half precision would differ by about 1e-3
    np.testing.assert_allclose(again["prediction"], written, rtol=0, atol=1e-5)


def test_a_severity_is_predicted_within_the_range_of_its_instrument(corpus, tmp_path):
    run = train_run(corpus, tmp_path, *AUDIO, "target={kind: severity, column: score}")
    table = pd.read_parquet(run.predictions)
    assert table["score_pred"].between(0, 63).all()
    assert table["score"].tolist() == corpus.manifest.sessions["score"].tolist()
    assert table[["y_true", "y_prob"]].isna().all(axis=None)
    assert "val_rmse" in read_history(run)


@pytest.mark.parametrize(
    ("name", "count", "epoch"),
    [
        pytest.param("format_epoch", 2, 2, id="in epoch 2 after its checkpoint"),
        pytest.param("validate", 3, 2, id="in epoch 3 before its checkpoint"),
        pytest.param("write_table", 3, 2, id="in epoch 3 before its row of the history"),
        pytest.param("save_and_predict", 1, 3, id="before the predictions"),
    ],
)
def test_an_interrupted_run_equals_a_run_without_interruption(
    corpus, uninterrupted, tmp_path, monkeypatch, log, name, count, epoch
):
    with monkeypatch.context() as patch:
        interrupt(patch, name, count)
        with pytest.raises(KeyboardInterrupt):
            train_run(corpus, tmp_path, *LONG)
    assert not RunFolder(tmp_path).finished
    run = train_run(corpus, tmp_path, *LONG)
    assert f"{tmp_path}: resumed after epoch {epoch}" in log.messages
    assert_same_run(run, uninterrupted)
    assert not run.checkpoints.exists()


def test_the_loss_scale_of_fp16_is_resumed(corpus, tmp_path, monkeypatch):
    config = load_config(corpus.config, [*AUDIO, "training.epochs=3"])  # 2 steps in an epoch

    def train_scaled(path: Path) -> tuple[RunFolder, dict[str, float]]:
        accelerator = build_accelerator(config)
        # doubled after every four steps
        with imitate_fp16(accelerator, init_scale=1024.0, growth_interval=4):
            train_network(config, RunFolder(path), accelerator)
        return RunFolder(path), accelerator.scaler.state_dict()

    expected, state = train_scaled(tmp_path / "uninterrupted")
    assert (state["scale"], state["_growth_tracker"]) == (2048.0, 2)
    assert_same_run(expected, train_run(corpus, tmp_path / "full", *AUDIO, "training.epochs=3"))
    with monkeypatch.context() as patch:
        interrupt(patch, "validate", 3)
        with pytest.raises(KeyboardInterrupt):
            train_scaled(tmp_path / "stopped")
    resumed, resumed_state = train_scaled(tmp_path / "stopped")
    assert resumed_state == state
    assert_same_run(resumed, expected)


def test_a_step_whose_scaled_gradients_overflow_is_skipped(corpus, tmp_path):
    config = load_config(corpus.config, [*AUDIO, "training.epochs=2"])
    accelerator = build_accelerator(config)
    with imitate_fp16(accelerator, init_scale=1e38):
        train_network(config, RunFolder(tmp_path), accelerator)
    assert accelerator.scaler.state_dict()["scale"] < 1e38
    assert np.isfinite(read_history(RunFolder(tmp_path))["grad_norm"]).all()


@pytest.mark.slow
def test_worker_processes_and_an_interruption_do_not_change_a_run(
    corpus, uninterrupted, tmp_path, monkeypatch
):
    workers = [*LONG, "data.workers=2"]
    with monkeypatch.context() as patch:
        interrupt(patch, "validate", 2)
        with pytest.raises(KeyboardInterrupt):
            train_run(corpus, tmp_path, *workers)
    assert_same_run(train_run(corpus, tmp_path, *workers), uninterrupted)


def test_gradient_accumulation_does_not_change_the_weights(corpus, tmp_path):
    slow = [*FIXED, "training.epochs=1", "training.learning_rate=2.0e-4"]
    one, two = (
        read_weights(
            train_run(corpus, tmp_path / n, *slow, f"training.gradient_accumulation_steps={n}")
        )
        for n in "12"
    )
    torch.manual_seed(0)
    start = build_model(load_config(corpus.config, slow).model).state_dict()
    assert max((one[name] - start[name]).abs().max() for name in one) > 2e-4  # two full steps
    assert_same_weights(one, two, atol=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_same_run_as_one(corpus, tmp_path):
    settings = [*AUDIO, "training.epochs=2", "training.batch_size=5"]  # the last batch has one
    one = train_run(corpus, tmp_path / "one", *settings)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [
            *launcher, "--nproc_per_node", "2", str(ROOT / "experiments" / "train_fusion.py"),
            str(corpus.config), *settings, f"out={tmp_path}", "name=two",
        ],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes on cpu" in done.stdout
    assert done.stdout.count("epoch   1/2") == 1  # only the main process logs
    two = RunFolder(tmp_path / "two")
    a, b = (pd.read_parquet(run.predictions) for run in (one, two))
    assert not b.duplicated(["corpus", "subject", "session"]).any()
    pd.testing.assert_frame_equal(a, b, rtol=0, atol=1e-4)
    pd.testing.assert_frame_equal(read_history(one), read_history(two), rtol=0, atol=1e-4)


def test_labels_of_test_subjects_have_no_influence(corpus, tmp_path):
    manifest = read_manifest(corpus.folder)
    test = manifest.sessions["split"] == "test"
    manifest.sessions.loc[test, "label"] = 1 - manifest.sessions.loc[test, "label"]
    write_manifest(manifest, tmp_path / "flipped")
    settings = [*AUDIO, "training.epochs=4", "training.patience=2", "training.monitor=auroc"]
    one = train_run(corpus, tmp_path / "one", *settings)
    two = train_run(corpus, tmp_path / "two", *settings, f"data.manifest={tmp_path / 'flipped'}")
    # up to rounding; an influence would change all of these by more than 1e-3
    assert_same_weights(read_weights(one), read_weights(two), atol=1e-5)
    a, b = (pd.read_parquet(run.predictions) for run in (one, two))
    np.testing.assert_allclose(a["y_prob"], b["y_prob"], rtol=0, atol=1e-5)
    assert (a["y_true"] != b["y_true"]).tolist() == test.tolist()
    pd.testing.assert_frame_equal(read_history(one), read_history(two), rtol=0, atol=1e-5)
    thresholds = [apply_threshold(table)["threshold"] for table in (a, b)]
    np.testing.assert_allclose(*thresholds, rtol=0, atol=1e-5)


def test_a_training_that_diverges_in_its_last_step_is_not_finished(corpus, tmp_path):
    settings = ["training.learning_rate=1.0e+38", "training.schedule=constant"]
    once = ["training={epochs: 1, batch_size: 16, optimizer: sgd, warmup_epochs: 0.0}", *settings]
    with pytest.raises(TrainingError) as info:
        train_run(corpus, tmp_path, *AUDIO, *once)
    assert info.value.setting == "training.learning_rate"
    assert not RunFolder(tmp_path).finished


def test_training_stops_without_improvement_and_keeps_the_best_epoch(corpus, tmp_path, log):
    constant = [*AUDIO, "training.learning_rate=1.0e-12", "training.monitor=auroc"]
    limits = ["training.epochs=9", "training.patience=2"]
    run = train_run(corpus, tmp_path, *constant, *limits)
    assert len(read_history(run)) == 3
    assert "stopped: no improvement for 2 epochs" in log.messages
    assert log.messages[-1].endswith("best epoch 1, predictions written")


def test_training_stops_when_the_training_loss_no_longer_falls(corpus, tmp_path, monkeypatch, log):
    recorded = []

    def record(losses, *arguments):
        recorded.append(losses)
        return count_steps_without_decrease(losses, *arguments)

    monkeypatch.setattr(loop, "count_steps_without_decrease", record)
    constant = [*AUDIO, "training.learning_rate=1.0e-12", "training.batch_size=2"]
    limits = ["training.epochs=9", "training.patience=null", "training.patience_steps=2"]
    run = train_run(corpus, tmp_path, *constant, *limits)
    assert "stopped: no lower training loss for 2 optimizer steps" in log.messages
    losses = np.concatenate(recorded)
    waited = [step - int(losses[: step + 1].argmin()) for step in range(len(losses))]
    assert len(read_history(run)) == waited.index(2) // 3 + 1  # three steps in an epoch


def test_phases_freeze_encoders_and_search_learning_rates(corpus, tmp_path, log):
    phases = (
        "training.phases=[{epochs: 2, freeze_encoders: true, learning_rate: 0.01}, "
        "{epochs: 1, learning_rate: find}]"
    )
    settings = [*AUDIO, phases, "training.epochs=3", "training.batch_size=6"]
    run = train_run(corpus, tmp_path / "both-phases", *settings)
    assert sum("learning rate found" in line for line in log.messages) == 1
    rates = read_history(run)["learning_rate"].tolist()
    assert rates[0] <= 0.01
    assert len(rates) == 3
    # only the head is trained in the first phase
    first_phase = train_run(
        corpus,
        tmp_path / "first-phase",
        *AUDIO,
        "training.epochs=2",
        "training.phases=[{epochs: 2, freeze_encoders: true, learning_rate: 0.01}]",
    )
    torch.manual_seed(0)
    new = build_model(load_config(corpus.config, AUDIO).model).state_dict()
    weights = read_weights(first_phase)
    changed = {name for name, value in weights.items() if not value.equal(new[name])}
    assert any(name.startswith("fusion.") for name in changed)
    encoders = {name for name in changed if name.startswith("encoders.")}
    assert all("running" in name or "num_batches" in name for name in encoders)


@pytest.mark.slow
def test_a_training_with_learning_rate_searches_is_resumed_exactly(corpus, tmp_path, monkeypatch):
    phases = (
        "training.phases=[{epochs: 1, freeze_encoders: true, learning_rate: find}, "
        "{epochs: 2, learning_rate: find}]"
    )
    settings = [*AUDIO, phases, "training.epochs=3", "training.batch_size=6"]
    expected = train_run(corpus, tmp_path / "uninterrupted", *settings)
    for stop_after in (1, 2):
        out = tmp_path / f"stopped-{stop_after}"
        with monkeypatch.context() as patch:
            interrupt(patch, "format_epoch", stop_after)
            with pytest.raises(KeyboardInterrupt):
                train_run(corpus, out, *settings)
        assert_same_run(train_run(corpus, out, *settings), expected)


@pytest.mark.parametrize("output", ["number", "classes", "ordinal"])
@pytest.mark.parametrize("kind", ["severity", "levels"])
def test_scores_and_levels_train_and_predict(corpus, tmp_path, kind, output):
    target = f"target={{kind: {kind}, column: score, output: {output}}}"
    run = train_run(corpus, tmp_path, *AUDIO, "training.epochs=1", target)
    table = pd.read_parquet(run.predictions)
    highest = 63 if kind == "severity" else 3
    assert table["score_pred"].between(0, highest).all()
    score = corpus.manifest.sessions.set_index("subject")["score"][table["subject"]].to_numpy()
    expected = score if kind == "severity" else np.digitize(score, [14, 20, 29])
    np.testing.assert_array_equal(table["score"], expected)
    assert set(table["instrument"]) == {"BDI-II" if kind == "severity" else "BDI-II level"}


def test_a_score_without_an_instrument_needs_a_range(corpus, tmp_path):
    age = ["training.epochs=1", "target={kind: severity, column: age, range: [18, 70]}"]
    table = pd.read_parquet(train_run(corpus, tmp_path, *AUDIO, *age).predictions)
    assert set(table["instrument"]) == {"age"}
    assert table["score_pred"].between(18, 70).all()
    narrow = ["target={kind: severity, column: age, range: [18, 19]}", "name=narrow"]
    with pytest.raises(DataError) as info:
        train_run(corpus, tmp_path, *AUDIO, *narrow)
    assert (info.value.setting, info.value.column) == ("target.range", "age")
    levels = ["target={kind: levels, column: age}", "name=levels"]
    with pytest.raises(DataError) as info:
        train_run(corpus, tmp_path, *AUDIO, *levels)
    assert (info.value.setting, info.value.value) == ("target.kind", "levels")
