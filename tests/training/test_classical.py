"""Classical baselines: fitted on training subjects only, with the files of a network."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from noisy_recordings import replace_audio_by_noise

from depmm.config import ConfigError, load_config, load_experiment
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.errors import DataError
from depmm.models.errors import ModelError
from depmm.runs.contents import read_run
from depmm.runs.folder import RunFolder
from depmm.training.classical import train_classical
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network

ROOT = Path(__file__).parents[2]
AUDIO = ["data.modalities=[audio]"]
CLASSIFIERS = ("adaboost", "gaussian_process", "k_nearest", "svm")  # of the paper
NETWORK = [*AUDIO, "model.encoders.face=null", "model.fusion={kind: mean_pool, dropout: 0.0}"]


def classical(classifier: str = "svm") -> list[str]:
    """Return overrides that replace the network of the tiny experiment by a classifier."""
    settings = f"classical={{model: {{kind: {classifier}}}, n_mfcc: 8, n_mels: 16}}"
    return [*AUDIO, "model=null", "training=null", settings]


def run(corpus, path: Path, *overrides: str) -> pd.DataFrame:
    config = load_experiment(corpus.config, list(overrides))
    train_classical(config, RunFolder(path))
    return pd.read_parquet(path / "predictions.parquet")


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_predicts_every_session_reproducibly(corpus, tmp_path, log, classifier):
    table = run(corpus, tmp_path / "one", *classical(classifier))
    assert log.messages[-1:] == [
        f"{tmp_path / 'one'}: {classifier} fitted on 6 sessions of 6 subjects, "
        "12 predictions written"
    ]
    assert table["session"].tolist() == corpus.manifest.sessions["session"].tolist()
    assert table["y_prob"].between(0, 1).all()
    assert np.ptp(table["y_prob"]) > 0
    again = run(corpus, tmp_path / "two", *classical(classifier))
    # up to rounding, which depends on the alignment of the audio in memory
    pd.testing.assert_frame_equal(table, again, rtol=0, atol=1e-6)


def test_files_and_columns_are_those_of_a_network(corpus, tmp_path):
    config = load_config(corpus.config, [*NETWORK, "training.epochs=1"])
    train_network(config, RunFolder(tmp_path / "network"), build_accelerator(config))
    network = pd.read_parquet(tmp_path / "network" / "predictions.parquet")
    table = run(corpus, tmp_path / "classical", *classical())
    assert table.dtypes.to_dict() == network.dtypes.to_dict()
    pd.testing.assert_frame_equal(table.drop(columns="y_prob"), network.drop(columns="y_prob"))
    files = {path.name for path in (tmp_path / "classical").rglob("*")}
    described = {
        "config.yaml",
        "environment.json",
        "data_summary.json",
        "inference.json",
        "SHA256SUMS",
    }
    assert files == {
        *described,
        "inference.json",
        "corpora.json",
        "split.csv",
        "predictions.parquet",
        "model.skops",
        "measures.csv",
    }
    splits = [(tmp_path / kind / "split.csv").read_bytes() for kind in ("classical", "network")]
    assert splits[0] == splits[1]  # comparisons are paired
    content = read_run(tmp_path / "classical")
    assert (content.n_bootstrap, content.history) == (100, None)
    assert "scikit-learn" in content.environment


def test_a_finished_run_is_not_changed_and_another_config_is_refused(corpus, tmp_path, log):
    run(corpus, tmp_path, *classical())
    log.clear()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run(corpus, tmp_path, *classical())
    assert log.messages == [f"{tmp_path}: already finished"]
    with pytest.raises(ConfigError) as info:
        run(corpus, tmp_path, *classical("adaboost"))
    assert info.value.file == tmp_path / "config.yaml"
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_predictions_have_the_covariates_of_a_session_but_not_its_target(corpus, tmp_path):
    table = run(corpus, tmp_path / "label", *classical()).set_index("session")
    sessions = corpus.manifest.sessions.set_index("session")
    for name in ("gender", "age"):
        assert table[name].tolist() == sessions.loc[table.index, name].tolist()
    steps = corpus.manifest.steps
    seconds = (steps["end_s"] - steps["start_s"]).groupby(steps["session"]).sum()
    np.testing.assert_allclose(table["duration_s"], seconds[table.index])
    assert (table["n_steps"] == 4).all()
    # steps have no task, and every valence is in a session; the interviewer is unknown
    assert not {"task", "valence", "interviewer"} & set(table)
    gender = "target={column: gender, positive: [female], negative: [male]}"
    # the official split has no male validation subjects
    folds = "split={kind: k_fold, folds: 2}"
    predicted = run(corpus, tmp_path / "gender", *classical(), gender, folds)
    assert {"gender", "age"} & set(predicted) == {"age"}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_only_training_subjects_are_fitted(corpus, tmp_path, monkeypatch, split):
    before = run(corpus, tmp_path / "before", *classical())
    sessions = corpus.manifest.sessions
    changed = set(sessions.loc[sessions["split"] == split, "subject"])
    replace_audio_by_noise(monkeypatch, changed)
    after = run(corpus, tmp_path / "after", *classical())
    unchanged = (
        before["y_prob"] - after["y_prob"]
    ).abs() < 1e-5  # noise changes predictions by more than 1e-3
    in_split = before["split"] == split
    assert not unchanged[in_split].any()
    assert unchanged[~in_split].any() == (split != "train")
    assert unchanged[~in_split].all() == (split != "train")


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_labels_of_validation_and_test_subjects_have_no_influence(corpus, tmp_path, classifier):
    manifest = read_manifest(corpus.folder)
    sessions = manifest.sessions
    for split in ("validation", "test"):
        rows = sessions["split"] == split
        sessions.loc[rows, "label"] = 1 - sessions.loc[rows, "label"]
    write_manifest(manifest, tmp_path / "flipped")
    one = run(corpus, tmp_path / "one", *classical(classifier))
    flipped = f"data.manifest={tmp_path / 'flipped'}"
    two = run(corpus, tmp_path / "two", *classical(classifier), flipped)
    assert (one["y_true"] != two["y_true"]).tolist() == (one["split"] != "train").tolist()
    np.testing.assert_allclose(one["y_prob"], two["y_prob"], rtol=0, atol=1e-6)


def test_a_set_without_a_value_is_refused_and_named(corpus, tmp_path):
    # the faces of this corpus are delivered aligned, without landmarks
    both = "classical={model: {kind: ridge}, measures: {audio: [mfcc], face: [face]}}"
    with pytest.raises(DataError) as info:
        run(corpus, tmp_path, "model=null", "training=null", both, "classical.fusion=late")
    assert (info.value.setting, info.value.value) == ("classical.measures.face", "face")


def test_more_coefficients_than_bands_are_refused(corpus, tmp_path):
    with pytest.raises(ModelError) as info:
        run(corpus, tmp_path, *classical(), "classical.n_mfcc=17")
    assert (info.value.setting, info.value.value) == ("n_mfcc", 17)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_configs_are_paired_with_the_network(classifier):
    folder = ROOT / "experiments" / "configs"
    network = load_config(folder / "emodb_negative.yaml")
    config = load_experiment(folder / f"classical_{classifier}.yaml")
    assert config.classical.model.kind == classifier
    assert (config.target, config.split) == (network.target, network.split)
    assert config.data == network.data.model_copy(update={"augment": config.data.augment})
