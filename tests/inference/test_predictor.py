"""Predictor: a new recording is processed like a session of the training corpus."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from media_files import encode_sound
from recordings import write_video
from trained_runs import AUDIO, train_tiny

from depmm.config import DepFormerConfig, SplitConfig, StepsConfig, load_config
from depmm.data.experiment_data import load_experiment_data
from depmm.data.training_reference import TrainingReference
from depmm.evaluation.stats.calibrators import fit_logistic
from depmm.inference import InferenceError, Predictor
from depmm.inference.prediction_page import render_prediction_page
from depmm.inference.prediction_text import prediction_text
from depmm.interpret.attribution.explain_sessions import explain_sessions
from depmm.media.errors import MediaError
from depmm.models.model import DepressionModel
from depmm.runs.step_reference import load_step_reference

SESSION = "S003_1"


def changed(predictor: Predictor, **changes: Any) -> Predictor:
    """Return a predictor whose trained run differs in some attributes."""
    other = copy.copy(predictor)
    other.trained_run = replace(predictor.trained_run, **changes)
    return other


def with_config(predictor: Predictor, **changes: Any) -> Predictor:
    """Return a predictor whose configs differ in some sections."""
    configs = predictor.trained_run.configs.items()
    return changed(
        predictor, configs={key: config.model_copy(update=changes) for key, config in configs}
    )


def test_a_recording_of_the_corpus_has_the_prediction_of_the_run(
    run_folder, predictor, recording, temporary_files
):
    table = pd.read_parquet(run_folder / "predictions.parquet").set_index("session")
    file, steps = recording(SESSION)
    prediction = predictor.predict(file, steps, aligned=True)
    y_prob = table["y_prob"][SESSION]
    assert prediction.result["uncalibrated_probability"] == pytest.approx(y_prob, abs=1e-5)
    validation = table[table["split"] == "validation"]
    calibrator = fit_logistic(validation["y_true"].astype(float), validation["y_prob"])
    (facts,) = predictor.trained_run.facts.values()
    fit = facts.calibration.logistic
    assert (fit.slope, fit.intercept) == pytest.approx((calibrator.slope, calibrator.intercept))
    assert prediction.probability == pytest.approx(y_prob, abs=1e-5)  # too few for a calibration
    assert prediction.result["gate_std"] > 0
    assert prediction.prediction_set is None  # too few validation subjects
    assert prediction.score_pred is None
    assert not list(temporary_files.iterdir())


def test_the_attribution_is_that_of_explain(corpus, run_folder, predictor, recording):
    file, table = recording(SESSION)
    prediction = predictor.predict(file, table, aligned=True)
    config = load_config(run_folder / "config.yaml")
    split = SplitConfig(kind="file", file=run_folder / "split.csv")
    data = load_experiment_data(config.model_copy(update={"split": split}))
    model = DepressionModel.from_pretrained(run_folder)
    predictions = pd.read_parquet(run_folder / "predictions.parquet").set_index("session")
    means = load_step_reference(run_folder / "step_reference.safetensors", model)
    # without stored means, steps are replaced by the mean of the recording
    relative = changed(predictor, step_references={}).predict(file, table, aligned=True)
    for reference, result in ((means, prediction), (None, relative)):
        batches = explain_sessions(
            model,
            data,
            corpus.manifest.steps,
            predictions["split"][SESSION],
            0,
            0,
            step_reference=reference,
        )
        explained = pd.concat([tables["attributions"] for tables in batches])
        explained = explained[explained["session"] == SESSION].sort_values("step")
        np.testing.assert_allclose(result.steps["attribution"], explained["occlusion"], atol=1e-5)
    assert prediction.attribution_reference == "training"
    assert relative.attribution_reference == "session"
    assert prediction.steps["text"].tolist() == explained["word"].tolist()
    order = np.argsort(-np.abs(prediction.steps["attribution"].to_numpy()))
    assert prediction.top_steps == order.tolist()


def test_the_models_of_a_cross_validation_are_averaged(
    cross_validation_folder, audio_predictor, recording
):
    folds = sorted(cross_validation_folder.iterdir())
    table = pd.concat(pd.read_parquet(fold / "predictions.parquet") for fold in folds)
    y_prob = table[table["session"] == SESSION].sort_values("fold")["y_prob"]
    file, steps = recording(SESSION)
    prediction = audio_predictor.predict(file, steps)
    models = prediction.result["models"]
    assert [model["y_prob"] for model in models] == pytest.approx(y_prob.tolist(), abs=1e-5)
    uncalibrated = prediction.result["uncalibrated_probability"]
    assert uncalibrated == pytest.approx(y_prob.mean(), abs=1e-5)
    assert prediction.probability == pytest.approx(np.mean([m["calibrated"] for m in models]))
    assert prediction.model["n_models"] == 2
    assert "few_validation_subjects" in {warning.name for warning in prediction.warnings}


def test_a_prediction_does_not_depend_on_the_decision_threshold(corpus, tmp_path, recording):
    file, steps = recording(SESSION)
    results = []
    for name, threshold in (("chosen", "validation"), ("set", "0.999")):
        run = train_tiny(corpus, tmp_path / name, *AUDIO, f"evaluation.threshold={threshold}")
        results.append(Predictor(run).predict(file, steps).result)
    for key in ("probability", "uncalibrated_probability"):
        assert results[0][key] == pytest.approx(results[1][key], abs=1e-5)


def test_a_severity_target_has_a_score(corpus, tmp_path, recording):
    target = "target={kind: severity, column: score}"
    run = train_tiny(corpus, tmp_path / "severity", *AUDIO, target)
    table = pd.read_parquet(run / "predictions.parquet").set_index("session")
    file, steps = recording(SESSION)
    prediction = Predictor(run).predict(file, steps)
    assert prediction.score_pred == pytest.approx(table["score_pred"][SESSION], abs=1e-3)
    assert prediction.result["range"] == [0, 63]
    assert prediction.result["instrument"] == "BDI-II"
    assert prediction.result["gate_std"] is None
    assert prediction.probability is None
    assert prediction.interval is None  # too few validation subjects
    content = prediction.to_dict()
    score = f"{prediction.score_pred:.1f}"
    assert f"BDI-II score {score} on a scale from 0 to 63" in "\n".join(prediction_text(content))
    assert score in render_prediction_page(content)


def test_a_model_of_some_steps_ignores_the_others(corpus, tmp_path, recording):
    run = train_tiny(corpus, tmp_path / "some", "data.steps={valence: [negative, positive]}")
    predictor = Predictor(run)
    file, steps = recording(SESSION)
    prediction = predictor.predict(file, steps, aligned=True)
    table = pd.read_parquet(run / "predictions.parquet").set_index("session")
    uncalibrated = prediction.result["uncalibrated_probability"]
    assert uncalibrated == pytest.approx(table["y_prob"][SESSION], abs=1e-5)
    neutral = prediction.steps["valence"] == "neutral"
    assert (prediction.steps["attribution"].isna() == neutral).all()
    assert "task_not_known" not in {warning.name for warning in prediction.warnings}
    data = predictor.trained_run.config.data
    interview = data.model_copy(update={"steps": StepsConfig(task=["interview"])})
    prediction = with_config(predictor, data=interview).predict(file, steps, aligned=True)
    messages = {warning.name: warning.message for warning in prediction.warnings}
    assert "interview" in messages["task_not_known"]


def test_windows_have_the_length_of_the_training_steps(predictor, recording):
    step_s = predictor.trained_run.reference.step_s
    file, _ = recording(SESSION)
    prediction = predictor.predict(file, aligned=True)
    assert abs(len(prediction.steps) - prediction.duration_s / step_s) <= 0.5
    assert prediction.segmentation.startswith(f"windows of {step_s:.3g} s")
    assert "other_steps" in {warning.name for warning in prediction.warnings}
    assert prediction.to_dict()["steps"][-1]["end_s"] == prediction.duration_s


def test_without_a_training_reference_the_window_must_be_given(predictor, recording):
    unknown = changed(predictor, reference=TrainingReference())
    file, _ = recording(SESSION)
    with pytest.raises(InferenceError) as info:
        unknown.predict(file, aligned=True)
    assert info.value.setting == "window_s"
    prediction = unknown.predict(file, window_s=1.0, aligned=True)
    assert "not_compared" in {warning.name for warning in prediction.warnings}


def test_a_file_is_probed_once_and_each_track_decoded_once(
    predictor, recording, tmp_path, monkeypatch
):
    import depmm.inference.predictor
    import depmm.media.sound.audio
    import depmm.media.video.video

    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(32_000) / 10), 16_000)
    calls: list[str] = []

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    count(av, "open")
    count(soundfile, "SoundFile")
    count(depmm.inference.predictor, "probe")
    count(depmm.media.sound.audio, "decode_audio")
    count(depmm.media.video.video, "decode_frames")
    file, steps = recording(SESSION)
    prediction = predictor.predict(file, steps, aligned=True)
    assert prediction.quality.sound is not None
    assert sorted(calls) == ["decode_audio", "decode_frames", *["open"] * 4, "probe"]

    calls.clear()
    predictor.predict(tmp_path / "a.wav", window_s=0.5)
    assert sorted(calls) == ["SoundFile", "SoundFile", "decode_audio", "open", "probe"]


def test_a_video_without_a_face_is_masked(
    run_folder, predictor, tmp_path, real_data, temporary_files
):
    file = write_video(tmp_path / "grey.mp4")
    landmarker = real_data / "models" / "face_landmarker.task"
    prediction = predictor.predict(file, window_s=0.5, landmarker=landmarker)
    messages = {warning.name: warning.message for warning in prediction.warnings}
    assert {"face_failed", "missing_modality", "few_validation_subjects"} <= messages.keys()
    assert "other_alignment" not in messages
    assert prediction.quality.n_frames_with_face == 0
    overrides = ["data.modalities=[face]", "model.encoders.audio=null"]
    config = load_config(run_folder / "config.yaml", overrides)
    face_only = changed(predictor, configs=dict.fromkeys(predictor.trained_run.configs, config))
    with pytest.raises(InferenceError) as info:
        face_only.predict(file, window_s=0.5, landmarker=landmarker)
    assert "--aligned" in info.value.remedy
    assert not list(temporary_files.iterdir())


@pytest.fixture
def unusual_recordings(tmp_path) -> dict[str, Path]:
    files = {name: tmp_path / name for name in ("cut.mkv", "index.mp4", "empty.wav", "zero.wav")}
    files["silent.mp4"] = write_video(tmp_path / "silent.mp4", sound=False)
    files["whole.mp4"] = write_video(tmp_path / "whole.mp4")
    whole = write_video(files["cut.mkv"]).read_bytes()
    files["cut.mkv"].write_bytes(whole[: len(whole) // 2])
    files["index.mp4"].write_bytes(files["whole.mp4"].read_bytes()[:-500])
    files["empty.wav"].touch()
    soundfile.write(files["zero.wav"], np.zeros(32_000), 16_000)
    files["no.wav"] = tmp_path / "no.wav"
    return files


def test_unusable_recordings_are_refused(
    audio_predictor, predictor, unusual_recordings, temporary_files
):
    for chosen, name, kind in (
        (audio_predictor, "no.wav", InferenceError),
        (audio_predictor, "silent.mp4", InferenceError),  # the model has no other modality
        (audio_predictor, "zero.wav", InferenceError),
        (predictor, "zero.wav", InferenceError),
        (audio_predictor, "empty.wav", MediaError),
        (predictor, "cut.mkv", InferenceError),
        (predictor, "index.mp4", MediaError),
    ):
        file = unusual_recordings[name]
        with pytest.raises(kind) as info:
            chosen.predict(file, window_s=0.5, aligned=True)
        assert str(file) in str(info.value)
    assert not list(temporary_files.iterdir())


def test_recordings_that_do_not_fit_the_model_are_refused(predictor, unusual_recordings):
    file = unusual_recordings["whole.mp4"]
    config = predictor.trained_run.config
    centred = config.model.model_copy(update={"subtract_session_mean": True})
    fusion = DepFormerConfig(kind="dep_former", num_steps=12)
    twelve_steps = config.model.model_copy(update={"fusion": fusion})
    negative = config.data.model_copy(update={"steps": StepsConfig(valence=["negative"])})
    three_steps = config.data.model_copy(update={"max_steps": 3})
    for chosen, window_s, setting, value in (
        (predictor, 3.0, "window_s", 3.0),
        (predictor, 0.0, "window_s", 0.0),
        (with_config(predictor, model=centred), 2.0, "model.subtract_session_mean", None),
        (with_config(predictor, data=three_steps), 0.5, "data.max_steps", 4),
        (with_config(predictor, model=twelve_steps), 0.5, "model.fusion.num_steps", 4),
        (with_config(predictor, data=negative), 0.5, "data.steps", None),
    ):
        with pytest.raises(InferenceError) as info:
            chosen.predict(file, window_s=window_s, aligned=True)
        assert (info.value.setting, info.value.value) == (setting, value)


def test_a_recording_without_sound_is_masked(predictor, unusual_recordings):
    prediction = predictor.predict(unusual_recordings["silent.mp4"], window_s=0.5, aligned=True)
    assert "missing_modality" in {warning.name for warning in prediction.warnings}
    assert prediction.quality.sound is None
    assert prediction.quality.steps_with["audio"] == 0


def test_damage_behind_the_steps_does_not_matter(predictor, unusual_recordings, tmp_path):
    steps = tmp_path / "steps.csv"
    steps.write_text("start_s,end_s\n0,0.2\n0.2,0.4\n")
    prediction = predictor.predict(unusual_recordings["cut.mkv"], steps, aligned=True)
    assert prediction.quality.steps_with["audio"] == 2


def test_an_interrupt_leaves_no_files(
    run_folder, recording, tmp_path, depmm, temporary_files, monkeypatch
):
    from depmm.media.video import face_alignment

    files: list[Path] = []

    def interrupted(frame: np.ndarray) -> Iterator[np.ndarray]:
        files.extend(temporary_files.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(face_alignment, "aligned_crop", interrupted)
    file, _ = recording(SESSION)
    out = tmp_path / "out"
    code, _, err = depmm("predict", run_folder, file, "--aligned", "--out", out)
    assert code == 130, err
    assert files  # the temporary files existed
    assert not list(temporary_files.iterdir())
    assert not out.exists()


def test_a_recording_of_a_browser_without_a_duration_is_predicted(
    audio_predictor: Predictor, tmp_path: Path
) -> None:
    sound = 0.3 * np.sin(np.arange(3 * 48_000) / 20)
    path = encode_sound(tmp_path / "a.webm", "libopus", sound, 48_000, "webm")
    data = path.read_bytes()
    position = data.index(b"\x44\x89\x88")  # the duration, which becomes an empty element
    path.write_bytes(data[:position] + b"\xec\x89" + bytes(9) + data[position + 11 :])
    assert audio_predictor.predict(path, window_s=1.0).duration_s == pytest.approx(3, abs=0.1)


def test_a_name_that_is_not_utf8_is_named(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "bad\udcff.wav"
    try:
        path.write_bytes(b"RIFF")
    except OSError:
        pytest.skip("the file system requires UTF-8")
    with pytest.raises(InferenceError) as info:
        predictor.predict(path)
    assert r"bad\udcff.wav" in str(info.value.file)
    assert info.value.remedy
