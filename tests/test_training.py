"""training: it learns, it resumes bit for bit, and processes or parts change nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from depmm.config import ConfigError, load_config
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.models.heads import BinaryHead, SeverityHead
from depmm.models.model import DepressionModel, DepressionOutput, build_model
from depmm.training import loop
from depmm.training.loop import build_accelerator, train
from depmm.training.losses import batch_loss, session_weights
from depmm.training.optim import build_optimizer, parameter_groups, warmup_cosine
from depmm.training.run_folder import RunFolder, model_folders, read_run

ROOT = Path(__file__).parents[1]
MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"
FIXED = ["model.fusion.dropout=0.0", "model.fusion.fusion_weights=fixed"]
AUDIO = ["data.modalities=[audio]", "model.encoders.face=null", MEAN_POOL]
RANDOM = ["data.augment={min_steps: 0.5, drop_modality: 0.3, gain_db: 3.0, noise: 0.1, flip: true}"]


def run(corpus, path: Path, *overrides: str, say=lambda line: None) -> RunFolder:
    config = load_config(corpus.config, list(overrides))
    folder = RunFolder(path)
    train(config, folder, build_accelerator(config), say)
    return folder


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.path / "model.safetensors")


def history(folder: RunFolder) -> pd.DataFrame:
    return pd.read_parquet(folder.history).drop(columns="seconds")


def assert_same_run(one: RunFolder, two: RunFolder) -> None:
    """Bit for bit, but for the clock."""
    pd.testing.assert_frame_equal(history(one), history(two), check_exact=True)
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    tables = [pd.read_parquet(folder.predictions) for folder in (one, two)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


# ---- one run -----------------------------------------------------------------------------------


def test_run_learns_and_leaves_what_is_needed(corpus, tmp_path):
    said: list[str] = []
    folder = run(corpus, tmp_path / "run", *FIXED, "training.epochs=8", say=said.append)
    losses = history(folder)["train_loss"]
    assert len(losses) == 8
    assert losses.iloc[-2:].mean() < 0.5 * losses.iloc[:2].mean()
    assert said[0] == "1 process on cpu"
    assert "train: 6 sessions of 6 people" in said
    assert sum(line.startswith("epoch") for line in said) == 8

    table = pd.read_parquet(folder.predictions)
    assert table.columns.tolist() == [
        *("corpus", "subject", "session", "split", "fold", "seed"),
        *("y_true", "y_prob", "score_true", "score", "gender", "instrument"),
    ]
    own = corpus.manifest.sessions
    for column, known in (("session", "session"), ("split", "split"), ("y_true", "label")):
        assert table[column].tolist() == own[known].tolist()  # one row a session
    assert table["y_prob"].between(0, 1).all()
    assert table[["score", "score_true"]].isna().all(axis=None)

    content = {path.name for path in folder.path.rglob("*") if path.is_file()}
    events = {name for name in content if name.startswith("events.out")}
    assert content - events == {
        *("config.yaml", "config.json", "environment.json", "split.csv", "model.safetensors"),
        *("history.parquet", "predictions.parquet"),
    }
    for path in folder.path.rglob("*"):  # a zip is what torch.save writes, \x80 begins a pickle
        if path.is_file() and path.suffix != ".safetensors":
            assert not path.read_bytes().startswith((b"PK", b"\x80"))

    state = DepressionModel.from_pretrained(folder.path).state_dict()
    for name, value in weights(folder).items():
        assert torch.equal(state[name], value)
    assert model_folders(folder.path)[0].path == folder.path
    assert read_run(folder.path).bootstrap == 100


def test_finished_run_is_left_alone_and_another_config_refused(corpus, tmp_path):
    folder = run(corpus, tmp_path, *AUDIO, "training.epochs=1")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    said: list[str] = []
    run(corpus, tmp_path, *AUDIO, "training.epochs=1", say=said.append)
    assert said == [f"{folder.path}: finished before, nothing to do"]
    with pytest.raises(ConfigError, match=r"holds a run of another config .*choose another name"):
        run(corpus, tmp_path, *AUDIO, "training.epochs=2")
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    split = folder.split  # written again, with the same content
    assert before.keys() == after.keys()
    assert {path for path in before if before[path] != after[path]} <= {split}


def test_severity_run(corpus, tmp_path):
    folder = run(corpus, tmp_path, *AUDIO, "task={kind: severity, column: score}")
    table = pd.read_parquet(folder.predictions)
    assert table["score"].between(0, 63).all()
    assert table["score_true"].tolist() == corpus.manifest.sessions["score"].tolist()
    assert table[["y_true", "y_prob"]].isna().all(axis=None)
    assert "val_rmse" in history(folder)


# ---- resume ------------------------------------------------------------------------------------


LONG = [*RANDOM, "training.epochs=3", "training.accumulate=2"]


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> RunFolder:
    """A run that nobody interrupted."""
    return run(corpus, tmp_path_factory.mktemp("whole"), *LONG)


@pytest.mark.parametrize("place", ["_line", "validate", "finish"])
def test_interrupted_run_ends_as_one_that_was_not(corpus, whole, tmp_path, monkeypatch, place):
    """Stopped in epoch 2 after its checkpoint, in epoch 3 before it, or before the predictions."""
    call, calls = getattr(loop, place), []

    def stop(*arguments, **options):
        calls.append(arguments)
        if len(calls) == {"_line": 2, "validate": 3, "finish": 1}[place]:
            raise KeyboardInterrupt
        return call(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, place, stop)
        with pytest.raises(KeyboardInterrupt):
            run(corpus, tmp_path, *LONG)
    assert not RunFolder(tmp_path).finished
    said: list[str] = []
    folder = run(corpus, tmp_path, *LONG, say=said.append)
    assert f"{tmp_path}: goes on after epoch {3 if place == 'finish' else 2}" in said
    assert_same_run(folder, whole)
    assert not folder.checkpoints.exists()


# ---- nothing but the mathematics ---------------------------------------------------------------


def test_parts_of_a_batch_add_up(corpus, tmp_path):
    slow = [*FIXED, "training.epochs=1", "training.learning_rate=2.0e-4"]
    one, two = (weights(run(corpus, tmp_path / n, *slow, f"training.accumulate={n}")) for n in "12")
    torch.manual_seed(0)
    start = build_model(load_config(corpus.config, slow).model).state_dict()
    assert max((one[name] - start[name]).abs().max() for name in one) > 2e-4  # two full steps
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)


def test_two_processes_are_as_good_as_one(corpus, tmp_path):
    settings = [*AUDIO, "training.epochs=2", "training.batch_size=5"]  # the last batch is one
    alone = run(corpus, tmp_path / "alone", *settings)
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
    assert done.stdout.count("epoch   1/2") == 1  # the main process speaks for all
    two = RunFolder(tmp_path / "two")
    a, b = (pd.read_parquet(folder.predictions) for folder in (alone, two))
    assert not b.duplicated(["corpus", "subject", "session"]).any()
    pd.testing.assert_frame_equal(a, b, rtol=0, atol=1e-4)
    pd.testing.assert_frame_equal(history(alone), history(two), rtol=0, atol=1e-4)


def test_test_people_decide_nothing(corpus, tmp_path):
    manifest = read_manifest(corpus.folder)
    tested = manifest.sessions["split"] == "test"
    manifest.sessions.loc[tested, "label"] = 1 - manifest.sessions.loc[tested, "label"]
    write_manifest(manifest, tmp_path / "flipped")
    settings = [*AUDIO, "training.epochs=4", "training.patience=2", "training.monitor=auroc"]
    one = run(corpus, tmp_path / "one", *settings)
    two = run(corpus, tmp_path / "two", *settings, f"data.manifest={tmp_path / 'flipped'}")
    files = [(folder.path / "model.safetensors").read_bytes() for folder in (one, two)]
    assert files[0] == files[1]
    a, b = (pd.read_parquet(folder.predictions) for folder in (one, two))
    assert a["y_prob"].tolist() == b["y_prob"].tolist()
    assert (a["y_true"] != b["y_true"]).tolist() == tested.tolist()


def test_stops_when_validation_gains_no_more_and_keeps_the_best(corpus, tmp_path):
    said: list[str] = []
    still = [*AUDIO, "training.learning_rate=1.0e-12", "training.monitor=auroc"]
    limits = ["training.epochs=9", "training.patience=2"]
    folder = run(corpus, tmp_path, *still, *limits, say=said.append)
    assert len(history(folder)) == 3
    assert "no gain on validation for 2 epochs: stopped" in said
    assert said[-1].endswith("best epoch 1, predictions written")


def test_class_weights_by_hand():
    np.testing.assert_allclose(session_weights([1, 1, 1, 0], True), [2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_array_equal(session_weights([1, 1, 1, 0], False), np.ones(4))
    np.testing.assert_array_equal(session_weights([3.5, 0, 63], True), np.ones(3))  # scores
    np.testing.assert_array_equal(session_weights([1, 1], True), np.ones(2))


def test_batch_loss_by_hand():
    output = DepressionOutput(
        logits=torch.tensor([[0.0], [2.0]]),
        step_logits=torch.tensor([[[1.0], [9.0]], [[-1.0], [3.0]]]),
        step_mask=torch.tensor([[True, False], [True, True]]),
    )
    target, share = torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75])
    own = np.log(2), np.log1p(np.exp(2))
    steps = np.log1p(np.exp(-1)), (np.log1p(np.exp(-1)) + np.log1p(np.exp(3))) / 2
    expected = 0.25 * (own[0] + 0.5 * steps[0]) + 0.75 * (own[1] + 0.5 * steps[1])
    assert batch_loss(BinaryHead(), output, target, share, 0.5).item() == pytest.approx(expected)
    head = SeverityHead(0, 10)  # logit 0 is a score of 5
    output = DepressionOutput(logits=torch.zeros(2, 1), step_mask=output.step_mask)
    expected = 0.25 * 0.4**2 + 0.75 * 0.5**2
    loss = batch_loss(head, output, torch.tensor([1.0, 0.0]), share, 1.0)
    assert loss.item() == pytest.approx(expected)


def test_parameter_groups_by_name(corpus):
    model = build_model(load_config(corpus.config).model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, free = parameter_groups(model, 0.05)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    found = [[names[id(p)] for p in group["params"]] for group in (decayed, free)]
    assert sorted(found[0] + found[1]) == sorted(names.values())
    for part in ("bias", "norm", "gate_logit"):
        assert not [name for name in found[0] if part in name]
    assert {"encoders.audio.convolutions.0.weight", "fusion.predict.cross.weight"} <= set(found[0])
    assert any("gate_logit" in name for name in found[1])
    first = next(model.parameters()).requires_grad_(False)
    groups = build_optimizer(model, 0.1, 0.05).param_groups
    assert not any(parameter is first for group in groups for parameter in group["params"])


def test_warmup_cosine_by_hand():
    factors = [warmup_cosine(step, 4, 12) for step in range(13)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    expected = [0.5 * (1 + np.cos(np.pi * k / 8)) for k in range(9)]
    assert factors[4:] == pytest.approx(expected)
    assert warmup_cosine(20, 4, 12) == warmup_cosine(12, 4, 12) == 0
    assert warmup_cosine(0, 0, 10) == 1
