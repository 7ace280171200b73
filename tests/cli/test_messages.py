"""Messages of the command line: exit status, and what they must name."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_results import make_predictions, write_attributions

from depmm.audit import audit_folders
from depmm.cli.application import describe_os_error


def test_the_installed_program_prints_errors_without_a_traceback():
    program = Path(sys.executable).with_name("depmm")
    command = [program, "simulate", "nowhere", "--subjects", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: subjects ")
    assert "Traceback" not in result.stderr


def test_an_interrupted_command_exits_with_130(depmm, corpus, monkeypatch):
    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_folders, "read_manifest", interrupt)
    result = depmm("audit", corpus.folder)
    assert result.code == 130
    assert "same command" in result.err


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "runs/demo"), "runs/demo"),
        (OSError(errno.ENOSPC, "No space left", "runs/.depmm-0a-1-2b.json"), "runs"),
        (FileExistsError(errno.EEXIST, "Failed to create 'runs/demo'. Detail: x"), "runs/demo"),
    ],
)
def test_errors_of_the_file_system_name_the_path(error, path):
    assert describe_os_error(error).startswith(f"{path}: ")


def test_errors_of_the_file_system_without_a_path_keep_their_text():
    assert describe_os_error(OSError("no device")) == "no device"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("specs daic_wos", "'daic_woz'"),
        ("configs dem", "'demo'"),
        ("index {spec} {tmp}/nowhere --out {tmp}/m", "{tmp}/nowhere"),
        ("index {tmp}/no.yaml {recordings} --out {tmp}/m", "{tmp}/no.yaml"),
        ("split {manifest} kind=kfold --out {tmp}/folds.csv", "'k_fold'"),
        ("extract {manifest} {tmp}/nowhere --out {tmp}/s", "{tmp}/nowhere"),
        ("extract {manifest} {tmp} --out {tmp}/s", "depmm index"),
        ("extract {manifest} {recordings} --out {tmp}/table.csv", "{tmp}/table.csv"),
        ("extract {manifest} {recordings} face.fps=9 --out {tmp}/s", "face.fps"),
        ("train {config} training.epoch=9", "'epochs'"),
        ("train {tmp}/no.yaml", "{tmp}/no.yaml"),
        ("train {config} data.manifest={tmp}/evil", "'../x'"),
        ("train {config} data.manifest={tmp}/short", "'gender'"),
        ("train {config} target.column=mood", "'mood'"),
        ("train {config} out={tmp}/table.csv", "{tmp}/table.csv"),
        ("cross-validate {config} --seeds 0,x", "--seeds"),
        ("evaluate {tmp}", "predictions.parquet"),
        ("evaluate {tmp}/no.csv", "{tmp}/no.csv"),
        ("evaluate {tmp}/no_subject.csv", "'subject'"),
        ("evaluate {tmp}/no_prob.csv", "y_prob"),
        ("evaluate {tmp}/nan.csv", "y_prob"),
        ("explain {tmp}", "depmm train"),
        ("predict {tmp} {tmp}/no.mp4", "depmm train"),
        ("predict {tmp} {tmp}/no.mp4 --window 0", "--window"),
        ("predict {tmp} {tmp}/no.mp4 --steps {tmp}/no.csv", "--steps"),
        ("ask {tmp} words-by-label", "depmm explain {tmp}"),
        ("ask {tmp}/explained words-by-lable", "'words-by-label'"),
        ("ask {tmp}/explained words-by-label rank_by=weight", "occlusion"),
        ("ask {tmp}/explained words-by-label --format figure", "--out"),
        ("ask {tmp}/explained session p7", "'p7'"),
        ("ask {tmp}/explained gates --sql x", "--sql"),
        ("ask {tmp}/explained", "words-by-label"),
        ("simulate {recordings} --subjects 1", "subjects"),
        ("simulate {tmp}/new --confound gender=0.9", "--confound"),
        ("simulate {tmp}/new --spec {spec} --confound gender", "NAME=VALUE"),
        ("simulate {tmp}/new --spec {spec} --words x.csv", "--words"),
        ("simulate {tmp} --spec {spec}", "{tmp}"),
    ],
)
def test_mistakes_exit_with_2_and_are_named(corpus, tmp_path, depmm, arguments, named):
    write_attributions(tmp_path / "explained")
    table = make_predictions()
    table.to_csv(tmp_path / "table.csv", index=False)
    table.drop(columns="subject").to_csv(tmp_path / "no_subject.csv", index=False)
    table.rename(columns={"y_prob": "prob"}).to_csv(tmp_path / "no_prob.csv", index=False)
    table.assign(y_prob=[None, *table["y_prob"][1:]]).to_csv(tmp_path / "nan.csv", index=False)
    sessions = corpus.manifest.sessions
    for name, changed in (
        ("evil", sessions.replace("S001", "../x")),
        ("short", sessions.drop(columns="gender")),
    ):
        (tmp_path / name).mkdir()
        shutil.copy(corpus.folder / "steps.parquet", tmp_path / name)
        changed.to_parquet(tmp_path / name / "sessions.parquet")
    paths = {
        "tmp": tmp_path,
        "spec": corpus.spec,
        "recordings": corpus.recordings,
        "manifest": corpus.folder,
        "config": corpus.config,
    }
    result = depmm(*(word.format(**paths) for word in arguments.split()))
    assert result.code == 2
    assert named.format(**paths) in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["extract", "train", "simulate"])
def test_a_missing_library_of_the_system_is_one_error(command, corpus, tmp_path):
    (tmp_path / "cv2").mkdir()
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2" / "__init__.py").write_text(f"raise ImportError({message!r}, name='cv2')")
    arguments = {
        "extract": [corpus.folder, corpus.recordings, "--out", tmp_path / "store"],
        "train": [corpus.config, f"out={tmp_path}", "data.workers=1"],
        "simulate": [tmp_path / "corpus", "--subjects", "6", "--steps", "4"],
    }
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "depmm", command, *map(str, arguments[command])],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "cv2" in done.stderr
    assert "libgl1" in done.stderr
