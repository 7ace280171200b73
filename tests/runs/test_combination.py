"""Folder of a combination of runs: evaluation alone and in comparison, and refusals."""

import json

import numpy as np
import pandas as pd
import pytest
from simulated_predictions import simulated_predictions

from depmm.evaluation.combination import CombinationError
from depmm.files.checksums import write_table, write_text
from depmm.files.damage import DamagedFileError
from depmm.runs.combination import combine, is_combination
from depmm.runs.contents import read_run
from depmm.runs.folder import RunError, RunFolder, find_model_folders


@pytest.fixture
def tables(tmp_path):
    """Write predictions of two programs for the same 24 tested sessions."""
    rng = np.random.default_rng(0)
    paths = []
    for name in ("audio", "face"):
        rows = simulated_predictions(validation=20, test=24).drop(columns=["score", "score_pred"])
        noisy = rows["y_prob"] + rng.normal(scale=0.3, size=len(rows))
        rows["y_prob"] = noisy.clip(0, 1)
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        paths.append(tmp_path / f"{name}.csv")
    return paths


@pytest.mark.slow
def test_a_combination_is_evaluated_alone_and_compared(tables, tmp_path, depmm):
    out = tmp_path / "both"
    result = depmm("combine", *tables, "--out", out)
    assert result.code == 0, result.err
    assert f"{out}: 48 predictions combined" in result.out
    assert "limited" in result.out
    description = json.loads((out / "combination.json").read_text())
    assert description["runs"] == ["audio", "face"]
    assert description["rows_missing"] == {"audio": 0, "face": 0}
    assert description["clipped_probabilities"] > 0
    result = depmm("evaluate", out)
    assert result.code == 0, result.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["metrics"]["auroc"]["value"] > 0.5
    report = tmp_path / "comparison"
    result = depmm("compare", out, tables[0], "--out", report)
    assert result.code == 0, result.err
    rows = json.loads((report / "metrics.json").read_text())["comparison"]
    assert {rows[0]["run_a"], rows[0]["run_b"]} == {"both", "audio"}
    assert depmm("explain", out).code == 2
    assert depmm("predict", out, tables[0]).code == 2
    code, _, err = depmm("ask", out, "modalities")
    assert code == 2
    assert "ask, or predict recordings with, these runs" in err
    code, _, err = depmm("ask", out.with_name(f"{out.name}x"), "modalities")
    assert code == 2
    assert f"Did you mean {out}?" in err
    # a combination can be combined with another run, and be replaced
    third = pd.read_csv(tables[0]).assign(y_prob=lambda rows: rows["y_prob"] ** 2)
    third.to_csv(tmp_path / "text.csv", index=False)
    combined = combine([out, tmp_path / "text.csv"], tmp_path / "three")
    assert len(combined.predictions) == 48
    assert depmm("combine", *tables, "--out", out).code == 0


def test_settings_of_the_evaluation_are_kept(tables, tmp_path):
    first, second, out = tmp_path / "first", tmp_path / "second", tmp_path / "out"
    others = []
    for path in tables:
        others.append(tmp_path / f"{path.stem}_other.csv")
        other = pd.read_csv(path).assign(y_prob=lambda rows: rows["y_prob"] ** 2)
        other.to_csv(others[-1], index=False)
    combine(tables, first)
    combine(others, second)
    content = json.loads((first / "combination.json").read_text())
    assert content["evaluation"] == {}
    for folder, n_bootstrap in ((first, 150), (second, 180)):
        settings = {"n_bootstrap": n_bootstrap, "confidence": 0.9, "class_counts": "fixed"}
        described = json.loads((folder / "combination.json").read_text())
        write_text(folder / "combination.json", json.dumps({**described, "evaluation": settings}))
    combine([first, second], out)
    run = read_run(out)
    assert (run.n_bootstrap, run.confidence, run.class_counts) == (180, 0.9, "fixed")
    write_text(first / "combination.json", json.dumps(content))
    with pytest.raises(CombinationError) as info:
        combine([first, second], tmp_path / "other")
    assert info.value.setting == "evaluation.confidence"
    write_text(first / "combination.json", json.dumps({**content, "evaluation": {"confidence": 7}}))
    with pytest.raises(DamagedFileError) as damaged:
        read_run(first)
    assert damaged.value.file == first / "combination.json"


def test_a_combination_has_no_network(tables, tmp_path):
    out = tmp_path / "both"
    combine(tables, out)
    assert is_combination(out)
    with pytest.raises(RunError) as info:
        find_model_folders(out)
    assert info.value.file == out
    assert "audio, face" in str(info.value)


def test_a_run_is_not_added_twice(tables, tmp_path):
    """Neither as a copy under another name, nor as a part of another combination."""
    copy = tmp_path / "copy.csv"
    copy.write_bytes(tables[0].read_bytes())
    with pytest.raises(CombinationError, match="audio and copy have the same predictions"):
        combine([tables[0], copy], tmp_path / "out")
    combine(tables, tmp_path / "both")
    with pytest.raises(CombinationError, match="both is a combination that contains audio"):
        combine([tmp_path / "both", tables[0]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_folders_and_repeated_runs_are_refused(tables, tmp_path):
    with pytest.raises(CombinationError) as info:
        combine([tables[0], tables[0]], tmp_path / "out")
    assert info.value.file == tables[0]
    with pytest.raises(CombinationError) as info:
        combine(tables, tmp_path)
    assert info.value.file == tmp_path


def test_a_combination_is_listed_among_the_runs_on_its_manifest(tables, tmp_path):
    runs = []
    for path in tables:
        runs.append(tmp_path / "runs" / path.stem)
        runs[-1].mkdir(parents=True)
        write_table(RunFolder(runs[-1]).predictions, pd.read_csv(path))
        write_text(runs[-1] / "environment.json", json.dumps({"manifest_sha256": "abc"}))
    out = tmp_path / "runs" / "both"
    combine(runs, out)
    ledger = read_run(out).ledger
    assert ledger["unreadable"] == 2  # the two folders have no config
    (entry,) = ledger["runs"]
    assert (entry["name"], entry["this"], entry["shared_test_subjects"]) == ("both", True, 24)
    assert entry["model"] == "sum of logits of audio and face"
