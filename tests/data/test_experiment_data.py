"""Sessions of an experiment, from manifest, store and config."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_corpus import FEATURE_CONFIG, make_feature_corpus
from session_data import tiny_config

from depmm.config import ExtractConfig, load_config
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.errors import DataError
from depmm.data.experiment_data import describe_sessions, load_experiment_data
from depmm.errors import DepmmError
from depmm.store.errors import StoreError
from depmm.store.extract import extract


def test_all_sessions_of_the_manifest_have_target_and_split(corpus):
    data = load_experiment_data(tiny_config(corpus))
    assert len(data.sessions) == len(data.dataset) == 12
    assert data.excluded == {}
    assert data.score_range == (0.0, 1.0)
    all_indices = [*data.indices("train"), *data.indices("validation"), *data.indices("test")]
    assert sorted(all_indices) == list(range(12))
    sessions = corpus.manifest.sessions
    assert data.sessions["target"].tolist() == sessions["label"].tolist()
    assert data.sessions["split"].tolist() == sessions["split"].tolist()
    severity = load_experiment_data(tiny_config(corpus, "target={kind: severity, column: score}"))
    assert severity.score_range == (0.0, 63.0)
    assert severity.sessions["target"].tolist() == sessions["score"].tolist()


def test_covariates_of_sessions_come_from_their_steps():
    sessions = pd.DataFrame({"corpus": "c", "subject": ["a", "b", "c"], "session": "1"})
    steps = pd.DataFrame(
        [  # in another order than the sessions
            ("c", 0.0, 2.0, None, None),
            ("b", 0.0, 1.5, "reading", "negative"),
            ("b", 2.0, 4.0, "reading", None),
            ("a", 1.0, 3.0, "reading", "neutral"),  # overlaps the next
            ("a", 2.0, 5.0, "interview", "neutral"),
        ],
        columns=["subject", "start_s", "end_s", "task", "valence"],
    ).assign(corpus="c", session="1", audio="a.wav", face=None)
    sound = pd.Series([9.0, 0.0, 7.0])
    table = describe_sessions(sessions, steps, sound)
    assert table["n_steps"].tolist() == [2, 2, 1]
    assert table["duration_s"].tolist() == [4.0, 3.5, 2.0]
    assert table["task"].fillna("-").tolist() == ["-", "reading", "-"]
    assert table["valence"].fillna("-").tolist() == ["neutral", "-", "-"]
    # one step has no end: the duration of every session is that of its sound
    table = describe_sessions(sessions, steps.assign(end_s=[np.nan, 1.5, 4, 2, 5]), sound)
    assert table["duration_s"].fillna(-1).tolist() == [9, -1, 7]
    with_columns = sessions.assign(task="corpus", duration_s=["1", None, "2.5"])
    table = describe_sessions(with_columns, steps, sound)
    assert table["task"].tolist() == ["corpus"] * 3
    assert table["duration_s"].fillna(-1).tolist() == [1, -1, 2.5]
    with pytest.raises(DataError) as info:
        describe_sessions(with_columns.assign(duration_s=["1", "long", "2"]), steps, sound)
    error = info.value
    assert (error.column, error.subject, error.session, error.value) == (
        "duration_s", "b", "1", "long",
    )  # fmt: skip


def test_sessions_without_the_modality_are_excluded_and_counted(corpus, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    index = pd.read_parquet(store / "index.parquet")
    index.loc[0, ["audio_s", "n_frames_with_face"]] = 0
    index.drop(index=3).to_parquet(store / "index.parquet")
    data = load_experiment_data(tiny_config(corpus, f"data.store={store}"))
    assert len(data.sessions) == 10
    assert data.excluded == {"with neither audio nor face in the store": 2}
    assert [subject for _, subject, _ in data.dataset.session_keys[:3]] == ["S002", "S003", "S005"]


@pytest.mark.parametrize(
    ("override", "attributes"),
    [
        ("target={column: moood}", {"setting": "target.column", "value": "moood"}),
        (
            "target={column: gender}",
            {"setting": "target.column", "session": "S001_1", "value": "female"},
        ),
        ("target={column: age}", {"setting": "target.column", "session": "S001_1", "value": 43.0}),
        (
            "target={kind: severity, column: gender}",
            {"setting": "target.column", "column": "gender", "value": "female"},
        ),
        (
            "target={column: gender, positive: [women], negative: [male]}",
            {"setting": "target.positive", "column": "gender", "value": "women"},
        ),
        ("extract.face.frames_per_second=9.0", {"setting": "extract.face.frames_per_second"}),
        ("data.store=nowhere", {"file": Path("nowhere")}),
        (
            "data.steps={task: [interview]}",
            {"setting": "data.steps.task", "column": "task", "value": "interview"},
        ),
        ("data.max_steps=3", {"setting": "data.max_steps", "session": "S001_1", "value": 4}),
        (
            "model.fusion.num_steps=24",
            {"setting": "model.fusion.num_steps", "subject": "S001", "value": 4},
        ),
    ],
)
def test_errors_carry_setting_session_and_value(corpus, override, attributes):
    with pytest.raises(DepmmError) as info:
        load_experiment_data(tiny_config(corpus, override))
    assert {name: getattr(info.value, name) for name in attributes} == attributes
    assert info.value.remedy


@pytest.mark.parametrize("name", ["n_frames", "audio_s", "streams", "n_selected_steps", "index"])
def test_a_corpus_may_have_columns_named_like_those_of_the_index(corpus, tmp_path, name):
    sessions = corpus.manifest.sessions.assign(**{name: "corpus value"})
    write_manifest(replace(corpus.manifest, sessions=sessions), tmp_path / "manifest")
    data = load_experiment_data(tiny_config(corpus, f"data.manifest={tmp_path / 'manifest'}"))
    assert len(data.sessions) == 12
    assert data.sessions[name].eq("corpus value").all()


def test_streams_with_other_columns_are_an_error_before_training(tmp_path):
    root = make_feature_corpus(tmp_path) / "toy"
    (tmp_path / "toy.yaml").write_text(FEATURE_CONFIG.format(base=tmp_path))
    config = load_config(tmp_path / "toy.yaml")
    assert len(load_experiment_data(config).sessions) == 12
    path = root / "305_face.txt"
    path.write_text(path.read_text().replace("AU01_r, AU02_r", "AU02_r, AU01_r"))
    path.write_text(path.read_text() + " ")  # a changed size: the session is extracted again
    manifest = read_manifest(tmp_path / "manifest")
    report = extract(manifest, root, tmp_path / "store", ExtractConfig(), workers=1)
    assert report.warnings["name"].tolist() == ["columns_differ"]
    with pytest.raises(DataError) as info:
        load_experiment_data(config)
    assert (info.value.session, info.value.file) == ("305", Path("305_face.txt"))
    assert info.value.setting == "data.features"
    assert info.value.remedy


def test_a_store_of_another_corpus_is_named(corpus, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    index = pd.read_parquet(store / "index.parquet")
    index.assign(corpus="interviews").to_parquet(store / "index.parquet")
    with pytest.raises(DataError) as info:
        load_experiment_data(tiny_config(corpus, f"data.store={store}"))
    assert (info.value.setting, info.value.file) == ("data.store", store)
    assert "interviews" in str(info.value)


@pytest.mark.parametrize("change", ["fewer", "shorter", "longer", "moved", "other text", "file"])
def test_a_store_with_other_steps_than_the_manifest_is_refused(corpus, tmp_path, change):
    steps = corpus.manifest.steps.copy()
    first = steps["session"] == steps["session"].iloc[0]
    length = steps["end_s"] - steps["start_s"]
    match change:
        case "fewer":
            steps = steps[~(first & (steps["step"] == steps["step"].max()))]
        case "shorter":
            steps.loc[first, "end_s"] -= 0.5 * length[first]
        case "longer":
            steps.loc[first, "end_s"] += 0.5 * length[first]
        case "moved":
            steps.loc[first, ["start_s", "end_s"]] += 0.1
        case "other text":
            steps.loc[first, "text"] = "word"
        case "file":
            steps.loc[first, "audio"] = "other/S000.flac"
    write_manifest(replace(corpus.manifest, steps=steps), tmp_path / "manifest")
    with pytest.raises(StoreError) as info:
        load_experiment_data(tiny_config(corpus, f"data.manifest={tmp_path / 'manifest'}"))
    assert info.value.setting == "data.store"
    assert info.value.session == steps["session"].iloc[0]
    assert "1 session of" in str(info.value)
    assert ("steps there, and" in str(info.value)) == (change == "fewer")
    assert "depmm extract again" in str(info.value)


def test_a_corpus_may_be_moved_after_the_extraction(corpus, tmp_path):
    steps = corpus.manifest.steps.copy()
    for name in ("audio", "face"):
        steps[name] = "other/" + steps[name].astype(str)
    write_manifest(replace(corpus.manifest, steps=steps), tmp_path / "manifest")
    data = load_experiment_data(tiny_config(corpus, f"data.manifest={tmp_path / 'manifest'}"))
    assert len(data.sessions) == len(corpus.manifest.sessions)
