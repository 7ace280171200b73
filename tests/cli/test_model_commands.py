"""Commands that train, evaluate and apply models, and the whole chain of commands."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from cli_results import make_predictions
from trained_runs import AUDIO

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"
TWO_FOLDS = "split={kind: k_fold, folds: 2, validation: 0.4}"


def test_every_stage_from_recordings_to_words(corpus, tmp_path, monkeypatch, depmm):
    monkeypatch.chdir(tmp_path)
    result = depmm("index", corpus.spec, corpus.recordings, "--out", "manifest")
    assert result.code == 0, result.err
    assert json.loads(Path("manifest/index.json").read_text())["counts"]["sessions"] == 12
    result = depmm("audit", "manifest")
    assert result.code == 0, result.err
    assert result.out.startswith("PASS")
    assert "tested properties" in result.out
    assert json.loads(Path("manifest/audit.json").read_text())["passed"]
    assert "gender_shortcut" in Path("manifest/audit.html").read_text()
    result = depmm(
        "extract", "manifest", corpus.recordings, "face.frames_per_second=4.0", "--out", "store",
        "--workers", "1",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "store: 12 sessions extracted" in result.out
    data = ["data.manifest=manifest", "data.store=store", "extract.face.frames_per_second=4.0"]
    result = depmm("train", corpus.config, *data, "training.epochs=1", "out=runs")
    assert result.code == 0, result.err
    assert "epoch   1/1" in result.out
    result = depmm("evaluate", "runs/tiny")
    assert result.code == 0, result.err
    assert json.loads(Path("runs/tiny/metrics.json").read_text())["metrics"]["auroc"]
    assert "balanced_accuracy" in result.out
    assert "baseline" in result.out
    page = Path("runs/tiny/report.html").read_text()
    assert "gender_shortcut" in page
    assert "12 of the 12 sessions of the manifest have a prediction. No session is excl" in page
    card = Path("runs/tiny/README.md").read_text()
    assert 'DepressionModel.from_pretrained("path/to/this/folder")' in card
    methods = ("--method", "integrated_gradients", "--method", "grad_cam")
    result = depmm("explain", "runs/tiny", "--html", *methods)
    assert result.code == 0, result.err
    # 4 subjects, 2 heads, 4 steps; 2 layers, and in face and audio the attention sharing unit
    rows = {
        "attributions": 16,
        "session_attributions": 4,
        "modalities": 8,
        "branches": 16,
        "attention": 4 * 2 * 4 * (2 + 3 + 3),
    }
    rows["faithfulness"] = 4 * (3 + 40)  # 2 default methods, 1 requested; 40 random orders
    rows["region_attributions"] = 4 * 4 * 3  # thirds of the faces, which were aligned before
    *written, absent, explorer = result.out.splitlines()
    assert written == [
        f"runs/tiny/{name}.parquet: {n} rows of test sessions" for name, n in rows.items()
    ]
    assert absent.startswith("no region_occlusion.parquet: ")
    assert explorer.startswith("runs/tiny/explorer.html: ")
    explorer = Path("runs/tiny/explorer.html").read_text()
    assert "explanation of the predictions" in explorer
    assert "Faithfulness of the methods" in explorer
    for name, count in rows.items():
        table = pd.read_parquet(f"runs/tiny/{name}.parquet")
        assert len(table) == count
        assert (table["split"] == "test").all()
    result = depmm(
        "ask", "runs/tiny", "words-by-label", "rank_by=selected", "top=2", "permutations=99"
    )
    assert result.code == 0, result.err
    assert len(result.out.splitlines()) == 1 + 1 + 2  # title, header, words


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> list[str]:
    """Overrides of a cross-validation of two folds in a folder of this module."""
    out = tmp_path_factory.mktemp("runs")
    return [f"out={out}", TWO_FOLDS, "training.epochs=1", *AUDIO]


@pytest.fixture
def cross_validated(corpus, settings, depmm) -> Path:
    """Run of two folds and two seeds; the tests of this module share it."""
    assert depmm("cross-validate", corpus.config, "--seeds", "0,1", *settings).code == 0
    return Path(settings[0].removeprefix("out=")) / "tiny"


def test_cross_validate_resumes_and_pools_predictions(corpus, settings, cross_validated, depmm):
    before = pd.read_parquet(cross_validated / "predictions.parquet")
    tested = before[before["split"] == "test"]
    assert tested.groupby("seed")["session"].nunique().tolist() == [12, 12]
    assert not tested.duplicated(["seed", "session"]).any()
    assert set(before["fold"]) == {0, 1}
    assert len(pd.read_parquet(cross_validated / "history.parquet")) == 4

    shutil.rmtree(cross_validated / "seed-0-fold-1")
    finished = [cross_validated / f"seed-{seed}-fold-0/model.safetensors" for seed in (0, 1)]
    times = [path.stat().st_mtime_ns for path in finished]
    command = ["cross-validate", corpus.config, "--seeds", "0,1", *settings]
    assert depmm(*command).out.count("already finished") == 3
    assert [path.stat().st_mtime_ns for path in finished] == times
    after = pd.read_parquet(cross_validated / "predictions.parquet")
    pd.testing.assert_frame_equal(after, before, atol=1e-5)  # one fold was trained again
    result = depmm(*command, "training.epochs=2")
    assert (result.code, str(cross_validated) in result.err) == (2, True)


def test_a_cross_validation_is_evaluated_and_explained(cross_validated, depmm):
    run = cross_validated
    assert depmm("evaluate", run).code == 0
    (run / "attention.parquet").write_text("of an older model")
    lines = depmm("explain", run).out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{run}/attributions.parquet",
        f"{run}/session_attributions.parquet",
        f"{run}/modalities.parquet",
        f"{run}/branches.parquet",
        *(f"no {name}.parquet" for name in ("attention", "faithfulness")),
        *(f"no region_{name}.parquet" for name in ("attributions", "occlusion")),
    ]
    assert not (run / "attention.parquet").exists()
    attributions = pd.read_parquet(run / "attributions.parquet")
    assert len(attributions) == 2 * 12 * 4
    assert len(pd.read_parquet(run / "modalities.parquet")) == 2 * 12
    explained = attributions.drop_duplicates(["seed", "fold", "session"])
    predictions = pd.read_parquet(run / "predictions.parquet").query("split == 'test'")
    both = explained.merge(predictions, on=["seed", "fold", "session"], validate="1:1")
    assert len(both) == 24
    assert both["y_prob_x"].tolist() == pytest.approx(both["y_prob_y"].tolist(), abs=1e-5)


def test_evaluate_reads_a_table_of_another_program(tmp_path, depmm):
    splits = {"train": range(4), "validation": (4, 5), "test": range(6, 10)}
    rows = [
        ("c", f"0{subject}", "1", split, 0, 0, subject % 2, 0.4 + 0.2 * (subject % 2))
        for split, subjects in splits.items()
        for subject in subjects
    ]
    names = ["corpus", "subject", "session", "split", "fold", "seed", "y_true", "y_prob"]
    table = pd.DataFrame(rows, columns=names)
    table.loc[1, "subject"] = "1"  # another subject than 01
    table.to_csv(tmp_path / "table.csv", index=False)
    result = depmm("evaluate", tmp_path / "table.csv", "--out", tmp_path / "report")
    assert result.code == 0, result.err
    content = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert content["metrics"]["auroc"]["value"] == 1
    assert (tmp_path / "report" / "report.html").is_file()


def test_compare_compares_two_runs(tmp_path, depmm):
    paths = [tmp_path / "run_0.csv", tmp_path / "run_1.csv"]
    for path, first_prob in zip(paths, (0.9, 0.2), strict=True):
        make_predictions(first_prob).to_csv(path, index=False)
    result = depmm("compare", *paths, "--out", tmp_path / "both")
    assert result.code == 0, result.err
    assert "balanced_accuracy  run_0 minus run_1: -0.083" in result.out


def test_compare_refuses_runs_that_cannot_be_compared(tmp_path, depmm):
    paths = [tmp_path / "run_0.csv", tmp_path / "run_1.csv"]
    make_predictions().iloc[1:].to_csv(paths[0], index=False)
    make_predictions().to_csv(paths[1], index=False)
    result = depmm("compare", *paths)
    assert (result.code, "--out" in result.err) == (2, True)
    result = depmm("evaluate", *paths, "--out", tmp_path / "report")
    assert (result.code, "depmm compare" in result.err) == (2, True)
    result = depmm("compare", paths[0], paths[0], "--out", tmp_path / "report")
    assert (result.code, str(paths[0]) in result.err) == (2, True)
    result = depmm("compare", *paths, "--out", tmp_path / "report")
    assert (result.code, "unnamed/00/1" in result.err) == (2, True)
    assert not (tmp_path / "report").exists()


def test_doctor_exits_with_1_if_a_library_is_missing(depmm, monkeypatch, tmp_path):
    model = tmp_path / "face_landmarker.task"
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(model))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = depmm("doctor")
    assert result.code == 0
    rows = [line.split()[:3] for line in result.out.splitlines()]
    assert rows[1] == ["status", "component", "needed"]
    assert ["ok", "torch", "train,"] in rows
    assert ["note", "face", "model"] in rows
    model.write_bytes(b"")
    assert str(model) in depmm("doctor").out
    monkeypatch.setitem(sys.modules, "soundfile", None)
    result = depmm("doctor")
    assert result.code == 1
    assert ["missing", "soundfile"] in [line.split()[:2] for line in result.out.splitlines()]
    assert "pip install soundfile" in result.out


def test_configs_lists_the_configs_and_prints_one(depmm):
    names = [line.split()[0] for line in depmm("configs").out.splitlines()]
    assert names == sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    assert depmm("configs", "demo").out == (CONFIGS / "demo.yaml").read_text()


def test_runs_of_single_tasks_are_pooled(tmp_path, depmm):
    for task in ("interview", "words"):
        table = make_predictions().assign(task=task, split="test", fold=0)
        train = table.assign(subject="t" + table["subject"], split="train")
        pd.concat([table, train]).to_csv(tmp_path / f"{task}.csv", index=False)
    files = [tmp_path / "interview.csv", tmp_path / "words.csv"]
    result = depmm("evaluate", *files, "--pool", "--out", tmp_path / "cells")
    assert result.code == 0, result.err
    content = json.loads((tmp_path / "cells" / "metrics.json").read_text())
    assert {task: entry["sessions"] for task, entry in content["subgroups"]["task"].items()} == {
        "interview": 12,
        "words": 12,
    }
    shutil.copy(files[0], tmp_path / "copy.csv")
    result = depmm("evaluate", files[0], tmp_path / "copy.csv", "--pool", "--out", tmp_path / "x")
    assert result.code == 2
    assert "data.steps" in result.err
