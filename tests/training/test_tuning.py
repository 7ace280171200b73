"""Nested tuning: settings are chosen on inner folds without the test subjects."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from accelerate import Accelerator
from noisy_recordings import replace_audio_by_noise
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from trained_weights import assert_same_weights

from depmm.config import load_experiment
from depmm.corpora.manifest import Manifest, read_manifest, write_manifest
from depmm.corpora.splits import SplitError
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.predictions import prepare_predictions
from depmm.evaluation.stats.metrics import METRICS
from depmm.runs.contents import read_run
from depmm.runs.folder import RunFolder
from depmm.schemas.runs import TUNING
from depmm.training import classical
from depmm.training.cross_validation import cross_validate
from depmm.training.experiment import run_experiment
from depmm.training.inner_runs import drop_test_subjects, measure_run
from depmm.training.search import TuningError
from depmm.training.tuning import choose_candidate, tune

AUDIO = ["data.modalities=[audio]"]
SVM = [
    *(*AUDIO, "model=null", "training=null"),
    "classical={model: {kind: svm}, n_mfcc: 8, n_mels: 16}",
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
    """Disable the garbage collection of Accelerate, which is slower than these trainings."""
    monkeypatch.setattr("accelerate.utils.memory.gc.collect", lambda: 0)


def load_fold(corpus, *overrides: str):
    return load_experiment(corpus.config, list(overrides))


@pytest.fixture(scope="module")
def nested(corpus, tmp_path_factory) -> RunFolder:
    """Cross-validate a tuned SVM on the official split."""
    out = tmp_path_factory.mktemp("nested")
    cross_validate(corpus.config, [*KINDS["classical"], f"out={out}"])
    return RunFolder(out / "tiny")


@pytest.mark.parametrize(
    ("name", "target", "usable"),
    [
        ("auroq", "{kind: binary}", "auroc"),
        ("rmse", "{kind: binary}", "auroc"),
        ("auroc", "{kind: severity, column: score}", "rmse"),
        ("recall", "{kind: binary}", "auroc"),  # a constant positive prediction is best
    ],
)
def test_a_metric_that_cannot_be_optimised_is_refused(corpus, tmp_path, name, target, usable):
    config = load_fold(corpus, *KINDS["network"], f"tuning.metric={name}", f"target={target}")
    with pytest.raises(TuningError) as info:
        tune(config, RunFolder(tmp_path), Accelerator())
    assert (info.value.setting, info.value.value) == ("tuning.metric", name)
    assert usable in info.value.remedy
    assert not list(tmp_path.iterdir())


def test_the_best_candidate_by_hand(corpus):
    settings = load_fold(corpus, *KINDS["classical"]).tuning
    auroc, rmse = METRICS["auroc"], METRICS["rmse"]
    assert choose_candidate(np.array([0.6, 0.9, np.nan, 0.7]), auroc, settings) == 1
    assert choose_candidate(np.array([9.0, 5.0, np.nan, 7.0]), rmse, settings) == 1
    tied = np.array([0.1 + 0.2, 0.5, 0.5, 0.7 - 0.2]) + 0.1
    assert choose_candidate(tied, auroc, settings) == 1
    rounded = np.array([0.3, 0.1 + 0.2])  # the second is higher only by rounding
    assert choose_candidate(rounded, auroc, settings) == 0
    with pytest.raises(TuningError) as info:
        choose_candidate(np.array([np.nan, np.nan]), auroc, settings)
    assert info.value.setting == "tuning.metric"


def test_the_table_contains_metrics_of_the_inner_folds_and_the_choice(nested):
    run = RunFolder(nested.path / "seed-0-fold-0")
    table = pd.read_csv(run.tuning)
    config = load_experiment(nested.config)
    TUNING.check(table)
    assert len(table) == 2
    for candidate, row in table.iterrows():
        values = []
        for fold in range(2):
            inner = RunFolder(run.path / "tuning" / f"candidate-{candidate}" / f"fold-{fold}")
            inner_config = load_experiment(inner.config)
            settings = config.tuning.candidates[candidate]
            used = {f"classical.{key}": value for key, value in inner_config.classical}
            assert used.items() >= settings.items()
            held_out = pd.read_parquet(inner.predictions).query("split == 'test'")
            values.append(roc_auc_score(held_out["y_true"].astype(int), held_out["y_prob"]))
        assert [row["fold_0"], row["fold_1"]] == pytest.approx(values, abs=1e-12)
        assert row["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert table["chosen"].sum() == 1
    assert table["chosen"].idxmax() == table["mean"].idxmax()
    assert np.ptp(table["mean"]) > 0
    assert set(table["metric"]) == {"auroc"}


def test_the_tuned_run_equals_a_run_with_the_chosen_settings(corpus, nested, tmp_path):
    run = RunFolder(nested.path / "seed-0-fold-0")
    row = pd.read_csv(run.tuning).query("chosen").iloc[0]
    config = load_experiment(run.config)
    assert config.tuning is None
    assert row["settings"] == f"classical.n_mfcc={config.classical.n_mfcc}"
    direct = RunFolder(tmp_path)
    run_experiment(load_fold(corpus, *SVM, *row["settings"].split()), direct, Accelerator())
    tables = [pd.read_parquet(folder.predictions) for folder in (run, direct, nested)]
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=0, atol=1e-6)  # fitted again
    pd.testing.assert_frame_equal(tables[0], tables[2], check_exact=True)  # copied


def test_inner_folds_consist_of_training_and_validation_subjects(corpus, nested):
    sessions = corpus.manifest.sessions
    known = sorted(sessions.loc[sessions["split"] != "test", "subject"])
    folder = nested.path / "seed-0-fold-0" / "tuning"
    assert sorted(read_manifest(folder / "manifest").sessions["subject"]) == known
    held_out: list[str] = []
    for fold in range(2):
        parts = pd.read_csv(folder / f"candidate-0/fold-{fold}/split.csv", dtype=str)
        assert sorted(parts["subject"]) == known
        held_out += parts.loc[parts["split"] == "test", "subject"].tolist()
        other = folder / f"candidate-1/fold-{fold}/split.csv"  # all candidates have the same folds
        assert other.read_bytes() == (folder / f"candidate-0/fold-{fold}/split.csv").read_bytes()
    assert sorted(held_out) == known  # each once


def test_inner_runs_are_measured_with_the_threshold_of_their_validation_subjects(nested):
    run = RunFolder(nested.path / "seed-0-fold-0" / "tuning" / "candidate-0" / "fold-0")
    rows = prepare_predictions(pd.read_parquet(run.predictions))[0].query("split == 'test'")
    decided = rows["y_prob"] >= rows["threshold"].iloc[0]
    expected = balanced_accuracy_score(rows["y_true"].astype(int), decided)
    assert measure_run(run, METRICS["balanced_accuracy"]) == pytest.approx(expected)
    # with a set threshold above all probabilities, every session is negative
    assert measure_run(run, METRICS["balanced_accuracy"], 0.999) == 0.5
    with pytest.raises(TuningError) as info:
        measure_run(run, METRICS["quadratic_kappa"])
    assert info.value.file == run.predictions


def test_the_report_shows_the_chosen_settings(nested, depmm):
    assert depmm("evaluate", nested.path).code == 0
    chosen = read_run(nested.path).tuning.query("chosen")
    assert chosen[["seed", "fold"]].to_numpy().tolist() == [[0, 0]]
    page = (nested.path / "report.html").read_text()
    assert f'<td class="wrap">{chosen["settings"].iloc[0]}</td>' in page


def test_too_few_subjects_for_the_inner_folds(corpus, tmp_path):
    config = load_fold(corpus, *KINDS["classical"], "tuning.folds=7")
    with pytest.raises(SplitError) as info:
        tune(config, RunFolder(tmp_path), Accelerator())
    assert (info.value.setting, info.value.value) == ("tuning.folds", 7)


@pytest.mark.parametrize(
    ("space", "usable"),
    [
        # two steps in an epoch: the second loss is not finite
        ("grid: {training.learning_rate: [1.0e+30, 1.0e-2]}", "training.learning_rate=0.01"),
        # the ends of the range divide embed_dim, and 7 does not
        (
            "method: random, trials: 5, space: {model.fusion.n_heads: {low: 2, high: 8}}",
            "model.fusion.n_heads=4",
        ),
    ],
)
def test_a_candidate_that_cannot_be_trained_is_not_chosen(corpus, tmp_path, log, space, usable):
    fusion = "model.fusion={kind: mean_pool, dropout: 0.0}"
    if "n_heads" in space:
        fusion = "model.fusion={kind: cross_modal_transformer, embed_dim: 8, n_heads: 2}"
    settings = [*NETWORK[:2], fusion, "training={epochs: 1, batch_size: 1, optimizer: sgd}"]
    config = load_fold(corpus, *settings, f"tuning={{metric: brier, folds: 2, {space}}}")
    run = RunFolder(tmp_path / "run")
    tune(config, run, Accelerator())
    table = pd.read_csv(run.tuning)
    means = table.set_index("candidate")["mean"]
    assert set(table.loc[table["mean"].notna(), "settings"]) == {usable}
    assert table.loc[table["chosen"], "settings"].item() == usable
    warned = [record.args[0] for record in log.records if record.levelname == "WARNING"]
    assert warned == means[means.isna()].index.tolist()


def test_candidates_of_which_none_can_be_trained_are_an_error(corpus, tmp_path):
    rates = "tuning={metric: brier, folds: 2, grid: {training.learning_rate: [1.0e+30, 1.0e+31]}}"
    settings = [*NETWORK, "training={epochs: 1, batch_size: 1, optimizer: sgd}", rates]
    with pytest.raises(TuningError) as info:
        tune(load_fold(corpus, *settings), RunFolder(tmp_path / "run"), Accelerator())
    assert info.value.value == {"training.learning_rate": 1.0e31}
    assert not RunFolder(tmp_path / "run").tuning.exists()


@pytest.mark.slow
def test_an_interrupted_tuning_is_resumed_at_the_interrupted_inner_run(
    corpus, nested, tmp_path, monkeypatch
):
    train_classical = classical.train_classical
    trained: list[Path] = []

    def stop_at(count: int | None) -> Callable[..., None]:
        def train_or_stop(config, run, *options):
            if not run.finished:
                trained.append(run.path.relative_to(tmp_path))
                if len(trained) == count:
                    raise KeyboardInterrupt
            train_classical(config, run, *options)

        return train_or_stop

    settings = [*KINDS["classical"], f"out={tmp_path}"]
    monkeypatch.setattr(classical, "train_classical", stop_at(4))
    with pytest.raises(KeyboardInterrupt):
        cross_validate(corpus.config, settings)
    monkeypatch.setattr(classical, "train_classical", stop_at(None))
    before = trained.copy()
    trained.clear()
    cross_validate(corpus.config, settings)
    assert trained[0] == before[-1]
    assert len(before[:-1] + trained) == 2 * 2 + 1
    assert len(set(before[:-1] + trained)) == 2 * 2 + 1
    for name, read in (("tuning.csv", pd.read_csv), ("predictions.parquet", pd.read_parquet)):
        pd.testing.assert_frame_equal(
            read(tmp_path / "tiny" / name), read(nested.path / name), rtol=0, atol=1e-6
        )
    trained.clear()
    cross_validate(corpus.config, settings)
    assert not trained


@pytest.mark.parametrize("kind", KINDS)
def test_test_subjects_influence_neither_the_choice_nor_the_model(
    corpus, nested, tmp_path, monkeypatch, log, kind
):
    """Flip their labels, delete their recordings during the tuning, and use noise afterwards."""
    manifest = read_manifest(corpus.folder)
    rows = manifest.sessions["split"] == "test"
    test_subjects = set(manifest.sessions.loc[rows, "subject"])
    manifest.sessions.loc[rows, "label"] = 1 - manifest.sessions.loc[rows, "label"]
    write_manifest(manifest, tmp_path / "flipped")
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    altered = [*KINDS[kind], f"data.store={store}", f"data.manifest={tmp_path / 'flipped'}"]
    config = load_fold(corpus, *altered)
    data = load_experiment_data(config)
    deleted = {}
    for index in data.indices("test"):
        path = Path(data.dataset.store.path(*data.dataset.session_keys[index]))
        deleted[path] = path.read_bytes()
        path.unlink()

    run = RunFolder(tmp_path / "altered")
    chosen = tune(config, run, Accelerator())
    messages = log.messages
    assert messages[0] == "tuning by auroc: 2 candidates in 2 inner folds"
    assert len(messages) == 1 + 2 + 1  # the progress of inner runs is not logged
    expected = RunFolder(tmp_path / "expected")
    write_manifest(drop_test_subjects(load_fold(corpus, *KINDS[kind])), expected.path)
    for name in ("sessions.parquet", "steps.parquet"):
        path = run.path / "tuning" / "manifest" / name
        assert path.read_bytes() == (expected.path / name).read_bytes()

    for path, content in deleted.items():
        path.write_bytes(content)
    with monkeypatch.context() as patch:
        replace_audio_by_noise(patch, test_subjects)
        run_experiment(chosen, run, Accelerator())
    if kind == "classical":
        expected = RunFolder(nested.path / "seed-0-fold-0")
        choices = [pd.read_csv(folder.tuning) for folder in (run, expected)]
        pd.testing.assert_frame_equal(*choices, rtol=0, atol=1e-6)
    else:
        settings = messages[-1].removeprefix("chosen: ")
        run_experiment(load_fold(corpus, *NETWORK, settings), expected, Accelerator())
        weights = [load_file(folder.path / "model.safetensors") for folder in (run, expected)]
        assert_same_weights(*weights, atol=1e-5)
        histories = (pd.read_parquet(folder.history) for folder in (run, expected))
        curves = [history.drop(columns="seconds") for history in histories]
        pd.testing.assert_frame_equal(*curves, rtol=0, atol=1e-5)
    tables = [
        prepare_predictions(pd.read_parquet(folder.predictions))[0] for folder in (run, expected)
    ]
    thresholds = [table["threshold"] for table in tables]
    np.testing.assert_allclose(*thresholds, rtol=0, atol=1e-5)
    unchanged = (tables[0]["y_prob"] - tables[1]["y_prob"]).abs() < 1e-5  # noise: above 1e-3
    assert unchanged.tolist() == (tables[0]["split"] != "test").tolist()  # noise
    assert (tables[0]["y_true"] != tables[1]["y_true"]).tolist() == (~unchanged).tolist()


@pytest.fixture(scope="module")
def six_subjects(corpus, tmp_path_factory) -> Path:
    """Write the manifest of three subjects of each class."""
    sessions = corpus.manifest.sessions
    subjects = sessions.groupby("label").head(3)["subject"]
    folder = tmp_path_factory.mktemp("six")
    tables = (corpus.manifest.sessions, corpus.manifest.steps)
    write_manifest(Manifest(*(table[table["subject"].isin(subjects)] for table in tables)), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_leave_one_subject_out_tests_every_subject_once(corpus, six_subjects, tmp_path, kind):
    settings = SVM if kind == "classical" else NETWORK
    split = "split={kind: leave_one_subject_out}"
    overrides = [*settings, split, f"data.manifest={six_subjects}", f"out={tmp_path}"]
    cross_validate(corpus.config, overrides)
    table = pd.read_parquet(tmp_path / "tiny" / "predictions.parquet")
    test = table[table["split"] == "test"]
    assert test["fold"].tolist() == list(range(6))
    assert sorted(test["subject"]) == sorted(read_manifest(six_subjects).sessions["subject"])
    assert (
        table.groupby("fold")["subject"].nunique().eq(6).all()
    )  # every fold predicts all subjects
