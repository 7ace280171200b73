"""Runs that can and cannot be used for inference."""

import json
import shutil

import pytest

from depmm.config import load_config
from depmm.corpora.corpus_facts import Windows
from depmm.data.training_reference import TrainingReference
from depmm.inference import InferenceError
from depmm.inference.trained_run import combine_references, read_trained_run


def test_a_run_is_described(run_folder, predictor):
    description = predictor.trained_run.description
    assert description["name"] == run_folder.name
    assert description["n_models"] == 1
    assert description["kind"] == "binary"
    assert description["corpora"] == ["ewre_simulated"]
    assert description["training_subjects"][0] == description["training_subjects"][1] > 0
    assert description["test_metrics"] is None


def test_a_run_on_features_is_refused(run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "features")
    values = load_config(run / "config.yaml").model_dump(mode="json")
    values["data"]["features"] = {"audio": "covarep"}
    values["model"]["encoders"]["audio"] = {"kind": "feature_cnn", "features": 4}
    (run / "SHA256SUMS").unlink()
    (run / "config.yaml").write_text(json.dumps(values))
    with pytest.raises(InferenceError) as info:
        read_trained_run(run)
    assert (info.value.setting, info.value.value) == ("data.features", "covarep")


def test_an_unfinished_run_is_refused(run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "stopped")
    (run / "predictions.parquet").unlink()
    assert read_trained_run(run).description["kind"] == "binary"  # an exported run has no table
    (run / "inference.json").unlink()
    with pytest.raises(InferenceError) as info:
        read_trained_run(run)
    assert info.value.file == run


def test_damaged_metrics_are_refused(run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "broken")
    (run / "metrics.json").write_text("{}")
    with pytest.raises(InferenceError) as info:
        read_trained_run(run)
    assert info.value.file == run / "metrics.json"


def test_the_command_reports_an_unusable_run(corpus, tmp_path, depmm):
    file = corpus.recordings / "videos" / "S003_1.mp4"
    code, _, err = depmm("predict", tmp_path / "no", file)
    assert code == 2
    assert str(tmp_path / "no") in err
    assert "Traceback" not in err


def test_models_that_agree_read_a_recording_as_in_their_training():
    reference = TrainingReference(
        windows=Windows(length_s=4.0, hop_s=2.0),
        windows_in_steps=True,
        whole_files=True,
        windows_of_table=True,
        short_windows=False,
        step_s=3.5,
        min_steps=2,
        low_speech_s=1.5,
        aligned=True,
        audio_track=1,
        audio_channel=2,
        separate_files=True,
        files_per_session=3,
    )
    unset = [name for name, value in TrainingReference() if value == getattr(reference, name)]
    assert not unset, "give every field a value that differs from its default"
    assert combine_references([reference, reference]) == reference


def test_what_differs_between_models_has_its_default():
    first = TrainingReference(audio_track=1, whole_files=True, step_s=2.0, files_per_session=2)
    second = TrainingReference(audio_track=0, step_s=4.0, separate_files=True, min_steps=3)
    combined = combine_references([first, second])
    assert combined == TrainingReference(
        step_s=3.0, files_per_session=2, separate_files=True, min_steps=3
    )
