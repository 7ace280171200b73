"""training: it learns, it resumes where it stood, and processes or parts change nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from imitated_gpu import CudaAutocast
from safetensors.torch import load_file
from torch import nn
from trained_weights import assert_same_weights

from depmm.config import ConfigError, TrainingConfig, load_config
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.epoch_plan import plan_epoch
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.evaluation.thresholds import apply_threshold
from depmm.models.heads import BinaryHead, SeverityHead
from depmm.models.model import DepressionModel, DepressionOutput, build_model
from depmm.runs.folder import RunFolder, model_folders, read_run
from depmm.training import loop
from depmm.training.checkpoint import load_optimizer, save_checkpoint
from depmm.training.learning_rate_search import LearningRateError, search_learning_rate, steepest
from depmm.training.loop import build_accelerator, train
from depmm.training.losses import batch_loss, session_weights
from depmm.training.optim import (
    build_optimizer,
    parameter_groups,
    plateau_factor,
    schedule_factor,
)

ROOT = Path(__file__).parents[2]
MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"
FIXED = ["model.fusion.dropout=0.0", "model.fusion.fusion_weights=fixed"]
AUDIO = ["data.modalities=[audio]", "model.encoders.face=null", MEAN_POOL]
RANDOM = [
    "data.augment={keep_steps: 0.5, modality_dropout: 0.3, gain_db: 3.0, noise: 0.1, flip: true}"
]


@pytest.fixture
def own_accelerator():
    """For another precision: a process has one state of the accelerator, and keeps it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


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
    """Up to rounding, but for the clock.

    Not to the bit: NumPy puts a batch at any address, which may decide which kernel runs. Other
    draws or a lost state of the optimizer change a loss by more than 1e-3.
    """
    pd.testing.assert_frame_equal(history(one), history(two), rtol=0, atol=1e-5)
    assert_same_weights(weights(one), weights(two))
    tables = [pd.read_parquet(folder.predictions) for folder in (one, two)]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)


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
        *(
            "y_true",
            "y_prob",
            "score",
            "score_pred",
            "instrument",
            "gender",
            "age",
            "duration_s",
            "n_steps",
        ),
    ]
    own = corpus.manifest.sessions
    for column, known in (("session", "session"), ("split", "split"), ("y_true", "label")):
        assert table[column].tolist() == own[known].tolist()  # one row a session
    assert table["y_prob"].between(0, 1).all()
    assert table[["score", "score_pred"]].isna().all(axis=None)

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
    # nor does a run of a version that did not know a setting hold another config
    content = yaml.safe_load(folder.config.read_text())
    del content["data"]["steps"]
    folder.config.write_text(yaml.safe_dump(content))
    before[folder.config] = folder.config.stat().st_mtime_ns
    run(corpus, tmp_path, *AUDIO, "training.epochs=1", say=said.append)
    assert said[1] == said[0]
    with pytest.raises(ConfigError, match=r"holds a run of another config .*choose another name"):
        run(corpus, tmp_path, *AUDIO, "training.epochs=2")
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    split = folder.split  # written again, with the same content
    assert before.keys() == after.keys()
    assert {path for path in before if before[path] != after[path]} <= {split}


@pytest.mark.usefixtures("own_accelerator")
@pytest.mark.parametrize(
    "changes",
    [
        [],
        [MEAN_POOL],
        ["training.phases=[{epochs: 4, learning_rate: .01}, {epochs: 4, learning_rate: .01}]"],
    ],
)
def test_half_precision_learns_as_a_gpu_would_compute_it(corpus, tmp_path, changes):
    with CudaAutocast():
        folder = run(
            corpus, tmp_path / "run", *changes, "training.mixed_precision=bf16", "training.epochs=8"
        )
    losses = history(folder)["train_loss"]
    assert losses.iloc[-2:].mean() < 0.7 * losses.iloc[:2].mean()
    assert all(tensor.dtype == torch.float32 for tensor in weights(folder).values())
    # what is written is what anybody gets who loads the model, in full precision
    written = pd.read_parquet(folder.predictions)["y_prob"]
    model = DepressionModel.from_pretrained(folder.path)
    data = load_experiment_data(load_config(folder.config))
    again = predict_sessions(model, data.dataset, list(range(len(written))), 4)
    # up to rounding at other addresses; half precision would be about 1e-3 off
    np.testing.assert_allclose(again["prediction"], written, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("own_accelerator")
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes in fp16")
def test_a_precision_that_a_cpu_does_not_have_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"training.mixed_precision: fp16 needs a GPU"):
        run(corpus, tmp_path / "run", "training.mixed_precision=fp16")
    assert not (tmp_path / "run").exists()


def test_severity_run(corpus, tmp_path):
    folder = run(corpus, tmp_path, *AUDIO, "target={kind: severity, column: score}")
    table = pd.read_parquet(folder.predictions)
    assert table["score_pred"].between(0, 63).all()
    assert table["score"].tolist() == corpus.manifest.sessions["score"].tolist()
    assert table[["y_true", "y_prob"]].isna().all(axis=None)
    assert "val_rmse" in history(folder)


# ---- resume ------------------------------------------------------------------------------------


LONG = [*RANDOM, "training.epochs=3", "training.gradient_accumulation_steps=2"]


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> RunFolder:
    """A run that nobody interrupted."""
    return run(corpus, tmp_path_factory.mktemp("whole"), *LONG)


def interrupt(patch: pytest.MonkeyPatch, place: str, count: int) -> None:
    """Ctrl-C where a function of the loop is called for the ``count``-th time."""
    call, calls = getattr(loop, place), []

    def stop(*arguments, **options):
        calls.append(arguments)
        if len(calls) == count:
            raise KeyboardInterrupt
        return call(*arguments, **options)

    patch.setattr(loop, place, stop)


@pytest.mark.parametrize("place", ["_line", "validate", "finish"])
def test_interrupted_run_ends_as_one_that_was_not(corpus, whole, tmp_path, monkeypatch, place):
    """Stopped in epoch 2 after its checkpoint, in epoch 3 before it, or before the predictions."""
    with monkeypatch.context() as patch:
        interrupt(patch, place, {"_line": 2, "validate": 3, "finish": 1}[place])
        with pytest.raises(KeyboardInterrupt):
            run(corpus, tmp_path, *LONG)
    assert not RunFolder(tmp_path).finished
    said: list[str] = []
    folder = run(corpus, tmp_path, *LONG, say=said.append)
    assert f"{tmp_path}: goes on after epoch {3 if place == 'finish' else 2}" in said
    assert_same_run(folder, whole)
    assert not folder.checkpoints.exists()


def test_all_of_a_fused_optimizer_goes_where_its_parameters_are(tmp_path):
    model, path = nn.Linear(3, 2), tmp_path / "last.safetensors"
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(path, model, optimizer, {})
    elsewhere = nn.Linear(3, 2).to("meta")  # stands for a GPU
    moved = torch.optim.AdamW(elsewhere.parameters())
    moved.param_groups[0]["fused"] = True
    load_optimizer(path, elsewhere, moved)
    state = [value for own in moved.state.values() for value in own.values()]
    assert len(state) == 6
    assert all(value.device.type == "meta" for value in state)


# ---- nothing but the mathematics ---------------------------------------------------------------


def test_parts_of_a_batch_add_up(corpus, tmp_path):
    slow = [*FIXED, "training.epochs=1", "training.learning_rate=2.0e-4"]
    one, two = (
        weights(run(corpus, tmp_path / n, *slow, f"training.gradient_accumulation_steps={n}"))
        for n in "12"
    )
    torch.manual_seed(0)
    start = build_model(load_config(corpus.config, slow).model).state_dict()
    assert max((one[name] - start[name]).abs().max() for name in one) > 2e-4  # two full steps
    assert_same_weights(one, two, atol=1e-5)


@pytest.mark.slow
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
    # up to rounding: a label that counts moves all of these by more than 1e-3
    assert_same_weights(weights(one), weights(two), atol=1e-5)
    a, b = (pd.read_parquet(folder.predictions) for folder in (one, two))
    np.testing.assert_allclose(a["y_prob"], b["y_prob"], rtol=0, atol=1e-5)
    assert (a["y_true"] != b["y_true"]).tolist() == tested.tolist()
    pd.testing.assert_frame_equal(history(one), history(two), rtol=0, atol=1e-5)
    thresholds = [apply_threshold(table)["threshold"] for table in (a, b)]
    np.testing.assert_allclose(*thresholds, rtol=0, atol=1e-5)


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
    assert batch_loss(BinaryHead(), output, target, share, 0.5).item() == pytest.approx(
        expected, rel=1e-5
    )
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
    assert {"encoders.audio.convolutions.0.weight", "fusion.output_layers.cross.weight"} <= set(
        found[0]
    )
    assert any("gate_logit" in name for name in found[1])
    first = next(model.parameters()).requires_grad_(False)
    settings = TrainingConfig(weight_decay=0.05)
    groups = build_optimizer(model, settings).param_groups
    assert not any(parameter is first for group in groups for parameter in group["params"])


def test_warmup_then_cosine_by_hand():
    settings = TrainingConfig(schedule="cosine")
    factors = [schedule_factor(settings, step, 4, 12, []) for step in range(13)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    expected = [0.5 * (1 + np.cos(np.pi * k / 8)) for k in range(9)]
    assert factors[4:] == pytest.approx(expected)
    assert schedule_factor(settings, 20, 4, 12, []) == pytest.approx(0, abs=1e-12)
    assert schedule_factor(settings, 0, 0, 10, []) == 1


def test_inverse_decay_is_caffes():
    settings = TrainingConfig(schedule="inverse", inverse_gamma=1e-4, inverse_power=0.75)
    assert schedule_factor(settings, 10_000, 0, 1, []) == pytest.approx(2**-0.75)
    assert schedule_factor(settings, 0, 0, 1, []) == 1
    assert schedule_factor(TrainingConfig(schedule="constant"), 7, 0, 1, []) == 1


def test_plateau_is_that_of_torch():
    losses = [3.0, 2.0, 2.1, 2.0, 2.2, 1.9, 2.0, 2.5, 1.95, 1.9, 1.8]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    # theirs allows `patience` epochs without gain and acts at the next one
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0
    )
    for count, loss in enumerate(losses, start=1):
        reference.step(loss)
        ours = plateau_factor(losses[:count], factor=0.5, patience=3)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours == 0.25
    settings = TrainingConfig(schedule="plateau", plateau_factor=0.5, plateau_patience=3)
    assert schedule_factor(settings, 9, 0, 20, losses) == 0.25


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD), ("rmsprop", torch.optim.RMSprop)],
)
def test_optimizers(name, kind):
    model = torch.nn.Linear(2, 2)
    optimizer = build_optimizer(model, TrainingConfig(optimizer=name, weight_decay=0.003))
    assert type(optimizer) is kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.003, 0.0]
    if name == "sgd":
        assert optimizer.param_groups[0]["momentum"] == 0.9


# ---- the learning rate is searched ---------------------------------------------------------------


def test_the_steepest_place_by_hand():
    rates = np.geomspace(1e-6, 1, 61)
    fall = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # a sigmoid around 1e-3
    losses = np.where(rates > 0.1, 5.0, fall).tolist()
    assert np.log10(steepest(rates, losses)) == pytest.approx(-3, abs=0.06)
    with pytest.raises(LearningRateError, match=r"began with 1, 2, 3.*give training.learning_rate"):
        steepest(rates[:8], [1.0, 2, 3, 4, 5, 6, 7, 8])
    with pytest.raises(LearningRateError, match="no learning rate"):
        steepest([], [])


def test_search_on_a_bowl_finds_a_rate_that_descends():
    # loss x^2 / 2: a step multiplies x by 1 - rate; nothing moves far below 1, all explodes above 2
    x = [1.0]

    def take_step(rate: float) -> float:
        loss = x[0] ** 2 / 2
        x[0] -= 1000 * rate * x[0]  # curvature 1000: explodes from 2e-3 on
        return loss

    rate = search_learning_rate(take_step)
    assert 1e-5 < rate < 2e-3


def test_an_easy_first_batch_does_not_end_the_search():
    # of a model that knows most of its people: a batch is easy or hard, whatever the rate
    x, count = [1.0], [0]

    def take_step(rate: float) -> float:
        loss = 0.05 * x[0] ** 2 + (0.03 if count[0] == 0 else 0.3)
        count[0] += 1
        x[0] -= 1000 * rate * x[0]
        return loss

    assert 1e-5 < search_learning_rate(take_step) < 2e-3
    assert count[0] > 30


def test_phases_freeze_search_and_go_on(corpus, tmp_path):
    said: list[str] = []
    phases = (
        "training.phases=[{epochs: 2, freeze_encoders: true, learning_rate: 0.01}, "
        "{epochs: 1, learning_rate: find}]"
    )
    settings = [*AUDIO, phases, "training.epochs=3", "training.batch_size=6"]
    whole = run(corpus, tmp_path / "whole", *settings, say=said.append)
    assert sum("learning rate found" in line for line in said) == 1
    rates = history(whole)["learning_rate"].tolist()
    assert rates[0] <= 0.01
    assert len(rates) == 3
    # the head alone learned in the first phase
    early = run(
        corpus,
        tmp_path / "early",
        *AUDIO,
        "training.epochs=2",
        "training.phases=[{epochs: 2, freeze_encoders: true, learning_rate: 0.01}]",
    )
    torch.manual_seed(0)
    fresh = build_model(load_config(corpus.config, AUDIO).model).state_dict()
    learned = weights(early)
    changed = {name for name, value in learned.items() if not torch.equal(value, fresh[name])}
    assert any(name.startswith("fusion.") for name in changed)
    encoders = {name for name in changed if name.startswith("encoders.")}
    assert all("running" in name or "num_batches" in name for name in encoders)


@pytest.mark.slow
def test_a_search_changes_no_weights_and_resumes_where_it_stood(corpus, tmp_path, monkeypatch):
    phases = (
        "training.phases=[{epochs: 1, freeze_encoders: true, learning_rate: find}, "
        "{epochs: 2, learning_rate: find}]"
    )
    settings = [*AUDIO, phases, "training.epochs=3", "training.batch_size=6"]
    whole = run(corpus, tmp_path / "whole", *settings)
    for stop_after in (1, 2):
        out = tmp_path / f"stopped-{stop_after}"
        with monkeypatch.context() as patch:
            interrupt(patch, "_line", stop_after)
            with pytest.raises(KeyboardInterrupt):
                run(corpus, out, *settings)
        again = run(corpus, out, *settings)
        assert_same_run(again, whole)


def test_weights_that_know_a_tested_person_are_refused(corpus, tmp_path):
    first = run(corpus, tmp_path / "first", *AUDIO, "training.epochs=1", "name=first")
    deal = "split={kind: k_fold, folds: 3}"
    begin = (*AUDIO, "training.epochs=1", deal, f"training.init_from={first.path}")
    split = pd.read_csv(first.split, dtype="str")
    learned = set(split.loc[split["split"] != "test", "subject"])
    with pytest.raises(ValueError, match=r"know them\. Give both runs one split") as told:
        run(corpus, tmp_path / "second", *begin)
    named = re.search(r"\((.*?)\)", str(told.value))[1].split(" and ")[0].split(", ")
    assert {name.split("/")[1] for name in named} <= learned
    # nor through a run between them
    between = run(
        corpus, tmp_path / "between", *AUDIO, "training.epochs=1",
        f"training.init_from={first.path}", "name=between",
    )  # fmt: skip
    split.assign(subject="other-" + split["subject"]).to_csv(between.split, index=False)
    second = (*AUDIO, "training.epochs=1", deal, f"training.init_from={between.path}")
    with pytest.raises(ValueError, match="its weights know them"):
        run(corpus, tmp_path / "third", *second)
    # who cannot be asked does not stop anybody
    first.split.unlink()
    said: list[str] = []
    run(corpus, tmp_path / "fourth", *begin, say=said.append)
    assert any("does not say whom it has learned from" in line for line in said)


def test_carrying_over_another_run(corpus, tmp_path):
    first = run(corpus, tmp_path / "first", *AUDIO, "training.epochs=1", "name=first")
    said: list[str] = []
    second = run(
        corpus,
        tmp_path / "second",
        *AUDIO,
        "training.epochs=1",
        "training.learning_rate=1.0e-12",
        "target={kind: severity, column: score, output: classes}",
        f"training.init_from={first.path}",
        say=said.append,
    )
    before, after = (weights(folder) for folder in (first, second))
    name = next(name for name in before if name.startswith("encoders.") and "weight" in name)
    torch.testing.assert_close(before[name], after[name], atol=1e-8, rtol=0)
    report = json.loads((second.path / "carried_over.json").read_text())[0]
    assert name in report["matched"]
    assert all(name.startswith("fusion.output_layers") for name in report["mismatched"])
    assert report["mismatched"]
    assert any("tensors loaded" in line for line in said)
    told = f"training.init_from: {first.path} has learned from nobody who is tested or chosen from"
    assert any(line.startswith(told) for line in said)


# ---- tasks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["number", "classes", "ordinal"])
@pytest.mark.parametrize("kind", ["severity", "levels"])
def test_scores_and_levels_train_and_predict(corpus, tmp_path, kind, output):
    task = f"target={{kind: {kind}, column: score, output: {output}}}"
    folder = run(corpus, tmp_path, *AUDIO, "training.epochs=1", task)
    table = pd.read_parquet(folder.predictions)
    highest = 63 if kind == "severity" else 3
    assert table["score_pred"].between(0, highest).all()
    manifest = corpus.manifest.sessions.set_index("subject")["score"][table["subject"]].to_numpy()
    expected = manifest if kind == "severity" else np.digitize(manifest, [14, 20, 29])
    np.testing.assert_array_equal(table["score"], expected)
    assert set(table["instrument"]) == {"BDI-II" if kind == "severity" else "BDI-II level"}


def test_a_score_of_no_instrument_needs_a_range(corpus, tmp_path):
    age = ["training.epochs=1", "target={kind: severity, column: age, range: [18, 70]}"]
    table = pd.read_parquet(run(corpus, tmp_path, *AUDIO, *age).predictions)
    assert set(table["instrument"]) == {"age"}
    assert table["score_pred"].between(18, 70).all()
    narrow = ["target={kind: severity, column: age, range: [18, 19]}", "name=narrow"]
    with pytest.raises(DataError) as info:
        run(corpus, tmp_path, *AUDIO, *narrow)
    assert (info.value.setting, info.value.column) == ("target.range", "age")
    levels = ["target={kind: levels, column: age}", "name=levels"]
    with pytest.raises(DataError) as info:
        run(corpus, tmp_path, *AUDIO, *levels)
    assert (info.value.setting, info.value.value) == ("target.kind", "levels")


def test_balanced_drawing_shows_both_classes_equally_often():
    classes = [1.0] * 9 + [0.0] * 3
    plan = plan_epoch([1.0] * 12, 4, epoch=3, seed=0, classes=classes)
    drawn = [number for share in plan for number in share.indices]
    assert sum(classes[number] for number in drawn) == 6
    assert len(drawn) == 12
    assert set(drawn) >= {9, 10, 11}  # each of the rare ones, twice
    assert plan != plan_epoch([1.0] * 12, 4, epoch=4, seed=0, classes=classes)
