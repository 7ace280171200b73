"""The study of the parts of DEP-Former on simulated designs."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ttest_1samp, ttest_rel

from depmm.config import load_config
from depmm.data.epoch_plan import plan_epoch
from depmm.multiple_testing import holm
from experiments import ablation_choice, ablation_tables, ablations
from experiments.ablation_tables import SUM, make_tables, read_results, to_markdown
from experiments.ablations import DesignData, Study, build_config, list_trainings, run
from experiments.results import record


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablations")
    for variant in ("full", "voice alone", "face alone"):
        for seed in (0, 1):
            run(Study("congruence", 16, seed, variant, epochs=1), out)
    return out


def test_the_full_model_is_that_of_the_shipped_config():
    data = DesignData("congruence", 4, 0)
    config = build_config(data, Study("congruence", 4, 0, "full", 40))
    shipped = load_config("design_congruence")
    assert config.model == shipped.model
    assert config.training == shipped.training.model_copy(update={"patience": 10})
    assert config.target == shipped.target


@pytest.mark.parametrize("design", ["additive", "congruence"])
def test_variants_differ_from_the_full_model(design):
    data = DesignData(design, 4, 0)
    full = build_config(data, Study(design, 4, 0, "full", 1))
    assert full.model.fusion.num_steps == (24 if design == "additive" else None)
    for variant in ablations.list_variants(design)[1:]:
        config = build_config(data, Study(design, 4, 0, variant, 1))
        assert (config.model, config.training) != (full.model, full.training)


def test_batches_contain_the_planned_sessions_once():
    data = DesignData("congruence", 10, 3)
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
    assert result["peak_mib"] >= 0


@pytest.mark.slow
def test_the_sum_of_the_unimodal_logits_is_a_row(results):
    table = read_results(results)
    assert set(table["variant"]) == {"full", "voice alone", "face alone", SUM}
    halves = table[table["variant"].isin(ablations.UNIMODAL) & (table["seed"] == 0)]
    assert np.sum(halves["logits"].tolist(), axis=0).shape == (2000,)
    text = to_markdown(make_tables(table)[0])
    assert "### congruence, 16 training subjects, 2 corpora" in text
    assert f"| {SUM} | 2 |" in text


@pytest.mark.slow
def test_a_finished_study_is_not_trained_again(results, capsys):
    studies = list_trainings(["congruence"], [16], 2, 1)
    finished = [study for study in studies if study.variant in ("full", "voice alone")]
    ablations.train_all(results, finished, jobs=1)
    assert "4 of 4 trainings are done" in capsys.readouterr().out


def test_a_study_goes_seed_by_seed():
    studies = list_trainings(["additive", "long"], [150, 1500], 2, 25)
    assert [study.seed for study in studies] == sorted(study.seed for study in studies)
    long = [study for study in studies if study.design == "long" and study.seed == 0]
    assert len(long) == 2 * len(ablations.LONG_VARIANTS)
    assert {study.epochs for study in long} == {ablations.LONG_EPOCHS}


def fake_results(design="congruence"):
    """Three corpora, of which one variant is finished in two only."""
    auroc = {
        "full": [0.9, 0.8, 0.85],
        "dense attention": [0.91, 0.8, 0.87],
        "no sharing": [0.7, 0.75],
    }
    bounds = {"both": 0.975, "audio": 0.5, "face": 0.5, SUM: 0.5}
    branches = dict.fromkeys(("multimodal", "audio", "face", "cross"), 0.6)
    return pd.DataFrame(
        {
            "design": design, "subjects": 150, "seed": seed, "variant": variant, "auroc": value,
            "bayes": bounds, "oracles": {"products_of_steps": 0.97}, "branches": branches,
            "without": {"audio": 0.5, "face": 0.5}, "shut_off": branches, "seconds": 2.0,
            "peak_mib": 10.0,
        }
        for variant, values in auroc.items()
        for seed, value in enumerate(values)
    )  # fmt: skip


def test_rows_are_paired_over_the_corpora_that_both_have():
    (table,) = make_tables(fake_results())
    rows = {row["variant"]: row for row in table.rows}
    assert rows["Bayes classifier"]["multimodal"] == pytest.approx(0.975)
    assert rows["Bayes classifier"]["audio"] == pytest.approx(0.5)
    assert rows["oracle: products of steps"]["AUROC"] == pytest.approx(0.97)
    assert [rows[v]["corpora"] for v in ("full", "no sharing")] == [3, 2]
    tests = [
        ttest_rel([0.9, 0.8, 0.85], [0.91, 0.8, 0.87]), ttest_rel([0.9, 0.8], [0.7, 0.75]),
    ]  # fmt: skip
    p = [rows[v]["p"] for v in ("dense attention", "no sharing")]
    assert p == pytest.approx(holm([test.pvalue for test in tests]))
    difference = rows["no sharing"]["full less this"]
    bounds = tests[1].confidence_interval()
    assert list(difference.values()) == pytest.approx([0.125, bounds.low, bounds.high])


def test_non_inferiority_is_stated_for_long_sessions(tmp_path, monkeypatch):
    (table,) = make_tables(fake_results("long"))
    # the lower bound of -.010 +- 2.92 * .0058 ... is below -.02
    assert table.rows[-3]["variant"] == "full"
    assert table.rows[-3]["MiB"] == pytest.approx(10.0)
    assert table.rows[-3]["not inferior to dense attention (margin 0.02)"] == "not shown"
    recorded = {}
    monkeypatch.setattr(
        ablation_tables, "record", lambda name, rows, **k: recorded.update(k, name=name)
    )
    table.record()
    assert recorded["name"] == "ablations_long_150"
    assert "3 of 20 corpora" in recorded["notes"]
    assert "one-sided" in recorded["notes"]


@pytest.mark.parametrize(
    ("full", "dense", "verdict"),
    [
        ([0.90, 0.80, 0.85], [0.90, 0.801, 0.849], "yes"),
        ([0.88, 0.78, 0.83], [0.90, 0.801, 0.849], "not shown"),
        ([0.50, 0.51, 0.49], [0.501, 0.51, 0.491], "not shown: dense attention has not learned"),
    ],
)
def test_models_at_chance_are_not_called_not_inferior(full, dense, verdict):
    results = fake_results("long")
    for variant, values in {"full": full, "dense attention": dense}.items():
        results.loc[results["variant"] == variant, "auroc"] = values
    (table,) = make_tables(results)
    assert table.rows[-3]["not inferior to dense attention (margin 0.02)"] == verdict


def test_the_summary_has_a_column_per_design(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation_tables, "record", partial(record, out=tmp_path))
    results = pd.concat([fake_results(), fake_results("additive"), fake_results("long")])
    tables = make_tables(results)
    path = ablation_tables.record_summary(tables, 150)
    content = json.loads(path.read_text())
    assert "additive 3, congruence 3" in content["notes"]
    assert "20 corpora are planned" in content["notes"]
    rows = {row["variant"]: row for row in content["rows"]}
    assert list(rows["dense attention"]) == ["variant", "additive", "congruence"]
    assert rows["no sharing"]["congruence"]["value"] == pytest.approx(0.125)
    # the negative control shows a difference of .125
    notes = json.loads(tables[0].record().read_text())["notes"]
    assert "up to 0.125 in `additive`, where no part adds information" in notes


def test_the_summary_lists_what_is_significant(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation_tables, "record", partial(record, out=tmp_path))
    clear = fake_results()
    is_full = (clear["variant"] == "full").to_numpy()
    clear.loc[is_full, "auroc"] += [0.1, 0.1, 0.1]
    path = ablation_tables.record_summary(make_tables(clear), 150)
    notes = json.loads(path.read_text())["notes"]
    (row,) = (r for r in make_tables(clear)[0].rows if r["variant"] == "dense attention")
    assert row["part"] == "helps"
    assert "`congruence`: dense attention (+)." in notes
    notes = json.loads(
        ablation_tables.record_summary(make_tables(fake_results()), 150).read_text()
    )["notes"]
    assert "`congruence`: none." in notes
    assert "### congruence, 150 training subjects, 1 corpus\n" in to_markdown(
        make_tables(clear[clear["seed"] == 0])[0]
    )


def test_a_continued_study_keeps_the_commits_of_its_trainings(tmp_path, monkeypatch):
    for commit in ("a", "b", "b"):
        source = {
            "commits": [commit],
            "uncommitted_changes": commit == "a",
            "date": "2026-01-02" if commit == "a" else "2026-01-03",
            "machine": f"machine {commit}",
            "versions": {"torch": "2.13.0"},
        }
        monkeypatch.setattr(ablation_tables, "describe_source", lambda source=source: source)
        ablation_tables.write_origin(tmp_path)
    origin = ablation_tables.read_origin(tmp_path)
    assert origin == {
        "commits": ["a", "b"],
        "uncommitted_changes": True,
        "date": "2026-01-03",
        "machine": "machine a; machine b",
        "versions": {"torch": "2.13.0"},
    }


def test_a_training_with_other_settings_is_refused(tmp_path):
    study = Study("congruence", 12, 0, "no adapter", 2)
    assert not ablations.is_trained(study, tmp_path)
    study.path(tmp_path).write_text(json.dumps(ablations.describe(study)))
    assert ablations.is_trained(study, tmp_path)
    with pytest.raises(ValueError, match="epochs is 2 instead of 3"):
        ablations.is_trained(replace(study, epochs=3), tmp_path)


def test_the_weights_of_the_best_epoch_are_restored():
    data = DesignData("congruence", 12, 0)
    model, best = ablations.train(data, Study("congruence", 12, 0, "no adapter", 2))
    assert best in (0, 1)
    assert not any(torch.isnan(p).any() for p in model.parameters())


def test_a_branch_is_shut_off_as_if_its_gate_were_0():
    data = DesignData("congruence", 4, 0)
    torch.manual_seed(0)
    model = ablations.build_model(build_config(data, Study("congruence", 4, 0, "full", 1)).model)
    model.fusion.fusion.gate_logit.data = torch.tensor([0.5, -0.3, 0.2, 1.0])
    data.rows["test"] = data.rows["test"][:20]
    _, branches = ablations.predict(model, data, "test")
    expected = ablations.shut_off(model, branches)["face"]
    model.fusion.fusion.gate_logit.data[2] = -torch.inf
    logits, _ = ablations.predict(model, data, "test")
    np.testing.assert_allclose(logits - logits[0], expected - expected[0], atol=1e-5)


def test_the_chosen_parts_are_those_of_the_shipped_config():
    data = DesignData("congruence", 4, 0)
    config = build_config(data, Study("congruence", 4, 0, ablations.CHOICE, 1))
    shipped = load_config(ablations.CHOICE)
    for name, value in ablations.CHOSEN.items():
        assert getattr(config.model.fusion, name) == getattr(shipped.model.fusion, name) == value
    assert config.model.fusion.num_steps is shipped.model.fusion.num_steps is None
    assert config.training.branch_loss_weight == shipped.training.branch_loss_weight == 1.0


def test_the_halves_of_the_choice_have_the_chosen_parts():
    data = DesignData("additive", 4, 0)
    whole = build_config(data, Study("additive", 4, 0, ablations.CHOICE, 1))
    for variant, modality in ablation_tables.CHOSEN_UNIMODAL.items():
        half = build_config(data, Study("additive", 4, 0, variant, 1))
        assert list(half.model.encoders) == half.data.modalities == [modality]
        assert half.model.fusion == whole.model.fusion
        assert half.training == whole.training


def test_the_choice_is_compared_on_corpora_that_the_study_does_not_use():
    studied = {s.seed for s in list_trainings(["congruence"], [150], ablation_tables.N_SEEDS, 1)}
    assert not studied & {study.seed for study in ablation_choice.list_trainings()}


def test_the_choice_is_compared_in_pairs():
    rng = np.random.default_rng(0)
    names = ("full", ablations.CHOICE, ablation_tables.CHOSEN_SUM)
    auroc = {name: 0.7 + 0.1 * rng.random(6) for name in names}
    results = pd.DataFrame(
        [
            {"design": "congruence", "seed": seed, "variant": name, "auroc": value}
            | {"bayes": {"both": 0.9}}
            for name, values in auroc.items()
            for seed, value in enumerate(values)
        ]
    )
    (row,) = ablation_choice.compare(results)
    expected = auroc[ablations.CHOICE] - auroc["full"]
    assert row["less all parts"]["value"] == pytest.approx(expected.mean())
    assert row["p, less all parts"] == pytest.approx(ttest_1samp(expected, 0).pvalue)
    gained = auroc[ablations.CHOICE] - auroc[ablation_tables.CHOSEN_SUM]
    assert row["less sum of its halves"]["value"] == pytest.approx(gained.mean())
    assert row["p, less sum of its halves"] == pytest.approx(ttest_1samp(gained, 0).pvalue)
    assert row["Bayes classifier"] == pytest.approx(0.9)
