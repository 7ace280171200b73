"""Simulation in the layout of every spec: it is indexed without gaps, as the truth states."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from simulated_layouts import (
    AUDIO_SPEC,
    SPECS,
    file_hashes,
    findings_of,
    shipped_spec,
    simulate_and_index,
)

from depmm.config import TRACKS, load_config
from depmm.corpora.manifest import write_manifest
from depmm.corpora.spec import SpecError, load_spec, parse_spec
from depmm.media.features.feature_files import read_features
from depmm.runs.folder import RunFolder
from depmm.simulation.layout import simulate_layout
from depmm.simulation.layout_units import LayoutError
from depmm.simulation.participants import SimulationError
from depmm.store.extract import extract
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_simulated_indexed_extracted_and_trained(path, tmp_path):
    # aligned faces: rendered faces need no tracker
    spec, out = load_spec(path).model_copy(update={"faces": "aligned"}), tmp_path / "corpus"
    truth, manifest, report = simulate_and_index(spec, out, subjects=6, words=1, seed=1)
    assert (report.missing, report.unused, report.superseded) == ((), (), ())
    # the features of LMVD have another rate for each modality, so that one of them ends later
    assert all("after the end of another file" in reason for _, reason in report.excluded)
    assert report.unrelated_folders == {}
    assert json.loads((out / "truth.json").read_text(encoding="utf-8")) == truth
    check_manifest(spec, truth, manifest, out)

    assert findings_of(manifest, "split_overlap") == []
    write_manifest(manifest, tmp_path / "m")
    config = tmp_path / "simulated.yaml"
    config.write_text(yaml.safe_dump(one_epoch(spec, manifest, tmp_path)))
    settings = load_config(config, [])
    report_of_extraction = extract(
        manifest, out, tmp_path / "s", settings.extract, workers=0
    )  # fmt: skip
    assert (report_of_extraction.extracted, len(report_of_extraction.failures)) == (
        len(truth["sessions"]),
        0,
    ), report_of_extraction.failures
    warned = report_of_extraction.warnings
    assert warned[~warned["stage"].isin(["audio", "face"])].empty, warned
    folder = RunFolder(tmp_path / "run")
    train_network(settings, folder, build_accelerator(settings))
    table = pd.read_parquet(folder.predictions)
    assert set(table["session"]) == set(truth["sessions"])
    assert set(table["split"]) == {"train", "validation", "test"}
    assert table["y_prob"].between(0, 1).all()
    if settings.split.kind == "official":
        splits = {session: known["split"] for session, known in truth["sessions"].items()}
        assert dict(zip(table["session"], table["split"], strict=True)) == splits
    if settings.target.column == "label":
        labels = {session: known["label"] for session, known in truth["sessions"].items()}
        assert dict(zip(table["session"], table["y_true"], strict=True)) == labels


def check_manifest(spec, truth, manifest, out):
    """Compare every session of the manifest with the truth of the simulation."""
    sessions = manifest.sessions.set_index("session")
    assert set(sessions.index) == set(truth["sessions"])
    assert set(sessions["subject"]) == set(truth["subjects"])
    assert len(truth["subjects"]) == truth["n_subjects"] == 6
    for session, expected in truth["sessions"].items():
        row = sessions.loc[session]
        for name in ("subject", "split", "score", "label"):
            value = None if pd.isna(row[name]) else row[name]
            assert value == expected[name], (session, name)
        subject = truth["subjects"][expected["subject"]]
        if expected["label"] is not None:
            assert expected["label"] == (subject["diagnosis"] == "depressed")
        if not pd.isna(row["gender"]):
            assert row["gender"] == subject["gender"]
        if not pd.isna(row["age"]):
            assert row["age"] == subject["age"]
        for file in expected["files"]:
            assert (out / file).is_file()
    listed = {*manifest.steps["audio"], *manifest.steps["face"], *manifest.features["path"]}
    written = {file for session in truth["sessions"].values() for file in session["files"]}
    assert listed - {None, np.nan} <= written | {np.nan}
    if spec.label:
        assert set(sessions["label"]) == {0, 1}


def one_epoch(spec, manifest, folder):
    """Build a tiny experiment on the recordings of a corpus, or on its first features."""
    data: dict[str, Any] = {"manifest": str(folder / "m"), "store": str(folder / "s")}
    data |= {"max_audio_s": 1.0, "frames_per_step": 1, "face_size": 32, "max_rows": 20}
    face = {"blocks": [1], "channels": [8], "reduction": 4, "embed_dim": 8}
    encoders: dict[str, Any] = {
        "audio": {"kind": "mfcc_cnn", "n_mfcc": 13, "channels": [8], "embed_dim": 8},
        "face": {"kind": "se_resnet", **face},
    }
    streams = manifest.features.drop_duplicates("modality").set_index("modality")
    for modality, row in streams.iterrows():
        if manifest.steps[modality].isna().all():
            stream = next(
                entry.features
                for entry in spec.recordings
                if entry.features and entry.features.name == row["name"]
            )
            _, values = next(iter(read_features(folder / "corpus" / row["path"], stream)))
            encoders[modality] = {"kind": "feature_cnn", "features": values.shape[1],
                                  "channels": [8], "embed_dim": 8}  # fmt: skip
            data.setdefault("features", {})[modality] = row["name"]
    used = [m for m in TRACKS if m in streams.index or manifest.steps[m].notna().any()]
    sessions = manifest.sessions
    classes = sessions.groupby("split")["label"].nunique()
    official = all(classes.get(split, 0) == 2 for split in ("train", "validation", "test"))
    target = {}
    if not spec.label:  # the task of the session instead of depression
        column = next(name for name in ("command", "emotion", "gender") if name in sessions)
        values = sorted(sessions[column].unique())
        target = {"column": column, "positive": values[::2], "negative": values[1::2]}
    return {
        "name": "simulated",
        "target": target,
        "split": {"kind": "official"} if official else {"folds": 3, "validation": 0.5},
        "data": data | {"modalities": used},
        "model": {
            "encoders": {name: encoders[name] for name in used},
            "fusion": {"kind": "mean_pool"},
        },
        "training": {"epochs": 1, "batch_size": 4, "warmup_epochs": 0},
    }


@pytest.mark.slow
def test_the_example_of_the_documentation_is_simulated_without_gaps(tmp_path):
    text = (SPECS[0].parent / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0]
    example = re.sub(r"(?m)^word_list: .*\n", "", example)
    spec = parse_spec(example, "README.md")
    truth, manifest, report = simulate_and_index(spec, tmp_path / "c", subjects=4, seed=2)
    assert (report.missing, report.unused, report.superseded, report.excluded) == ((), (), (), ())
    assert len(manifest.sessions) == 8
    assert manifest.sessions["season"].notna().all()
    for session, rows in manifest.steps.groupby("session"):
        assert list(rows["text"]) == truth["sessions"][session]["words"]
        assert rows["valence"].notna().all()
    header = (tmp_path / "c/subjects.csv").read_text().splitlines()[0]
    assert header == "id;sex;age;postcode"
    units = next((tmp_path / "c").rglob("openface/*.csv")).read_text().splitlines()
    assert units[0].endswith("AU16_r,AU17_r")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avec2014", "daic_woz", "mpdd", "modma", "grid"])
def test_same_seed_gives_same_bytes(name, tmp_path):
    spec = shipped_spec(name)
    for folder in "ab":
        simulate_layout(tmp_path / folder, spec, subjects=2, words=1, seed=3)
    assert file_hashes(tmp_path / "a") == file_hashes(tmp_path / "b")


def test_another_seed_gives_other_bytes(tmp_path):
    spec = parse_spec(AUDIO_SPEC, "toy")
    for seed in (3, 4):
        simulate_layout(tmp_path / f"{seed}", spec, subjects=2, seed=seed)
    assert file_hashes(tmp_path / "3") != file_hashes(tmp_path / "4")


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_corpus(tmp_path):
    spec = parse_spec(AUDIO_SPEC, "toy")
    for folder, workers in (("one", 1), ("two", 2)):
        simulate_layout(tmp_path / folder, spec, subjects=3, words=1, workers=workers)
    assert file_hashes(tmp_path / "one") == file_hashes(tmp_path / "two")


def test_ignored_files_of_a_layout_are_written(tmp_path):
    """One file for each pattern of ``ignore``; the truth is ignored too."""
    spec = shipped_spec("daic_woz")
    _, _, report = simulate_and_index(spec, tmp_path / "c", subjects=2)
    assert report.ignored == len(spec.ignore) + 1
    assert list((tmp_path / "c").rglob("*_CLNF_hog.*"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("subjects", 1), ("words", 0), ("seed", -1), ("effect", float("nan")), ("workers", 0)],
)
def test_arguments_out_of_range_are_errors(name, value, tmp_path):
    with pytest.raises(SimulationError) as info:
        simulate_layout(tmp_path / "c", parse_spec(AUDIO_SPEC, "toy"), **{name: value})
    assert info.value.setting == name
    assert not (tmp_path / "c").exists()


def test_folders_with_other_files_are_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("other")
    with pytest.raises(SimulationError) as info:
        simulate_layout(tmp_path, parse_spec(AUDIO_SPEC, "toy"))
    assert (info.value.setting, info.value.file) == ("out", tmp_path)
    assert file_hashes(tmp_path).keys() == {"notes.txt"}


def test_a_format_that_cannot_be_written_is_an_error(tmp_path):
    spec = parse_spec(AUDIO_SPEC.replace(".wav", ".rm"), "toy")
    with pytest.raises(LayoutError) as info:
        simulate_layout(tmp_path / "c", spec, subjects=2)
    assert info.value.setting == "recordings"
    assert info.value.value == spec.recordings[0].pattern
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "section",
    [
        "fields: {vist: [1]}",
        "fields: {visit: []}",
        "columns: {x.csv: [a]}",
        "shapes: {x: [1]}",
        "infinite: [x]",
        "rows_are_words: [x]",
        "excluded_rows: {who: [Ellie]}",
        "values_by_label: {phq: [1]}",
        "session_per_subject: 2",
    ],
)
def test_the_section_simulate_must_fit_the_layout(section):
    with pytest.raises(SpecError) as info:
        parse_spec(f"{AUDIO_SPEC}simulate: {{{section}}}\n", "toy")
    assert info.value.setting.startswith(f"simulate.{section.partition(':')[0]}")
