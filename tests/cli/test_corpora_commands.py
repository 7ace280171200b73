"""Commands from recordings to the store: specs, simulate, index, audit, split, extract."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from media_files import tone, write_tracks
from trained_runs import AUDIO

from depmm.config import ExtractConfig
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.simulation import layout
from depmm.store.sessions import SessionStore

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "data_specs"


def test_specs_lists_the_data_specs_and_prints_one(depmm):
    names = [line.split()[0] for line in depmm("specs").out.splitlines()]
    assert names == sorted(path.stem for path in SPECS.glob("*.yaml"))
    assert depmm("specs", "avec2014").out == (SPECS / "avec2014.yaml").read_text()


def test_simulate_writes_the_layout_of_a_spec_that_index_reads(tmp_path, depmm):
    spec = SPECS / "eatd.yaml"
    result = depmm(
        "simulate", tmp_path / "c", "--spec", spec, "--subjects", "4", "--steps", "1",
        "--workers", "1", "--confound", "gender=1", "--confound", "label_noise=0.5",
    )  # fmt: skip
    assert result.code == 0, result.err
    truth = json.loads((tmp_path / "c" / "truth.json").read_text())
    assert len(truth["subjects"]) == len(truth["sessions"]) == 4
    affected = {name: planted["affected"] for name, planted in truth["confounds"].items()}
    assert affected["gender"] == {"depressed female": 2, "healthy male": 2}
    assert len(affected["label_noise"]) == 2
    assert len(result.out.splitlines()) == 1 + len(affected)
    result = depmm("index", spec, tmp_path / "c", "--out", tmp_path / "m")
    assert result.code == 0, result.out
    assert len(read_manifest(tmp_path / "m").sessions) == 4


def test_an_interrupted_simulation_can_be_repeated(tmp_path, depmm, monkeypatch):
    spec = SPECS / "eatd.yaml"
    command = ["simulate", tmp_path / "c", "--spec", spec, "--subjects", "2", "--workers", "1"]

    def interrupt(out: Path, tables: object) -> None:
        assert any(out.iterdir())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layout, "_write_tables", interrupt)
        assert depmm(*command).code == 130
    assert list((tmp_path / "c").iterdir()) == []
    assert depmm(*command).code == 0


def test_audit_exits_with_1_and_extract_records_failures(corpus, tmp_path, depmm):
    manifest = read_manifest(corpus.folder)
    manifest.steps.loc[manifest.steps["subject"] == "S001", ["audio", "face"]] = "videos/no.mp4"
    manifest.sessions.loc[0, "label"] = 0  # contradicts the score of 34
    write_manifest(manifest, tmp_path / "manifest")
    result = depmm("audit", tmp_path / "manifest")
    assert result.code == 1
    findings = json.loads((tmp_path / "manifest" / "audit.json").read_text())["findings"]
    errors = {finding["name"]: finding for finding in findings if finding["severity"] == "error"}
    assert errors["label_score_mismatch"]["message"] in result.out
    assert errors["label_score_mismatch"]["remedy"] in result.out
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    command = ["extract", tmp_path / "manifest", corpus.recordings, "--out", store]
    result = depmm(*command, "--workers", "1")
    assert result.code == 1
    counts = "0 sessions extracted, 11 extracted before, 1 lost; 2 failures, 0 warnings"
    assert f"{store}: {counts}" in result.out
    failures = pd.read_parquet(store / "failures.parquet")
    assert failures["session"].tolist() == ["S001_1", "S001_1"]
    assert failures["stage"].tolist() == ["audio", "face"]
    assert f"{store}/failures.parquet" in result.err


def test_split_writes_folds_that_cross_validate_reads(corpus, tmp_path, depmm):
    out = tmp_path / "folds.csv"
    options = ["folds=2", "repeats=2", "validation=0.4", "--out", out]
    result = depmm("split", corpus.folder, *options)
    assert result.code == 0, result.err
    assert result.out.startswith(f"{out}: 12 subjects, 4 folds. ")
    rows = out.read_text().splitlines()
    assert rows[0] == "corpus,subject,fold,split"
    assert len(rows) == 1 + 4 * 12
    settings = [f"split={{kind: file, file: {out}}}", f"out={tmp_path}", "training.epochs=1"]
    assert depmm("cross-validate", corpus.config, *settings, *AUDIO).code == 0
    tested = pd.read_parquet(tmp_path / "tiny" / "predictions.parquet").query("split == 'test'")
    assert tested["subject"].value_counts().tolist() == [2] * 12
    folds = pd.read_csv(out).query("split == 'test'").sort_values(["fold", "subject"])
    assert tested.sort_values(["fold", "subject"])["subject"].tolist() == folds["subject"].tolist()
    assert depmm("evaluate", tmp_path / "tiny").code == 0
    content = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    assert (content["repeats"], content["counts"]["test"]["subjects"]) == (2, 12)


def test_split_uses_split_and_target_of_a_config(corpus, tmp_path, depmm):
    config, out = tmp_path / "gender.yaml", tmp_path / "folds.csv"
    config.write_text(
        f"base: {corpus.config}\nsplit: {{kind: leave_one_subject_out}}\n"
        "target: {column: gender, positive: [female], negative: [male]}\n"
    )
    assert depmm("split", corpus.folder, "--config", config, "--out", out).code == 0
    assert pd.read_csv(out)["fold"].nunique() == 12


CHANNELS = """
name: clinic
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{subject}.{ext}"
    modalities: [audio]
    CHOICE
session: "{subject}"
"""


@pytest.mark.parametrize(
    ("choice", "hertz", "names"),
    [
        ("channel: 1", 700, []),
        ("channel: 0", 300, []),
        ("track: 0", 700, ["inverted_channels"]),
        ("", 700, ["inverted_channels"]),
    ],
)
def test_a_spec_chooses_the_channel(tmp_path, depmm, choice, hertz, names):
    """Interviewer (300 Hz) left, participant (700 Hz) right; or the participant, inverted left."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    participant = tone(2, 48_000, 700)
    left = tone(2, 48_000, 300) if choice.startswith("channel") else -0.5 * participant
    write_tracks(recordings / "P1.mkv", [np.stack([left, participant])])
    (tmp_path / "spec.yaml").write_text(CHANNELS.replace("CHOICE", choice))
    manifest, store = tmp_path / "manifest", tmp_path / "store"
    result = depmm("index", tmp_path / "spec.yaml", recordings, "--out", manifest)
    assert result.code == 0, result.err
    result = depmm("extract", manifest, recordings, "--out", store, "--workers", "1")
    assert result.code == 0, result.err
    with SessionStore(store, ExtractConfig()).read("clinic", "P1", "P1") as reader:
        sound = reader.read_waveform(0)
    assert np.abs(np.fft.rfft(sound[:16_000])).argmax() == hertz
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.01)
    assert pd.read_parquet(store / "warnings.parquet")["name"].tolist() == names
    assert ("inverted" in result.out + result.err) == bool(names)
    depmm("audit", manifest, "--root", recordings)
    findings = json.loads((manifest / "audit.json").read_text())["findings"]
    assert [f["name"] for f in findings if f["files"]] == names


@pytest.mark.parametrize(("choice", "setting"), [("channel: 2", "channel"), ("track: 1", "track")])
def test_a_track_or_channel_that_does_not_exist_is_a_failure(tmp_path, depmm, choice, setting):
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    write_tracks(recordings / "P1.mkv", [np.stack([tone(2, 48_000, 300), tone(2, 48_000)])])
    (tmp_path / "spec.yaml").write_text(CHANNELS.replace("CHOICE", choice))
    manifest, store = tmp_path / "manifest", tmp_path / "store"
    depmm("index", tmp_path / "spec.yaml", recordings, "--out", manifest)
    result = depmm("extract", manifest, recordings, "--out", store, "--workers", "1")
    assert result.code == 1
    failure = pd.read_parquet(store / "failures.parquet").iloc[0]
    assert failure["file"] == "P1.mkv"
    assert choice.replace(":", "") in failure["cause"]
    assert f"{setting}:" in failure["remedy"]


@pytest.mark.parametrize("command", ["extract", "simulate"])
def test_the_number_of_workers_is_positive(command, corpus, tmp_path, depmm):
    inputs = [corpus.folder, corpus.recordings, "--out"] if command == "extract" else []
    result = depmm(command, *inputs, tmp_path / "out", "--workers", "0")
    assert (result.code, "--workers" in result.err) == (2, True)
    assert not (tmp_path / "out").exists()
