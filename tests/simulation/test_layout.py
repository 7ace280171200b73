"""Simulation in the layout of every spec: it indexes whole, and what is planted is there."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput, Finding
from depmm.config import MODALITIES, load_config
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest, write_manifest
from depmm.corpora.patterns import compile_pattern, fill_pattern
from depmm.corpora.spec import SpecError, load_spec, parse_spec
from depmm.corpora.tables import read_table
from depmm.media.duration import duration_s
from depmm.media.feature_files import read_features
from depmm.runs.folder import RunFolder
from depmm.simulation.layout import CONFOUNDS, parse_confounds, simulate_layout
from depmm.simulation.writers import write_cells, write_objects
from depmm.store.extract import extract
from depmm.training.loop import build_accelerator, train

SPECS = sorted((Path(__file__).parents[2] / "data_specs").glob("*.yaml"))
HEAD = "name: toy\ntitle: t\ncitation: c\nlicence: l\naccess: a\n"
VOICES = (
    HEAD
    + """
recordings:
  - pattern: "{part}/{subject}_{visit:int}.wav"
    modalities: [audio]
session: "{subject}_{visit}"
required_modalities: [audio]
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {phq: score, gender: sex, age: age}
codes:
  split: {of: part, names: {tr: train, va: validation, te: test}}
  gender: {names: {1: female, 2: male}}
label: {instrument: PHQ-8, score: phq}
"""
)
FILMS = VOICES.replace(".wav", ".mp4").replace("[audio]", "[audio, face]")


def spec_of(name: str) -> Any:
    return load_spec(next(path for path in SPECS if path.stem == name))


def made(spec: Any, out: Path, **options: Any) -> tuple[dict[str, Any], Manifest, IndexReport]:
    """Simulate and index."""
    truth = simulate_layout(out, spec, **options)
    return truth, *index_corpus(spec, out, duration_s)


def found(manifest: Manifest, name: str) -> list[Finding]:
    return [one for one in audit_manifest(AuditInput(manifest)).findings if one.name == name]


def content(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


# ---- every spec --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_goes_from_its_own_simulation_to_predictions(path, tmp_path):
    # faces as aligned: drawn faces need no tracker
    spec, out = load_spec(path).model_copy(update={"faces": "aligned"}), tmp_path / "corpus"
    truth, manifest, report = made(spec, out, subjects=6, words=1, seed=1)
    assert (report.missing, report.unused, report.superseded, report.excluded) == ((), (), (), ())
    assert report.unrelated_folders == {}
    assert json.loads((out / "truth.json").read_text(encoding="utf-8")) == truth
    manifest_says_what_is_true(spec, truth, manifest, out)

    assert found(manifest, "split_overlap") == []
    write_manifest(manifest, tmp_path / "m")
    config = tmp_path / "simulated.yaml"
    config.write_text(yaml.safe_dump(one_epoch(spec, manifest, tmp_path)))
    settings = load_config(config, [])
    done = extract(
        manifest, out, tmp_path / "s", settings.extract, workers=1, show_progress=False
    )  # fmt: skip
    assert (done.extracted, len(done.failures)) == (len(truth["sessions"]), 0), done.failures
    folder = RunFolder(tmp_path / "run")
    train(settings, folder, build_accelerator(settings), lambda line: None)
    table = pd.read_parquet(folder.predictions)
    assert set(table["session"]) == set(truth["sessions"])
    assert set(table["split"]) == {"train", "validation", "test"}
    assert table["y_prob"].between(0, 1).all()
    if settings.split.kind == "official":
        told = {session: one["split"] for session, one in truth["sessions"].items()}
        assert dict(zip(table["session"], table["split"], strict=True)) == told
    if settings.target.column == "label":
        told = {session: one["label"] for session, one in truth["sessions"].items()}
        assert dict(zip(table["session"], table["y_true"], strict=True)) == told


def manifest_says_what_is_true(spec, truth, manifest, out):
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
        person = truth["subjects"][expected["subject"]]
        if expected["label"] is not None:
            assert expected["label"] == (person["diagnosis"] == "depressed")
        if not pd.isna(row["gender"]):
            assert row["gender"] == person["gender"]
        if not pd.isna(row["age"]):
            assert row["age"] == person["age"]
        for file in expected["files"]:
            assert (out / file).is_file()
    listed = {*manifest.steps["audio"], *manifest.steps["face"], *manifest.features["path"]}
    written = {file for one in truth["sessions"].values() for file in one["files"]}
    assert listed - {None, np.nan} <= written | {np.nan}
    if spec.label:
        assert set(sessions["label"]) == {0, 1}


def one_epoch(spec, manifest, folder):
    """A tiny experiment on whatever a corpus delivers: its recordings, or its first features."""
    data: dict[str, Any] = {"manifest": str(folder / "m"), "store": str(folder / "s")}
    data |= {"max_audio_s": 1.0, "frames_per_step": 1, "face_size": 32, "max_rows": 20}
    encoders: dict[str, Any] = {
        "audio": {"kind": "mfcc_cnn", "n_mfcc": 13, "channels": [8], "embed_dim": 8},
        "face": {
            "kind": "se_resnet",
            "blocks": [1],
            "channels": [8],
            "reduction": 4,
            "embed_dim": 8,
        },
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
    used = [m for m in MODALITIES if m in streams.index or manifest.steps[m].notna().any()]
    sessions = manifest.sessions
    sides = sessions.groupby("split")["label"].nunique()
    official = all(sides.get(split, 0) == 2 for split in ("train", "validation", "test"))
    target = {}
    if not spec.label:  # what is acted or said, in place of a label of health
        column = "command" if "command" in sessions else "emotion"
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
def test_the_example_of_the_format_is_simulated_whole(tmp_path):
    text = (SPECS[0].parent / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0]
    spec = parse_spec(example.replace("word_list: words_en.csv\n", ""), "README.md")
    truth, manifest, report = made(spec, tmp_path / "c", subjects=4, seed=2)
    assert (report.missing, report.unused, report.superseded, report.excluded) == ((), (), (), ())
    assert len(manifest.sessions) == 8
    assert manifest.sessions["season"].notna().all()
    for session, rows in manifest.steps.groupby("session"):
        assert list(rows["text"]) == truth["sessions"][session]["words"]
        assert rows["valence"].notna().all()
    header = (tmp_path / "c/people.csv").read_text().splitlines()[0]
    assert header == "id;sex;age;postcode"
    units = next((tmp_path / "c").rglob("openface/*.csv")).read_text().splitlines()
    assert units[0].endswith("AU16_r,AU17_r")


def test_an_offset_is_taken_off_the_times_of_the_table(tmp_path):
    steps = """
steps:
  table:
    file: "{subject}.txt"
    sep: " "
    header: false
    columns: [from, to, word]
    join: {subject: subject}
    fields: {start: from, end: to, text: word}
    units_per_second: 1000
"""
    late = VOICES.replace("age: age}", "age: age, offset_s: late}") + steps
    spec = parse_spec(late.replace("_{visit:int}", "").replace("_{visit}", ""), "toy")
    _, manifest, report = made(spec, tmp_path / "c", subjects=2)
    assert report.complete
    for name, rows in manifest.steps.groupby("subject"):
        written = pd.read_csv(tmp_path / f"c/{name}.txt", sep=" ", header=None)
        np.testing.assert_allclose(rows["start_s"], written[0] / 1000 + 0.1, atol=1e-9)
        sound, rate = soundfile.read(tmp_path / "c" / rows["audio"].iloc[0])
        quiet = sound[: round((rows["start_s"].iloc[0] - 0.02) * rate)].std()
        first = sound[round(rows["start_s"].iloc[0] * rate) : round(rows["end_s"].iloc[0] * rate)]
        assert first.std() > 3 * quiet


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avec2014", "daic_woz", "mpdd", "modma", "grid"])
def test_same_seed_same_bytes(name, tmp_path):
    spec = spec_of(name)
    for folder in "ab":
        simulate_layout(tmp_path / folder, spec, subjects=2, words=1, seed=3)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_another_seed_other_bytes(tmp_path):
    for seed in (3, 4):
        simulate_layout(tmp_path / f"{seed}", parse_spec(VOICES, "toy"), subjects=2, seed=seed)
    assert content(tmp_path / "3") != content(tmp_path / "4")


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    spec = parse_spec(VOICES, "toy")
    for folder, workers in (("one", 1), ("two", 2)):
        simulate_layout(tmp_path / folder, spec, subjects=3, words=1, workers=workers)
    assert content(tmp_path / "one") == content(tmp_path / "two")


# ---- layouts -----------------------------------------------------------------------------------


def test_avec2014_has_two_tasks_in_two_kinds_of_file_and_a_label_file_a_session(tmp_path):
    truth, manifest, _ = made(spec_of("avec2014"), tmp_path / "c", subjects=2, words=1)
    for session, one in truth["sessions"].items():
        part = {"train": "Training", "validation": "Development", "test": "Testing"}[one["split"]]
        assert sorted(one["files"]) == sorted(
            f"AVEC2014_AudioVisual/{kind}/{part}/{task}/{session}_{task}_{end}"
            for task in ("Freeform", "Northwind")
            for kind, end in (("Video", "video.mp4"), ("Audio", "audio.wav"))
        )
        label = tmp_path / f"c/AVEC2014_AudioVisual/Final_Labels/{session}_Depression.csv"
        assert float(label.read_text()) == one["score"]
    with av.open(str(tmp_path / "c" / manifest.steps["face"].iloc[0])) as video:
        assert not video.streams.audio
        assert video.streams.video[0].average_rate == 25


def test_daic_woz_has_an_interviewer_whose_turns_are_left_out(tmp_path):
    spec, out = spec_of("daic_woz"), tmp_path / "c"
    truth, manifest, _ = made(spec, out, subjects=4)
    name = min(truth["sessions"])
    turns = pd.read_csv(out / f"{name}_P/{name}_TRANSCRIPT.csv", sep="\t")
    assert set(turns["speaker"]) == {"Ellie", "Participant"}
    steps = manifest.steps[manifest.steps["session"] == name]
    assert list(steps["text"]) == truth["sessions"][name]["words"]
    asked = turns[turns["speaker"] == "Ellie"]["stop_time"].max()
    sound, rate = soundfile.read(out / f"{name}_P/{name}_AUDIO.wav")
    assert np.abs(sound[: round(asked * rate)]).max() > 0.02  # she is heard
    assert steps["start_s"].min() > asked
    assert len(sound) / rate > steps["end_s"].max()
    tables = [path for path in out.glob("*_split_*2017.csv") if path.stat().st_size]
    binary = pd.concat(map(pd.read_csv, tables))
    assert ((binary["PHQ8_Score"] >= 10) == (binary["PHQ8_Binary"] == 1)).all()
    units = next(entry.features for entry in spec.recordings if "AUs" in entry.pattern)
    values = np.concatenate(
        [v for _, v in read_features(out / f"{name}_P/{name}_CLNF_AUs.txt", units)]
    )
    lost = np.isnan(values).all(axis=1)
    assert 0 < lost.mean() < 0.3
    # 318 is out of sync: its transcript is ahead of the sound by what the spec states
    assert (name, manifest.sessions["out_of_sync"].tolist().count("yes")) == ("318", 1)
    assert turns["start_time"].min() < -30
    covarep = np.loadtxt(out / f"{name}_P/{name}_COVAREP.csv", delimiter=",")
    assert 0 < np.isneginf(covarep).any(axis=1).mean() < 0.2


def test_what_is_delivered_and_not_read_lies_there(tmp_path):
    """One file for each pattern of ``ignore``, and beside them the truth."""
    spec = spec_of("daic_woz")
    _, _, report = made(spec, tmp_path / "c", subjects=2)
    assert report.ignored == len(spec.ignore) + 1
    assert list((tmp_path / "c").rglob("*_CLNF_hog.*"))


def test_rows_of_the_spec_say_who_is_a_woman(tmp_path):
    truth = simulate_layout(tmp_path / "c", spec_of("emodb"), subjects=10, words=1)
    women = {name for name, one in truth["subjects"].items() if one["gender"] == "female"}
    assert women == {"08", "09", "13", "14", "16"}


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "mpg", "mov"])
def test_containers(ending, tmp_path):
    spec = parse_spec(FILMS.replace(".mp4", f".{ending}"), "toy")
    truth, _, report = made(spec, tmp_path / "c", subjects=2, words=1)
    assert report.complete
    path = tmp_path / "c" / next(iter(truth["sessions"].values()))["files"][0]
    with av.open(str(path)) as video:
        pictures = sum(1 for _ in video.decode(video=0))
    with av.open(str(path)) as video:
        samples = sum(frame.samples for frame in video.decode(audio=0))
    assert pictures > 20
    assert samples / 16_000 == pytest.approx(pictures / 25, abs=0.2)


def test_sheets_and_objects_are_read_back(tmp_path):
    rows = [["1", "a & b"], ["2", "<c>"]]
    write_cells(tmp_path / "x.xlsx", [["id", "note"], *rows])
    write_objects(tmp_path / "x.json", ["id", "note"], rows)
    write_objects(tmp_path / "y.json", ["id", "note"], rows, key="id")
    for table, file in (("file: x.xlsx", "x.xlsx"), ("file: x.json\n    format: json", "x.json"),
                        ("file: y.json\n    format: json\n    key: id", "y.json")):  # fmt: skip
        text = f"tables:\n  - {table}\n    join: {{id: subject}}\n    fields: {{note: note}}\n"
        recordings = 'recordings: [{pattern: "{subject}.wav", modalities: [audio]}]\n'
        spec = parse_spec(f'{HEAD}{recordings}session: "{{subject}}"\n{text}', "toy")
        joined = read_table(spec.tables[0], tmp_path, [file])
        assert {key: row[0].fields["note"] for key, row in joined.rows.items()} == {
            ("1",): "a & b", ("2",): "<c>"
        }  # fmt: skip


def test_a_pattern_is_filled_as_it_is_read():
    text = "**/s{n:int}/**/{a:1}{b:2}_{n}*.wav"
    path = fill_pattern(text, {"n": "7", "a": "x", "b": "yz"}, "deep/er")
    assert path == "deep/er/s7/xyz_7.wav"
    assert compile_pattern(text).match(path) == {"n": "7", "a": "x", "b": "yz"}
    for text in ("a/*.csv", "*", "*/b.csv", "a*.csv"):
        path = fill_pattern(text, {})
        assert compile_pattern(text).match(path) == {}
        assert not any(part.startswith(".") or not part for part in path.split("/"))


# ---- what is planted ---------------------------------------------------------------------------


def loudness(root: Path, truth: dict[str, Any]) -> dict[str, list[float]]:
    level: dict[str, list[float]] = {"depressed": [], "healthy": []}
    for one in truth["sessions"].values():
        sound = soundfile.read(root / one["files"][0])[0]
        level[truth["subjects"][one["subject"]]["diagnosis"]].append(20 * np.log10(sound.std()))
    return level


def test_the_depressed_are_quieter_and_their_features_lower(tmp_path):
    truth = simulate_layout(
        tmp_path / "c", spec_of("daic_woz"), subjects=8, effect=3.0, confounds={"label_noise": 0.25}
    )
    level = loudness(tmp_path / "c", truth)
    mean: dict[str, list[float]] = {"depressed": [], "healthy": []}
    stream = next(e.features for e in spec_of("daic_woz").recordings if "FORMANT" in e.pattern)
    for one in truth["sessions"].values():
        path = next(file for file in one["files"] if "FORMANT" in file)
        values = np.concatenate([v for _, v in read_features(tmp_path / "c" / path, stream)])
        mean[truth["subjects"][one["subject"]]["diagnosis"]].append(float(values.mean()))
    assert np.mean(level["depressed"]) < np.mean(level["healthy"]) - 2
    assert max(mean["depressed"]) < min(mean["healthy"]) - 0.5


def test_gender_is_found_by_the_audit(tmp_path):
    truth, manifest, _ = made(
        parse_spec(VOICES, "toy"), tmp_path / "c", subjects=20, words=1, confounds={"gender": 0.9}
    )
    assert truth["confounds"]["gender"]["affected"] == {
        "depressed female": 9, "depressed male": 1, "healthy female": 1, "healthy male": 9
    }  # fmt: skip
    groups = Counter(zip(manifest.sessions["label"], manifest.sessions["gender"], strict=True))
    assert groups[1, "female"] == groups[0, "male"] == 9
    assert [one.severity for one in found(manifest, "gender_shortcut")] == ["warning"]


def test_a_leak_is_found_by_the_audit(tmp_path):
    truth, manifest, report = made(
        parse_spec(VOICES, "toy"),
        tmp_path / "c",
        subjects=8,
        words=1,
        confounds={"speaker_leak": 2},
    )
    assert report.complete
    hit = truth["confounds"]["speaker_leak"]["affected"]
    assert len(hit) == 2
    splits = manifest.sessions.groupby("subject")["split"].nunique()
    assert set(splits[splits == 2].index) == set(hit)
    (finding,) = found(manifest, "split_overlap")
    assert {person for _, person in finding.subjects} == set(hit)


def test_label_noise_is_in_the_tables_and_not_in_the_signal(tmp_path):
    spec = parse_spec(VOICES, "toy")
    truth, manifest, _ = made(
        spec, tmp_path / "c", subjects=8, effect=3.0, confounds={"label_noise": 0.25}
    )
    hit = truth["confounds"]["label_noise"]["affected"]
    assert len(hit) == 2
    for _, row in manifest.sessions.iterrows():
        person = truth["subjects"][row["subject"]]
        assert (person["label"] != (person["diagnosis"] == "depressed")) == (row["subject"] in hit)
        assert row["label"] == person["label"]
    level = loudness(tmp_path / "c", truth)
    assert np.mean(level["depressed"]) < np.mean(level["healthy"]) - 5


def test_the_depressed_talk_longer(tmp_path):
    spec = parse_spec(VOICES, "toy")
    truth, _, _ = made(spec, tmp_path / "c", subjects=4, words=2, confounds={"duration": 3})
    seconds: dict[str, list[float]] = {"depressed": [], "healthy": []}
    for one in truth["sessions"].values():
        length = duration_s(tmp_path / "c" / one["files"][0])
        seconds[truth["subjects"][one["subject"]]["diagnosis"]].append(length)
    assert min(seconds["depressed"]) > 1.7 * max(seconds["healthy"])
    assert len(truth["confounds"]["duration"]["affected"]) == 2


def test_a_dead_camera_shows_black_and_features_know_nothing(tmp_path):
    truth, _, _ = made(
        parse_spec(FILMS, "toy"),
        tmp_path / "f",
        subjects=4,
        words=1,
        confounds={"black_video": 0.5},
    )
    dark = truth["confounds"]["black_video"]["affected"]
    assert len(dark) == 2
    for session, one in truth["sessions"].items():
        with av.open(str(tmp_path / "f" / one["files"][0])) as video:
            picture = next(video.decode(video=0)).to_ndarray(format="rgb24")
        assert (picture.max() < 20) == (session in dark)
    spec = spec_of("daic_woz")
    truth = simulate_layout(tmp_path / "d", spec, subjects=2, words=1, confounds={"black_video": 1})
    for entry in (entry for entry in spec.recordings if entry.modalities == ["face"]):
        one = min(truth["sessions"])
        path = tmp_path / "d" / fill_pattern(entry.pattern, {"subject": one})
        values = np.concatenate([v for _, v in read_features(path, entry.features)])
        assert np.isnan(values).all()


def test_missing_audio_is_no_file_or_no_sound_track(tmp_path):
    confounds = {"missing_audio": 0.5}
    truth, _, report = made(
        spec_of("avec2014"), tmp_path / "a", subjects=2, words=1, confounds=confounds
    )
    hit = truth["confounds"]["missing_audio"]["affected"]
    assert len(hit) == len(report.missing) == 2
    assert {item.message for item in report.missing} == {"no audio file for this step"}
    assert not any((tmp_path / "a" / path).exists() for path in hit)
    truth, _, report = made(
        parse_spec(FILMS, "toy"), tmp_path / "f", subjects=4, words=1, confounds=confounds
    )
    assert report.complete
    for one in truth["sessions"].values():
        with av.open(str(tmp_path / "f" / one["files"][0])) as video:
            silent = one["files"][0] in truth["confounds"]["missing_audio"]["affected"]
            assert len(video.streams.audio) == (not silent)


# ---- what cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 1}, "subjects is 1: use at least 2"),
        ({"words": 0}, "words is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"effect": float("nan")}, "effect is nan"),
        ({"workers": 0}, "workers is 0"),
        ({"confounds": {"gendre": 0.9}}, "Did you mean 'gender'"),
        ({"confounds": {"gender": 1.5}}, "gender is 1.5: share of women.*from 0 to 1"),
        ({"confounds": {"duration": 0.5}}, "duration is 0.5.*from 1 to 10"),
        ({"confounds": {"duration": float("nan")}}, "duration is nan"),
        ({"confounds": {"speaker_leak": 1.5}}, "speaker_leak is 1.5: a whole number"),
        ({"confounds": {"speaker_leak": 9}, "subjects": 4}, "speaker_leak is 9.*at most 4 people"),
        ({"confounds": {"black_video": 1}}, "black_video: toy has no face"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        simulate_layout(tmp_path / "c", parse_spec(VOICES, "toy"), **options)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("emodb", {"subjects": 11}, "emodb: the spec knows 10 people, 11 were asked for"),
        ("grid", {"confounds": {"label_noise": 0.5}}, "grid has no label"),
        ("eatd", {"confounds": {"speaker_leak": 1}}, "eatd: speaker_leak needs a layout"),
        ("ravdess", {"confounds": {"speaker_leak": 1}}, "ravdess has .* the splits none"),
    ],
)
def test_what_a_layout_cannot_carry_is_refused(name, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        simulate_layout(tmp_path / "c", spec_of(name), **{"words": 1} | options)
    assert not (tmp_path / "c").exists()


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something: give a new or empty folder"):
        simulate_layout(tmp_path, parse_spec(VOICES, "toy"))
    assert content(tmp_path).keys() == {"mine.txt"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("simulate: {fields: {vist: [1]}}", r"simulate.fields: 'vist'.*Did you mean 'visit'"),
        ("simulate: {fields: {visit: []}}", "no value. Give at least one"),
        ("simulate: {columns: {x.csv: [a]}}", "'x.csv' is not given by a file with header"),
        ("simulate: {shapes: {x: [1]}}", "'x' is not given by features in arrays"),
        ("simulate: {infinite: [x]}", "'x' is not given by features in tables"),
        ("simulate: {excluded_rows: {who: [Ellie]}}", "'who' is not given by steps.table.keep"),
        ("simulate: {values_by_label: {phq: [1]}}", "1 values. Give two"),
        ("simulate: {session_per_subject: 2}", "Did you mean 'sessions_per_subject'"),
    ],
)
def test_a_spec_cannot_speak_of_what_it_lacks(change, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(f"{VOICES}{change}\n", "toy")


@pytest.mark.parametrize(
    ("pattern", "simulate", "message"),
    [
        ("{subject}.rm", "{}", "cannot be simulated. Give the pattern another ending"),
        ("{subject:2}.wav", "{fields: {subject: [a, bcd]}}", "does not match .* right length"),
        ("{subject}-{x}.wav", "{fields: {subject: [a-b, c-d]}}", "tell the patterns apart"),
    ],
)
def test_a_layout_that_does_not_read_back_is_refused(pattern, simulate, message, tmp_path):
    text = f'recordings: [{{pattern: "{pattern}", modalities: [audio]}}]\nsession: "{{subject}}"\n'
    spec = parse_spec(f"{HEAD}{text}simulate: {simulate}\n", "toy")
    with pytest.raises(ValueError, match=message):
        simulate_layout(tmp_path / "c", spec, subjects=2)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("text", ["gender", "gender=", "gender=much"])
def test_plants_of_the_command_line(text):
    assert parse_confounds(["gender=0.9", "speaker_leak=2"]) == {"gender": 0.9, "speaker_leak": 2}
    with pytest.raises(ValueError, match="write NAME=VALUE"):
        parse_confounds([text])
    with pytest.raises(ValueError, match="twice"):
        parse_confounds(["gender=1", "gender=1"])
    assert set(CONFOUNDS) >= {"gender", "duration", "speaker_leak", "label_noise"}
