"""The command ``depmm audit``, and what a run and its report keep of an audit."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from audit_manifests import split_manifest
from html_page import HtmlPage

from depmm.config import load_config
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.evaluation.reports.report import write_report
from depmm.files.checksums import read_table
from depmm.runs.contents import read_run
from depmm.runs.folder import RunFolder
from depmm.schemas.recordings import RECORDINGS


@pytest.fixture
def command(depmm) -> Callable[..., tuple[int, str, str]]:
    """Run ``depmm audit`` in this process; return exit status, output and errors."""
    return partial(depmm, "audit")


def errors_in(folder: Path) -> dict[str, dict]:
    """Read the errors of an audit by name."""
    findings = json.loads((folder / "audit.json").read_text())["findings"]
    return {finding["name"]: finding for finding in findings if finding["severity"] == "error"}


def test_recordings_are_audited_on_request(corpus, tmp_path, command):
    folder = tmp_path / "manifest"
    shutil.copytree(corpus.folder, folder)
    code, _, _ = command(folder, "--root", corpus.recordings)
    assert code == 0
    content = json.loads((folder / "audit.json").read_text())
    not_checked = [entry["checks"] for entry in content["not_checked"]]
    assert [checks for checks in not_checked if "face_share" not in checks] == [
        ["similar_subjects", "dissimilar_sessions", "missing_identity"],
        ["incomplete_corpus", "unmatched_files"],
    ]
    assert "black_border_shortcut" in {finding["name"] for finding in content["findings"]}
    check_table_of_recordings(folder, content)
    recordings = tmp_path / "recordings"
    shutil.copytree(corpus.recordings, recordings)
    videos = sorted((recordings / "videos").iterdir())
    shutil.copy(videos[0], videos[3])
    videos[5].unlink()
    code, out, _ = command(folder, "--root", recordings)
    assert code == 1
    assert out.startswith("FAIL")
    errors = errors_in(folder)
    assert set(errors) == {"duplicate_files", "missing_files"}
    assert errors["missing_files"]["files"] == [["ewre_simulated", f"videos/{videos[5].name}"]]


def check_table_of_recordings(folder: Path, content: dict) -> None:
    """Check ``recordings.parquet`` and its distributions in ``audit.json`` and on the page."""
    table = read_table(folder / "recordings.parquet")
    RECORDINGS.check(table)
    assert table["frame_rate"].nunique() == 1
    assert table["face_share"].dropna().between(0, 1).all()  # missing without the face model
    assert "SHA256SUMS" in {path.name for path in folder.iterdir()}
    page = (folder / "audit.html").read_text()
    rows = {row["column"]: row for row in content["recordings"]}
    assert {"container", "sample_rate", "rms_db", "brightness"} <= set(rows)
    for name, row in rows.items():
        values = table[name].dropna()
        assert (row["n_files"], row["n_missing"]) == (len(values), len(table) - len(values))
        assert row["n_distinct"] == values.nunique()
        if row["most_frequent"] is None:
            assert row["minimum"] <= row["median"] <= row["maximum"]
            assert row["median"] == values.median()
        assert f'<tr data-name="{name}">' in page


def test_without_the_face_model_faces_are_missing_with_a_note(
    corpus, tmp_path, command, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(tmp_path / "missing.task"))
    folder = tmp_path / "manifest"
    shutil.copytree(corpus.folder, folder)
    command(folder, "--root", corpus.recordings)
    table = read_table(folder / "recordings.parquet")
    assert table["face_share"].isna().all()
    assert table["brightness"].notna().all()
    (skipped,) = (
        entry
        for entry in json.loads((folder / "audit.json").read_text())["not_checked"]
        if "face_share" in entry["checks"]
    )
    assert "face model" in skipped["reason"]
    command(folder)  # without the recordings, their table of the earlier audit is removed
    assert not (folder / "recordings.parquet").exists()


def test_several_manifests_have_one_report(tmp_path, command):
    splits = {"daic_woz": "test", "edaic": "train"}
    for name, split in splits.items():
        write_manifest(split_manifest(name, {"300": split}), tmp_path / name)
    code, out, _ = command(tmp_path / "daic_woz", tmp_path / "edaic", "--out", tmp_path / "both")
    assert code == 1
    assert "300 (daic_woz: test, edaic: train)" in out
    content = json.loads((tmp_path / "both" / "audit.json").read_text())
    assert [Path(entry["folder"]).name for entry in content["manifests"]] == list(splits)
    assert not (tmp_path / "edaic" / "audit.json").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("{one} {one}", "--out"),
        ("{one} --root a --root b", "--root"),
        ("{one} --root {one}", "{one}"),
        ("{one} --allow split_overlp", "'split_overlap'"),
        ("{damaged}", "index.json"),
    ],
)
def test_wrong_arguments_exit_with_2_and_are_named(tmp_path, command, arguments, named):
    for name in ("one", "damaged"):
        write_manifest(split_manifest("toy", {"1": "train"}), tmp_path / name)
    (tmp_path / "damaged" / "index.json").write_text("{}")
    folders = {name: tmp_path / name for name in ("one", "damaged")}
    code, _, err = command(*arguments.format(**folders).split())
    assert code == 2
    assert named.format(**folders) in err


def open_run(corpus, manifest: Path, out: Path) -> RunFolder:
    run = RunFolder(out)
    run.open(load_config(corpus.config, [f"data.manifest={manifest}"]))
    return run


def audit_status(run: RunFolder) -> str:
    return json.loads(run.environment.read_text())["audit"]


def test_a_run_records_the_allowed_findings(corpus, tmp_path, command):
    manifest = read_manifest(corpus.folder)
    manifest.sessions.loc[0, "label"] = 0  # with a score of 34
    write_manifest(manifest, tmp_path / "m")
    run = open_run(corpus, tmp_path / "m", tmp_path / "unaudited")
    assert audit_status(run).startswith("missing")
    assert not run.audit.exists()

    assert command(tmp_path / "m")[0] == 1
    run = open_run(corpus, tmp_path / "m", tmp_path / "failed")
    assert audit_status(run) == "failed: label_score_mismatch"

    assert command(tmp_path / "m", "--allow", "label_score_mismatch")[0] == 0
    run = open_run(corpus, tmp_path / "m", tmp_path / "allowed")
    assert audit_status(run) == "passed; allowed: label_score_mismatch"
    assert run.properties.read_bytes() == (tmp_path / "m" / run.properties.name).read_bytes()
    recorded = run.audit.read_bytes()
    assert json.loads(recorded)["allow"] == ["label_score_mismatch"]

    assert command(tmp_path / "m")[0] == 1
    open_run(corpus, tmp_path / "m", tmp_path / "allowed")  # resumes the run
    assert run.audit.read_bytes() == recorded


def test_the_report_of_a_run_shows_the_allowed_findings(corpus, tmp_path, command):
    manifest = read_manifest(corpus.folder)
    manifest.sessions.loc[0, "label"] = 0
    write_manifest(manifest, tmp_path / "m")
    command(tmp_path / "m", "--allow", "label_score_mismatch")
    run = open_run(corpus, tmp_path / "m", tmp_path / "run")
    table = manifest.sessions[["corpus", "subject", "session", "split", "label"]]
    table = table.rename(columns={"label": "y_true"}).assign(fold=0, seed=0, y_prob=0.5)
    table.to_parquet(run.predictions)
    content = read_run(run.path)
    write_report(
        content.predictions,
        run.path,
        title="t",
        audit=content.audit,
        n_bootstrap=50,
        confidence=0.95,
    )
    page = HtmlPage((run.path / "report.html").read_text())
    (finding,) = (f for f in content.audit["findings"] if f["severity"] == "allowed")
    assert f"({finding['name']}): {finding['message']}" in page.text
    assert content.audit["verdict"] in page.text
