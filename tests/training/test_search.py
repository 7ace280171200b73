"""Candidates that optuna draws: bounds, seeds, and an exact continuation."""

import sys

import numpy as np
import pandas as pd
import pytest
from accelerate import Accelerator

from depmm.config import ConfigError, TuningConfig, load_experiment
from depmm.evaluation.stats.metrics import METRICS
from depmm.runs.folder import RunFolder
from depmm.training import classical
from depmm.training.search import N_STARTUP, TuningError, build_search
from depmm.training.tuning import tune

AUROC, RMSE = METRICS["auroc"], METRICS["rmse"]
SPACE = {
    "training.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "training.batch_size": {"low": 4, "high": 32},
    "model.fusion.dropout": [0.0, 0.5],
    "data.modalities": [["audio"], ["audio", "face"]],
}
SVM = [
    *("data.modalities=[audio]", "model=null", "training=null", "data.augment=null"),
    "classical={model: {kind: svm}, n_mfcc: 8, n_mels: 16}",
]
TPE = (
    "tuning={metric: auroc, folds: 2, method: tpe, trials: 2, space: {classical.model.C: {low: "
    "1.0e-2, high: 1.0e+2, log: true}, classical.n_mfcc: {low: 2, high: 8}}}"
)


def settings(method="random", trials=20, seed=0, **changes) -> TuningConfig:
    return TuningConfig.model_validate(
        {"metric": "auroc", "method": method, "trials": trials, "seed": seed, "space": SPACE}
        | changes
    )


def draw(tuning, score=lambda candidate: 0.5, metric=AUROC) -> list[dict]:
    search = build_search(tuning, metric)
    candidates = []
    for _ in range(tuning.n_candidates):
        candidates.append(search.propose())
        search.report(score(candidates[-1]))
    return candidates


def test_draws_are_in_their_ranges_and_have_their_types():
    candidates = draw(settings(trials=60))
    assert all(list(candidate) == list(SPACE) for candidate in candidates)
    rates = np.array([candidate["training.learning_rate"] for candidate in candidates])
    assert (rates >= 1e-5).all()
    assert (rates <= 1e-2).all()
    # uniform in the logarithm: half of them below the geometric mean of the ends
    assert 15 <= (rates < 10**-3.5).sum() <= 45
    assert all(float(f"{rate:.6g}") == rate for rate in rates)
    sizes = [candidate["training.batch_size"] for candidate in candidates]
    assert all(type(size) is int and 4 <= size <= 32 for size in sizes)
    assert {candidate["model.fusion.dropout"] for candidate in candidates} == {0.0, 0.5}
    assert ["audio", "face"] in [candidate["data.modalities"] for candidate in candidates]


def test_random_candidates_depend_on_the_seed_only():
    first = draw(settings())
    assert draw(settings(), lambda candidate: candidate["training.learning_rate"]) == first
    assert draw(settings(), lambda _: float("nan")) == first
    assert draw(settings(seed=1)) != first


@pytest.mark.parametrize(("metric", "sign"), [(AUROC, -1), (RMSE, 1)])
def test_tpe_moves_towards_better_values(metric, sign):
    def score(candidate):
        return sign * abs(np.log10(candidate["training.learning_rate"]) + 4)

    tuning = settings("tpe", trials=40)
    candidates = draw(tuning, score, metric)
    assert draw(tuning, score, metric) == candidates  # a continued tuning draws alike
    errors = np.abs([score(candidate) for candidate in candidates])
    assert errors[-15:].mean() < 0.6 * errors[:N_STARTUP].mean()


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TuningError) as info:
        build_search(settings(), AUROC)
    assert (info.value.setting, info.value.value) == ("tuning.method", "random")
    assert "depmm[tuning]" in info.value.remedy


@pytest.mark.parametrize(
    ("tuning", "setting"),
    [
        ("{metric: auroc, method: tpe, trials: 5}", "tuning.space"),
        ("{metric: auroc, method: tpe, space: {classical.n_mfcc: [2]}}", "tuning.trials"),
        ("{metric: auroc, trials: 5, grid: {classical.n_mfcc: [2]}}", "tuning.trials"),
        (
            "{metric: auroc, method: random, trials: 5, space: {classical.n_mfcc: [2]}, "
            "grid: {classical.n_mfcc: [2]}}",
            "tuning.grid",
        ),
        (
            "{metric: auroc, method: random, trials: 5, space: {classical.n_mffc: [2]}}",
            "classical.n_mffc",
        ),
        # the upper end is allowed, the lower end is not
        (
            "{metric: auroc, method: random, trials: 5, "
            "space: {data.max_audio_s: {low: 0.0, high: 1.5}}}",
            "data.max_audio_s",
        ),
        (
            "{metric: auroc, method: random, trials: 5, space: {seed: {low: 0, high: 3}}}",
            "seed",
        ),
    ],
)
def test_a_space_that_cannot_be_used_is_an_error_before_the_first_run(corpus, tuning, setting):
    with pytest.raises(ConfigError) as info:
        load_experiment(corpus.config, [*SVM, f"tuning={tuning}"])
    assert info.value.setting == setting


@pytest.mark.parametrize("ends", ["{low: 2, high: 1}", "{low: 0.0, high: 1.0, log: true}"])
def test_an_empty_range_is_an_error(corpus, ends):
    tuning = f"{{metric: auroc, method: tpe, trials: 2, space: {{classical.n_mfcc: {ends}}}}}"
    with pytest.raises(ConfigError) as info:
        load_experiment(corpus.config, [*SVM, f"tuning={tuning}"])
    assert info.value.setting.startswith("tuning.space.classical.n_mfcc")


@pytest.mark.slow
def test_an_interrupted_search_continues_with_the_same_candidates(corpus, tmp_path, monkeypatch):
    config = load_experiment(corpus.config, [*SVM, TPE, f"out={tmp_path}"])
    summaries = []
    for name in ("record_data_summary", "record_inference_facts"):
        monkeypatch.setattr(classical, name, lambda *_: summaries.append(1))
    whole, resumed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "resumed")
    chosen = tune(config, whole, Accelerator())
    assert summaries == []  # which would read every session in each inner run
    fit, calls = classical.train_classical, []

    def stop_after_three(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(arguments)
        fit(*arguments)

    monkeypatch.setattr(classical, "train_classical", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        tune(config, resumed, Accelerator())
    monkeypatch.setattr(classical, "train_classical", fit)
    assert tune(config, resumed, Accelerator()) == chosen
    assert resumed.tuning.read_bytes() == whole.tuning.read_bytes()
    table = pd.read_csv(whole.tuning)
    assert len(table) == 2
    assert table["settings"].nunique() == 2
    text = table.loc[table["chosen"], "settings"].item()
    assert text == f"classical.model.C={chosen.classical.model.C} classical.n_mfcc=" + str(
        chosen.classical.n_mfcc
    )
