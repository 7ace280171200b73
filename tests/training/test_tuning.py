"""Nested selection: inner folds choose, and nobody whom the outer fold tests takes part."""

import dataclasses
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from accelerate import Accelerator
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from trained_weights import assert_same_weights

from depmm.config import load_experiment
from depmm.corpora.manifest import Manifest, read_manifest, write_manifest
from depmm.corpora.splits import SplitError
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.metrics import METRICS
from depmm.runs.folder import RunFolder, read_run
from depmm.training import tuning as selection
from depmm.training.tuning import (
    TuningError,
    choose,
    fit,
    manifest_without_tested,
    measure,
    select,
)

SCRIPTS = Path(__file__).parents[2] / "experiments"
AUDIO = ["data.modalities=[audio]"]
SVM = [
    *(*AUDIO, "model=null", "training=null"),
    "classical={classifier: svm, n_mfcc: 8, n_mels: 16}",
]
NETWORK = [
    *(*AUDIO, "model.encoders.face=null", "model.fusion={kind: mean_pool, dropout: 0.0}"),
    "training.epochs=1",
]
GRID = "tuning={metric: auroc, folds: 2, grid: {classical.n_mfcc: [2, 8]}}"
RATES = "tuning={metric: auroc, folds: 2, grid: {training.learning_rate: [1.0e-12, 1.0e-2]}}"
KINDS = {"classical": [*SVM, GRID], "network": [*NETWORK, RATES]}


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch):
    """Accelerate asks for it twice a training, which takes longer here than the training."""
    monkeypatch.setattr("accelerate.utils.memory.gc.collect", lambda: 0)


def cross_validate(corpus, *overrides: str, seeds: tuple[int, ...] = (0,)) -> None:
    """What experiments/cross_validate.py runs."""
    script = runpy.run_path(str(SCRIPTS / "cross_validate.py"))
    script["cross_validate"](str(corpus.config), list(overrides), list(seeds))


def fold_of(corpus, *overrides: str):
    return load_experiment(corpus.config, list(overrides))


@pytest.fixture(scope="module")
def nested(corpus, tmp_path_factory) -> RunFolder:
    """An SVM that chose its settings, in the official split."""
    out = tmp_path_factory.mktemp("nested")
    cross_validate(corpus, *KINDS["classical"], f"out={out}")
    return RunFolder(out / "tiny")


# ---- the config --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("auroq", "{kind: binary}", "'auroq' cannot choose .* use one of balanced_accuracy, auroc"),
        ("rmse", "{kind: binary}", "'rmse' cannot choose settings of target.kind binary"),
        ("auroc", "{kind: severity, column: score}", "severity: use one of rmse"),
        ("recall", "{kind: binary}", "'recall' cannot choose"),  # best for "always positive"
    ],
)
def test_a_metric_that_cannot_choose_is_refused(corpus, tmp_path, name, task, said):
    config = fold_of(corpus, *KINDS["network"], f"tuning.metric={name}", f"target={task}")
    with pytest.raises(TuningError, match=said):
        select(config, RunFolder(tmp_path), Accelerator())
    assert not list(tmp_path.iterdir())


# ---- the choice --------------------------------------------------------------------------------


def test_choice_by_hand(corpus):
    settings = fold_of(corpus, *KINDS["classical"]).tuning
    auroc, rmse = METRICS["auroc"], METRICS["rmse"]
    assert choose(np.array([0.6, 0.9, np.nan, 0.7]), auroc, settings) == 1
    assert choose(np.array([9.0, 5.0, np.nan, 7.0]), rmse, settings) == 1
    tied = np.array([0.1 + 0.2, 0.5, 0.5, 0.7 - 0.2]) + 0.1
    assert choose(tied, auroc, settings) == 1
    assert choose(np.array([0.3, 0.1 + 0.2]), auroc, settings) == 0  # higher by rounding alone
    with pytest.raises(TuningError, match=r"auroc is undefined .* lower tuning.folds"):
        choose(np.array([np.nan, np.nan]), auroc, settings)


def test_the_files_tell_how_it_was_chosen(nested):
    run = RunFolder(nested.path / "seed-0-fold-0")
    table = pd.read_csv(run.tuning)
    config = load_experiment(nested.config)
    assert len(table) == 2
    for number, row in table.iterrows():
        values = []
        for fold in range(2):
            inner = RunFolder(run.path / "tuning" / f"candidate-{number}" / f"fold-{fold}")
            own = load_experiment(inner.config)
            settings = config.tuning.candidates[number]
            given = {f"classical.{key}": value for key, value in own.classical}
            assert given.items() >= settings.items()
            held_out = pd.read_parquet(inner.predictions).query("split == 'test'")
            values.append(roc_auc_score(held_out["y_true"].astype(int), held_out["y_prob"]))
        assert [row["fold_0"], row["fold_1"]] == pytest.approx(values, abs=1e-12)
        assert row["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert table["chosen"].sum() == 1
    assert table["chosen"].idxmax() == table["mean"].idxmax()
    assert np.ptp(table["mean"]) > 0
    assert set(table["metric"]) == {"auroc"}


def test_the_winner_is_an_ordinary_run_of_its_settings(corpus, nested, tmp_path):
    run = RunFolder(nested.path / "seed-0-fold-0")
    row = pd.read_csv(run.tuning).query("chosen").iloc[0]
    own = load_experiment(run.config)
    assert own.tuning is None
    assert row["settings"] == f"classical.n_mfcc={own.classical.n_mfcc}"
    direct = RunFolder(tmp_path)
    fit(fold_of(corpus, *SVM, *row["settings"].split()), direct, Accelerator())
    tables = [pd.read_parquet(folder.predictions) for folder in (run, direct, nested)]
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=0, atol=1e-6)  # fitted again
    pd.testing.assert_frame_equal(tables[0], tables[2], check_exact=True)  # copied


def test_inner_people_are_dealt_from_those_not_tested(corpus, nested):
    sessions = corpus.manifest.sessions
    known = sorted(sessions.loc[sessions["split"] != "test", "subject"])
    folder = nested.path / "seed-0-fold-0" / "tuning"
    assert sorted(read_manifest(folder / "manifest").sessions["subject"]) == known
    held_out: list[str] = []
    for fold in range(2):
        parts = pd.read_csv(folder / f"candidate-0/fold-{fold}/split.csv", dtype=str)
        assert sorted(parts["subject"]) == known
        held_out += parts.loc[parts["split"] == "test", "subject"].tolist()
        other = folder / f"candidate-1/fold-{fold}/split.csv"  # the same people for everyone
        assert other.read_bytes() == (folder / f"candidate-0/fold-{fold}/split.csv").read_bytes()
    assert sorted(held_out) == known  # each once


def test_decisions_are_measured_at_the_inner_validation_threshold(nested):
    run = RunFolder(nested.path / "seed-0-fold-0" / "tuning" / "candidate-0" / "fold-0")
    rows = prepare_predictions(pd.read_parquet(run.predictions))[0].query("split == 'test'")
    decided = rows["y_prob"] >= rows["threshold"].iloc[0]
    expected = balanced_accuracy_score(rows["y_true"].astype(int), decided)
    assert measure(run, METRICS["balanced_accuracy"]) == pytest.approx(expected)
    with pytest.raises(TuningError, match=r"severity bands, .* use another metric"):
        measure(run, METRICS["quadratic_kappa"])


def test_the_report_shows_the_choice(nested, monkeypatch):
    from depmm.cli import main

    monkeypatch.setattr("sys.argv", ["depmm", "evaluate", str(nested.path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    chosen = read_run(nested.path).tuning.query("chosen")
    assert chosen[["seed", "fold"]].to_numpy().tolist() == [[0, 0]]
    page = (nested.path / "report.html").read_text()
    assert "<h2>Settings that each fold chose</h2>" in page
    assert f'<td class="wrap">{chosen["settings"].iloc[0]}</td>' in page


def test_too_few_people_for_inner_folds(corpus, tmp_path):
    config = fold_of(corpus, *KINDS["classical"], "tuning.folds=7")
    with pytest.raises(SplitError, match=r"inner fold 0 .*tuning.folds 7, for split.folds here"):
        select(config, RunFolder(tmp_path), Accelerator())


# ---- interrupted -------------------------------------------------------------------------------


@pytest.mark.slow
def test_goes_on_at_the_inner_run_where_it_stopped(corpus, nested, tmp_path, monkeypatch):
    train = selection.train_classical
    trained: list[Path] = []

    def stop_at(count: int | None) -> Callable[..., None]:
        def fit_or_stop(config, run, say):
            if not run.finished:
                trained.append(run.path.relative_to(tmp_path))
                if len(trained) == count:
                    raise KeyboardInterrupt
            train(config, run, say)

        return fit_or_stop

    settings = [*KINDS["classical"], f"out={tmp_path}"]
    monkeypatch.setattr(selection, "train_classical", stop_at(4))
    with pytest.raises(KeyboardInterrupt):
        cross_validate(corpus, *settings)
    monkeypatch.setattr(selection, "train_classical", stop_at(None))
    before = trained.copy()
    trained.clear()
    cross_validate(corpus, *settings)
    assert trained[0] == before[-1]
    assert len(before[:-1] + trained) == 2 * 2 + 1
    assert len(set(before[:-1] + trained)) == 2 * 2 + 1
    whole = nested.path
    for name, read in (("tuning.csv", pd.read_csv), ("predictions.parquet", pd.read_parquet)):
        pd.testing.assert_frame_equal(
            read(tmp_path / "tiny" / name), read(whole / name), rtol=0, atol=1e-6
        )
    trained.clear()
    cross_validate(corpus, *settings)
    assert not trained


# ---- the people who are tested -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_tested_people_reach_neither_the_choice_nor_the_model(
    corpus, nested, tmp_path, monkeypatch, kind
):
    """Their labels turned and their recordings deleted while settings are chosen, then noise."""
    manifest = read_manifest(corpus.folder)
    own = manifest.sessions["split"] == "test"
    tested = set(manifest.sessions.loc[own, "subject"])
    manifest.sessions.loc[own, "label"] = 1 - manifest.sessions.loc[own, "label"]
    write_manifest(manifest, tmp_path / "turned")
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    altered = [*KINDS[kind], f"data.store={store}", f"data.manifest={tmp_path / 'turned'}"]
    config = fold_of(corpus, *altered)
    data = load_experiment_data(config)
    kept = {}
    for number in data.indices("test"):
        path = Path(data.dataset.store.path(*data.dataset.session_keys[number]))
        kept[path] = path.read_bytes()
        path.unlink()

    run, said = RunFolder(tmp_path / "altered"), []
    chosen = select(config, run, Accelerator(), said.append)
    assert said[0] == "tuning by auroc: 2 candidates in 2 inner folds"
    whole = RunFolder(tmp_path / "whole")
    write_manifest(manifest_without_tested(fold_of(corpus, *KINDS[kind])), whole.path)
    for name in ("sessions.parquet", "steps.parquet"):
        seen = run.path / "tuning" / "manifest" / name
        assert seen.read_bytes() == (whole.path / name).read_bytes()

    for path, content in kept.items():
        path.write_bytes(content)
    read = SessionDataset.__getitem__

    def hear_noise(self, place):
        item = read(self, place)
        if self.session_keys[item.index][1] not in tested:
            return item
        noise = np.random.default_rng(item.index).standard_normal(4000).astype(np.float32)
        return dataclasses.replace(item, audio=[noise for _ in item.audio])

    with monkeypatch.context() as patch:
        patch.setattr(SessionDataset, "__getitem__", hear_noise)
        fit(chosen, run, Accelerator())
    if kind == "classical":
        whole = RunFolder(nested.path / "seed-0-fold-0")
        choices = [pd.read_csv(one.tuning) for one in (run, whole)]
        pd.testing.assert_frame_equal(*choices, rtol=0, atol=1e-6)
    else:
        settings = said[-1].removeprefix("chosen: ")
        fit(fold_of(corpus, *NETWORK, settings), whole, Accelerator())
        weights = [load_file(one.path / "model.safetensors") for one in (run, whole)]
        assert_same_weights(*weights, atol=1e-5)
        curves = [pd.read_parquet(one.history).drop(columns="seconds") for one in (run, whole)]
        pd.testing.assert_frame_equal(*curves, rtol=0, atol=1e-5)
    tables = [prepare_predictions(pd.read_parquet(one.predictions))[0] for one in (run, whole)]
    thresholds = [table["threshold"] for table in tables]
    np.testing.assert_allclose(*thresholds, rtol=0, atol=1e-5)
    same = (tables[0]["y_prob"] - tables[1]["y_prob"]).abs() < 1e-5  # noise: more than 1e-3
    assert same.tolist() == (tables[0]["split"] != "test").tolist()  # the same model, other voices
    assert (tables[0]["y_true"] != tables[1]["y_true"]).tolist() == (~same).tolist()


# ---- leave-one-subject-out -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def six_people(corpus, tmp_path_factory) -> Path:
    """The manifest of three people of each class."""
    sessions = corpus.manifest.sessions
    few = sessions.groupby("label").head(3)["subject"]
    folder = tmp_path_factory.mktemp("six")
    tables = (corpus.manifest.sessions, corpus.manifest.steps)
    write_manifest(Manifest(*(table[table["subject"].isin(few)] for table in tables)), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_leave_one_subject_out_tests_everybody_once(corpus, six_people, tmp_path, kind):
    own = SVM if kind == "classical" else NETWORK
    split = "split={kind: leave_one_subject_out}"
    cross_validate(corpus, *own, split, f"data.manifest={six_people}", f"out={tmp_path}")
    table = pd.read_parquet(tmp_path / "tiny" / "predictions.parquet")
    tested = table[table["split"] == "test"]
    assert tested["fold"].tolist() == list(range(6))
    assert sorted(tested["subject"]) == sorted(read_manifest(six_people).sessions["subject"])
    assert table.groupby("fold")["subject"].nunique().eq(6).all()  # the others train or validate
