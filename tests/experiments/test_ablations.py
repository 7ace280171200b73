"""The study of the parts of DEP-Former on simulated designs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import ablations
from ablations import SUM, MemoryData, Study, build_config, read_results, run

from depmm.config import load_config
from depmm.data.epoch_plan import plan_epoch


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablations")
    for variant in ("full", "voice alone", "face alone"):
        for seed in (0, 1):
            run(Study("congruence", 16, seed, variant, epochs=1), out)
    return out


def test_the_full_model_is_that_of_the_shipped_config():
    data = MemoryData("congruence", 4, 0)
    config = build_config(data, Study("congruence", 4, 0, "full", 40))
    shipped = load_config("design_congruence")
    assert config.model == shipped.model
    assert config.training == shipped.training.model_copy(update={"patience": 10})
    assert config.target == shipped.target


def test_variants_differ_from_the_full_model():
    data = MemoryData("additive", 4, 0)
    full = build_config(data, Study("additive", 4, 0, "full", 1)).model
    for variant in ablations.VARIANTS.keys() - {"full"}:
        assert build_config(data, Study("additive", 4, 0, variant, 1)).model != full


def test_batches_contain_the_planned_sessions_once():
    data = MemoryData("congruence", 10, 3)
    plan = plan_epoch([1.0] * 10, 4, 0, 0)
    rows = [index for part, _ in data.read(plan, 0) for index in part.tolist()]
    assert sorted(rows) == data.indices("train")
    _, inputs = next(data.read(plan, 0))
    assert inputs["audio"].values.shape == (4, 24, 1, 1)
    assert data.inputs([0], missing="face")["face"].lengths.sum() == 0


@pytest.mark.slow
def test_each_training_is_a_file_with_the_values_of_its_branches(results):
    result = json.loads(Study("congruence", 16, 0, "full", 1).path(results).read_text())
    assert set(result["branches"]) == {"multimodal", "audio", "face", "cross"}
    assert result["bayes"]["both"] > 0.96
    assert abs(result["bayes"][SUM] - 0.5) < 0.03
    assert 0.4 < result["auroc"] < 0.7


@pytest.mark.slow
def test_the_sum_of_the_unimodal_logits_is_a_row(results):
    table = read_results(results)
    assert set(table["variant"]) == {"full", "voice alone", "face alone", SUM}
    halves = table[table["variant"].isin(ablations.UNIMODAL) & (table["seed"] == 0)]
    assert np.sum(halves["logits"].tolist(), axis=0).shape == (2000,)
    text = ablations.make_table(table)
    assert "### congruence, 16 training subjects, 2 corpora" in text
    assert f"| {SUM} |" in text


@pytest.mark.slow
def test_a_finished_study_is_not_trained_again(results, capsys, monkeypatch):
    monkeypatch.setattr(
        ablations, "VARIANTS", {v: ablations.VARIANTS[v] for v in ("full", "voice alone")}
    )
    ablations.train_all(results, ["congruence"], [16], seeds=2, epochs=1, jobs=1)
    assert "4 of 4 trainings are done" in capsys.readouterr().out


def test_the_weights_of_the_best_epoch_are_restored():
    data = MemoryData("congruence", 12, 0)
    model, best = ablations.train(data, Study("congruence", 12, 0, "no adapter", 2))
    assert best in (0, 1)
    assert not any(torch.isnan(p).any() for p in model.parameters())
