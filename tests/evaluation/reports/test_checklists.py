"""Reporting checklists: complete tables of items, and answers from recorded evidence only."""

import re

import numpy as np
import pandas as pd
import pytest
from minimal_predictions import minimal_predictions
from report_html import ReportPage
from report_predictions import make_predictions
from trained_runs import AUDIO, train_tiny

import depmm
from depmm.evaluation.reports.checklists.items import Evidence, fill_items
from depmm.evaluation.reports.checklists.pages import CHECKLISTS
from depmm.evaluation.reports.checklists.reforms import REFORMS
from depmm.evaluation.reports.checklists.tripod_ai import TRIPOD_AI
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.leakage import list_leakage_checks
from depmm.reporting import EvaluationError
from depmm.runs.folder import read_tuning


def numbers(letters):
    """Expand 3c to 3a, 3b, 3c, and keep numbers without a letter."""
    expanded = []
    for entry in letters.split():
        last = entry[-1]
        if last.isdigit():
            expanded.append(entry)
        else:
            expanded += [entry[:-1] + chr(code) for code in range(ord("a"), ord(last) + 1)]
    return expanded


def test_tripod_ai_has_its_52_sub_items_of_27_items():
    published = numbers(
        "1 2 3c 4 5b 6c 7 8c 9c 10 11 12g 13 14 15 16 17 18f 19 20c 21 22 23b 24 25 26 27c"
    )
    assert [item.number for item in TRIPOD_AI.items] == published
    assert len(published) == 52
    assert len({re.match(r"\d+", number)[0] for number in published}) == 27


def test_reforms_has_its_32_items_in_8_modules():
    published = numbers("1c 2e 3g 4c 5f 6c 7c 8b")
    assert [item.number for item in REFORMS.items] == published
    assert len(published) == 32
    assert len({item.section for item in REFORMS.items}) == 8


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_item_says_what_to_write_without_evidence(name):
    for item in CHECKLISTS[name].items:
        assert item.write or item.if_empty, item.number
        assert item.fill or not item.if_empty, item.number


@pytest.fixture(scope="module")
def evaluated(corpus, tmp_path_factory):
    """Return a run with both checklists, and one of other settings beside it."""
    folder = tmp_path_factory.mktemp("runs")
    run = train_tiny(corpus, folder / "run", *AUDIO)
    train_tiny(corpus, folder / "other", *AUDIO, "seed=7")
    content = depmm.evaluate(run, checklists=("tripod-ai", "reforms"))
    return run, content


def rows_of(page):
    pattern = r'<tr id="item-(\w+)" data-status="([^"]+)">(.*?)</tr>'
    return {number: (status, row) for number, status, row in re.findall(pattern, page, re.DOTALL)}


@pytest.mark.parametrize(("name", "at_least"), [("tripod_ai", 24), ("reforms", 19)])
def test_a_run_fills_items_with_links_that_resolve(evaluated, name, at_least):
    run, _ = evaluated
    rows = rows_of((run / f"checklist_{name}.html").read_text())
    filled = [row for status, row in rows.values() if status != "yours to write"]
    assert len(filled) >= at_least
    ids = ReportPage((run / "report.html").read_text()).ids
    for row in filled:
        targets = re.findall(r'href="([^"]+)"', row)
        assert targets
        for target in targets:
            file, _, fragment = target.partition("#")
            assert (run / file).is_file()
            assert not fragment or fragment in ids
    markdown = (run / f"checklist_{name}.md").read_text()
    for number in rows:
        assert f"\n| {number} | " in markdown


def test_answers_contain_recorded_values(evaluated):
    run, content = evaluated
    rows = rows_of((run / "checklist_tripod_ai.html").read_text())
    assert f"{content['metrics']['auroc']['value']:.3f}" in rows["23a"][1]
    assert "Modalities: audio" in rows["9a"][1]
    assert f"tested {content['counts']['test']['sessions']}" in rows["20a"][1]
    for number in ("17", "18a", "18b", "19", "25"):
        assert rows[number][0] == "yours to write"


def test_the_candidates_of_a_tuning_are_counted_once_for_all_outer_folds(corpus, tmp_path):
    overrides = [
        "data.modalities=[audio]", "model=null", "training=null",
        "classical={model: {kind: svm}, n_mfcc: 8, n_mels: 16}",
        "split={kind: k_fold, folds: 3, validation: 0.4}", f"out={tmp_path}",
        "tuning={metric: auroc, folds: 2, grid: {classical.model.C: [0.1, 1.0]}}",
    ]  # fmt: skip
    run = depmm.cross_validate(corpus.config, overrides)
    assert len(read_tuning(run / "tuning.csv")) == 6  # two candidates in each of three outer folds
    depmm.evaluate(run, checklists=["tripod-ai", "reforms"])
    answers = {
        name: re.findall(r"(\d+) candidates", (run / f"checklist_{name}.md").read_text())
        for name in ("tripod_ai", "reforms")
    }
    assert answers == {"tripod_ai": ["2"], "reforms": ["2"]}
    rows = rows_of((run / "checklist_tripod_ai.html").read_text())
    assert "Tuned settings: classical.model.C." in rows["12c"][1]


def test_no_subject_id_is_in_a_checklist(evaluated):
    run, _ = evaluated
    subjects = pd.read_parquet(run / "predictions.parquet")["subject"].unique()
    for page in run.glob("checklist_*"):
        words = set(re.findall(r"\w+", page.read_text()))
        assert not words & set(subjects)


def test_links_lead_from_another_folder_to_the_run(evaluated, tmp_path):
    run, _ = evaluated
    depmm.evaluate(run, tmp_path / "report", checklists=["reforms"])
    page = (tmp_path / "report" / "checklist_reforms.html").read_text()
    target = next(t for t in re.findall(r'href="([^"]+)"', page) if t.endswith("config.yaml"))
    assert (tmp_path / "report" / target).resolve() == (run / "config.yaml").resolve()


def test_a_bare_table_fills_only_what_it_contains(tmp_path):
    depmm.evaluate(minimal_predictions(), tmp_path, checklists=["tripod-ai", "reforms"])
    tripod = rows_of((tmp_path / "checklist_tripod_ai.html").read_text())
    filled = {number for number, (status, _) in tripod.items() if status != "yours to write"}
    assert {"12e", "23a"} <= filled <= {"10", "12e", "23a", "26"}
    reforms = rows_of((tmp_path / "checklist_reforms.html").read_text())
    filled = {number for number, (status, _) in reforms.items() if status != "yours to write"}
    assert filled <= {"3e", "5f", "7a", "7b", "7c"}


def test_repetitions_of_the_folds_are_not_seeds(tmp_path):
    folds = make_predictions()
    repeated = pd.concat([folds, folds.assign(fold=folds["fold"] + 3)])
    depmm.evaluate(repeated, tmp_path, checklists=["reforms"])
    text = (tmp_path / "checklist_reforms.md").read_text()
    assert "6 tested folds in 2 repetitions, 1 seed." in text


def test_gaps_without_a_test_are_not_counted_as_tested(tmp_path):
    table = make_predictions()
    table["task"] = np.where(table["subject"] == "p0", "reading", "interview")  # too few to test
    content = depmm.evaluate(table, tmp_path / "both", checklists=["tripod-ai"])
    outcomes = [(gap["grouping"], gap["p"] is None) for gap in content["subgroup_gaps"]]
    n_tested = outcomes.count(("gender", False))
    assert n_tested == len(outcomes) - outcomes.count(("task", True)) > 0
    answer = rows_of((tmp_path / "both" / "checklist_tripod_ai.html").read_text())["14"][1]
    assert f"Gaps tested by gender: 0 of {n_tested} are shown (Holm)." in answer
    assert f"Gaps without a test: {outcomes.count(('task', True))}." in answer
    alone = table.drop(columns="gender")
    depmm.evaluate(alone, tmp_path / "alone", checklists=["tripod-ai"])
    answer = rows_of((tmp_path / "alone" / "checklist_tripod_ai.html").read_text())["14"][1]
    assert "none of which can be tested" in answer


def test_an_answer_without_an_existing_place_is_not_filled():
    metrics = evaluate_predictions(minimal_predictions(), n_bootstrap=20, confidence=0.9)
    metrics |= {"coverage": None, "flow": None, "ledger": None}
    metrics["leakage"] = list_leakage_checks(metrics, None, None, tuned=False, corpora={})
    for checklist in CHECKLISTS.values():
        assert all(row.answer is None for row in fill_items(checklist, Evidence(metrics)))


def test_several_runs_have_no_checklist(evaluated, tmp_path):
    run, _ = evaluated
    with pytest.raises(EvaluationError) as info:
        depmm.evaluate([run, run.parent / "other"], tmp_path, checklists=["reforms"])
    assert info.value.setting == "checklists"
    with pytest.raises(EvaluationError):
        depmm.evaluate(minimal_predictions(), checklists=["reforms"])


def test_the_ledger_lists_runs_on_the_same_manifest(evaluated):
    run, content = evaluated
    runs = content["ledger"]["runs"]
    assert {entry["name"]: entry["this"] for entry in runs} == {"run": True, "other": False}
    own = next(entry for entry in runs if entry["this"])
    assert own["metrics"]["auroc"] == content["metrics"]["auroc"]["value"]
    other = next(entry for entry in runs if not entry["this"])
    assert other["shared_test_subjects"] == content["counts"]["test"]["subjects"]
    assert (other["seeds"], other["evaluated"]) == ([7], False)
    assert content["ledger"]["searched"] == str(run.parent)


def test_the_flow_ends_with_the_predicted_sessions(evaluated):
    _, content = evaluated
    stages = {stage["name"]: stage for stage in content["flow"]["stages"]}
    assert list(stages) == ["found", "labelled", "recorded", "extracted", "used"]
    assert stages["used"]["sessions"] == sum(
        content["counts"][split]["sessions"] for split in ("train", "validation", "test")
    )
    assert all(entry["missing"] == 0 for entry in content["flow"]["modalities"])


AUDIT = {"verdict": "PASS", "findings": [], "not_checked": [], "checks": []}


def leaks(audit=None, tuned=False, table=None):
    metrics = evaluate_predictions(
        minimal_predictions() if table is None else table, n_bootstrap=20, confidence=0.9
    )
    return {
        line["name"]: line["status"]
        for line in list_leakage_checks(metrics, audit, None, tuned, {})
    }


def test_leaks_without_evidence_are_not_checked():
    statuses = leaks()
    assert statuses.pop("thresholds") == "checked"
    assert set(statuses.values()) == {"not checked"}
    assert leaks(AUDIT)["copies"] == "not checked"


def test_the_audit_decides_about_copies():
    checks = ["duplicate_files", "shared_files", "duplicate_rows"]
    assert leaks(AUDIT | {"checks": checks})["copies"] == "checked"
    assert leaks(AUDIT | {"checks": checks[:1]})["copies"] == "not checked"
    finding = {"name": "shared_files", "severity": "error", "message": ""}
    assert leaks(AUDIT | {"checks": checks, "findings": [finding]})["copies"] == "problem"
    assert leaks(AUDIT | {"checks": ["missing_subject_ids"]})["identities"] == "not checked"
