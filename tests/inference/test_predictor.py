"""depmm predict: a recording goes the way of a session of the corpus, with how sure it is."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from nearly import nearly
from recordings import write_video

from depmm.config import DepFormerConfig, SplitConfig, StepsConfig, load_config
from depmm.corpora.errors import ManifestError
from depmm.data.experiment_data import load_experiment_data
from depmm.evaluation.stats.calibration import fit_temperature
from depmm.inference.calibrated_prediction import answer_probability, answer_score
from depmm.inference.page import STATEMENT, prediction_page, prediction_text
from depmm.inference.predictor import (
    PredictionError,
    Request,
    check_outputs,
    predict_file,
    read_trained_run,
)
from depmm.inference.quality import (
    Quality,
    Sound,
    TrainingReference,
    measure_sound,
    measure_training_reference,
    quality_warnings,
)
from depmm.inference.segmentation import STEP_TABLE, read_steps, recording_manifest, window_steps
from depmm.interpret.attribution.explain import explain_sessions
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder
from depmm.store.sessions import SessionStore
from depmm.training.loop import build_accelerator, train

MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"
AUDIO = ["data.modalities=[audio]", "model.encoders.face=null", MEAN_POOL]
SESSION = "S003_1"


def trained(corpus, path: Path, *overrides: str) -> Path:
    config = load_config(corpus.config, ["training.epochs=1", *overrides])
    train(config, RunFolder(path), build_accelerator(config), lambda line: None)
    return path


@pytest.fixture(scope="module")
def both(corpus, tmp_path_factory):
    """A run that hears and sees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        return trained(corpus, tmp_path_factory.mktemp("runs") / "both")


@pytest.fixture(scope="module")
def folds(corpus, tmp_path_factory):
    """A cross-validation of two folds that hear."""
    whole = tmp_path_factory.mktemp("runs") / "folds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        for fold in (0, 1):
            split = f"split={{kind: k_fold, folds: 2, validation: 0.4, fold: {fold}}}"
            trained(corpus, whole / f"seed-0-fold-{fold}", *AUDIO, split)
    return whole


@pytest.fixture(scope="module")
def sees(both):
    return read_trained_run(both)


@pytest.fixture(scope="module")
def hears(folds):
    return read_trained_run(folds)


@pytest.fixture
def tables(corpus, tmp_path):
    """Write the steps of a session as a table; returns the recording and the table."""

    def write(session: str) -> tuple[Path, Path]:
        steps = corpus.manifest.steps
        own = steps[steps["session"] == session]
        own[list(STEP_TABLE)].to_csv(tmp_path / f"{session}.csv", index=False)
        return corpus.recordings / own["face"].iloc[0], tmp_path / f"{session}.csv"

    return write


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files go: what is left there was left behind."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


# ---- the answer is that of the run ---------------------------------------------------------------


def test_a_recording_of_the_corpus_gets_the_answer_of_the_run(corpus, both, sees, tables, scratch):
    own = pd.read_parquet(both / "predictions.parquet").set_index("session")
    file, table = tables(SESSION)
    content = predict_file(sees, file, Request(steps=table, aligned=True))
    assert content["answer"]["as_predicted"] == pytest.approx(own["y_prob"][SESSION], abs=1e-5)
    held = own[own["split"] == "validation"]
    fitted = fit_temperature(held["y_true"].astype(float), held["y_prob"])
    expected = fitted.apply([own["y_prob"][SESSION]])[0]
    assert content["answer"]["probability"] == pytest.approx(expected, abs=1e-5)
    assert content["answer"]["gate_spread"] > 0
    assert "too few validation subjects" in content["answer"]["set"]["refused"]
    assert not list(scratch.iterdir())

    # and the steps those of depmm explain
    config = load_config(both / "config.yaml")
    config = config.model_copy(update={"split": SplitConfig(kind="file", file=both / "split.csv")})
    model = DepressionModel.from_pretrained(both)
    split = own["split"][SESSION]
    batches = explain_sessions(
        model, load_experiment_data(config), corpus.manifest.steps, split, 0, 0
    )
    explained = pd.concat([tables["attributions"] for tables in batches])
    explained = explained[explained["session"] == SESSION].sort_values("step")
    steps = pd.DataFrame(content["steps"])
    np.testing.assert_allclose(steps["contribution"], explained["occlusion"], atol=1e-5)
    assert steps["text"].tolist() == explained["word"].tolist()
    order = np.argsort(-np.abs(steps["contribution"].to_numpy()))
    assert content["top_steps"] == order.tolist()


def test_the_models_of_a_cross_validation_answer_together(folds, hears, tables):
    rows = pd.concat(
        pd.read_parquet(fold / "predictions.parquet") for fold in sorted(folds.iterdir())
    )
    file, table = tables(SESSION)
    content = predict_file(hears, file, Request(steps=table))
    own = rows[rows["session"] == SESSION].sort_values("fold")
    answered = [model["y_prob"] for model in content["answer"]["models"]]
    assert answered == pytest.approx(own["y_prob"].tolist(), abs=1e-5)
    assert content["answer"]["as_predicted"] == pytest.approx(own["y_prob"].mean(), abs=1e-5)
    calibrated = [model["calibrated"] for model in content["answer"]["models"]]
    assert content["answer"]["probability"] == pytest.approx(np.mean(calibrated))
    assert content["model"]["models"] == 2
    assert "mean of 2 models of a cross-validation" in "\n".join(prediction_text(content))
    assert {w["name"] for w in content["warnings"]} >= {"few_validation_subjects"}


def test_severity(corpus, tmp_path, tables):
    task = "target={kind: severity, column: score}"
    run = read_trained_run(trained(corpus, tmp_path / "severity", *AUDIO, task))
    own = pd.read_parquet(tmp_path / "severity" / "predictions.parquet").set_index("session")
    file, table = tables(SESSION)
    content = predict_file(run, file, Request(steps=table))
    answer = content["answer"]
    assert answer["score_pred"] == pytest.approx(own["score_pred"][SESSION], abs=1e-3)
    assert (answer["range"], answer["instrument"]) == ([0, 63], "BDI-II")
    assert answer["gate_spread"] is None
    assert "too few validation subjects" in answer["interval"]["refused"]
    said = "\n".join(prediction_text(content))
    assert f"BDI-II score {answer['score_pred']:.1f} on a scale from 0 to 63" in said
    assert f"{answer['score_pred']:.1f}" in prediction_page(content)


def test_a_model_of_some_steps_asks_no_others(corpus, tmp_path, tables):
    path = trained(corpus, tmp_path / "some", "data.steps={valence: [negative, positive]}")
    run = read_trained_run(path)
    file, table = tables(SESSION)
    content = predict_file(run, file, Request(steps=table, aligned=True))
    own = pd.read_parquet(path / "predictions.parquet").set_index("session")
    assert content["answer"]["as_predicted"] == pytest.approx(own["y_prob"][SESSION], abs=1e-5)
    steps = pd.DataFrame(content["steps"])
    assert (steps["contribution"].isna() == (steps["valence"] == "neutral")).all()
    assert "task_not_known" not in {warning["name"] for warning in content["warnings"]}
    only = run.config.data.model_copy(update={"steps": StepsConfig(task=["interview"])})
    asked = replace(run, config=run.config.model_copy(update={"data": only}))
    content = predict_file(asked, file, Request(steps=table, aligned=True))
    found = {warning["name"]: warning["message"] for warning in content["warnings"]}
    assert "trained on interview alone" in found["task_not_known"]


def test_windows_are_as_long_as_training_steps(corpus, both, sees, tables):
    steps = corpus.manifest.steps
    own = pd.read_parquet(both / "predictions.parquet").query("split == 'train'")
    theirs = steps[steps["session"].isin(own["session"])]
    run = sees
    median = (theirs["end_s"] - theirs["start_s"]).median()
    assert run.usual.step_s == pytest.approx(median)
    assert (run.usual.fewest_steps, run.usual.aligned) == (4, True)
    file, _ = tables(SESSION)
    content = predict_file(run, file, Request(aligned=True))
    length = content["recording"]["duration_s"]
    assert abs(content["recording"]["steps"] - length / median) <= 0.5
    assert content["recording"]["steps_from"] == f"windows of {median:.3g} s"
    assert content["steps"][-1]["end_s"] == length
    # a store alone still knows how long steps were; with neither, nothing is guessed
    store = SessionStore(corpus.store, run.config.extract)
    alone = measure_training_reference(own, Path("no manifest"), store)
    assert alone.step_s == pytest.approx(median, rel=0.3)
    assert alone.least_speech_s == run.usual.least_speech_s > 0
    nothing = replace(
        run, usual=measure_training_reference(own, Path("no"), SessionStore("no", store.settings))
    )
    assert nothing.usual == TrainingReference()
    with pytest.raises(PredictionError, match="give --window SECONDS or --steps TABLE"):
        predict_file(nothing, file, Request(aligned=True))
    content = predict_file(nothing, file, Request(window_s=1.0, aligned=True))
    assert "not_compared" in {warning["name"] for warning in content["warnings"]}


# ---- steps -----------------------------------------------------------------------------------


def test_windows_by_hand():
    def edges(duration_s: float, window_s: float) -> list[tuple[float, float]]:
        times = window_steps(duration_s, window_s)[["start_s", "end_s"]]
        return list(times.fillna(np.inf).itertuples(index=False, name=None))

    assert edges(10.0, 4.0) == [(0, 4), (4, 8), (8, np.inf)]  # half a window is one of its own
    assert edges(9.9, 4.0) == [(0, 4), (4, np.inf)]
    assert edges(3.0, 4.0) == edges(1.0, 4.0) == [(0, np.inf)]
    assert len(edges(0.9, 0.3)) == 3  # 0.9 / 0.3 is 3.0000000000000004 or 2.9999999999999996
    for window in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ManifestError, match="give a length above 0 seconds"):
            window_steps(10.0, window)
    with pytest.raises(ManifestError, match="more than 100000 steps: give a longer one"):
        window_steps(10.0, 1e-6)


def test_a_table_of_steps(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text('\ufeffend_s, start_s,text\n1.25,0.5,NA\n, 1,"a, b"\n', encoding="utf-8")
    steps = read_steps(path, 2.0)
    assert steps["start_s"].tolist() == [0.5, 1.0]
    assert steps["end_s"].tolist() == [1.25, pytest.approx(np.nan, nan_ok=True)]
    assert steps["text"].tolist() == ["NA", "a, b"]
    manifest = recording_manifest("a b.mp4", steps, ["audio"], aligned=False)
    assert manifest.steps["audio"].tolist() == ["a b.mp4"] * 2
    assert manifest.steps["face"].isna().all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as CSV"),
        ("start_s,end_s\n", "no step in it"),
        ("start_s,stop_s\n0,1\n", "column 'end_s' is missing (found: start_s, stop_s)"),
        ("start_s,end_s,word\n0,1,x\n", "column 'word' is unknown. Known: start_s, end_s, text"),
        ("start_s,end_s\n0,1,2\n", "more cells than the header"),
        ("start_s,end_s\n0,1\none,2\n", "step 1: start_s is 'one', no number"),
        ("start_s,end_s\n0,inf\n", "step 0: end_s is 'inf', no number"),
        ("start_s,end_s\n,1\n", "step 0 (nan to 1 s): it has no start_s"),
        ("start_s,end_s\n-0.1,1\n", "step 0 (-0.1 to 1 s): it starts before the recording"),
        ("start_s,end_s\n1,1\n", "step 0 (1 to 1 s): it ends before it starts"),
        ("start_s,end_s\n1,2\n0,1\n", "step 1 (0 to 1 s): it starts before the step above"),
        ("start_s,end_s\n3,4\n", "it starts after the end of the recording (3.00 s)"),
        ("start_s,end_s\n0,3.2\n", "it ends after the end of the recording (3.00 s)"),
        ("start_s,end_s,valence\n0,1,sad\n", "step 0: valence 'sad' is not one of negative"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    path = tmp_path / "steps.csv"
    path.write_text(text)
    with pytest.raises(ManifestError) as error:
        read_steps(path, 3.0)
    assert message in str(error.value)
    assert str(path) in str(error.value)


# ---- how sure --------------------------------------------------------------------------------


def validated(subjects: int, fold: int = 0, seed: int = 0, severity: bool = False) -> pd.DataFrame:
    """Predictions of a run: validation subjects with errors 0.01, 0.02, ... and two tested ones."""
    rows = []
    for subject in range(subjects):
        truth, error = subject % 2, (subject // 2 + 1) / 100
        rows.append(
            (f"v{subject}", "validation", truth, abs(truth - error), 20.0, 20 - 100 * error)
        )
    rows += [("t0", "test", 0, 0.9, 20.0, 60.0), ("t1", "test", 1, 0.1, 20.0, 0.0)]
    names = ["subject", "split", "y_true", "y_prob", "score", "score_pred"]
    return pd.DataFrame(rows, columns=names).assign(
        corpus="c", session="1", fold=fold, seed=seed, instrument="BDI-II"
    )


def test_sets_of_labels_by_hand():
    # 10 subjects a class, errors 0.01 ... 0.10: at 90 % the 10th smallest counts
    rows = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95]})
    answer = answer_probability(rows, validated(20))
    assert answer["set"] == {
        "labels": [1], "coverage": 0.9, "validation_subjects": {"0": 10, "1": 10},
    }  # fmt: skip
    assert answer["gate_spread"] is None
    for prob, labels in ((0.05, [0]), (0.5, [])):
        found = answer_probability(rows.assign(y_prob=prob), validated(20))
        assert found["set"]["labels"] == labels
    # tested subjects change nothing
    other = validated(20)
    other.loc[other["split"] == "test", "y_prob"] = 0.5
    assert answer_probability(rows, other) == nearly(answer)
    assert answer_probability(rows, validated(16))["set"] == {
        "refused": "too few validation subjects of a class (8) for a promise of 90 %: it takes 9"
    }
    one = validated(20).query("split == 'test' or y_true == 1")
    refused = answer_probability(rows, one)
    assert refused["probability"] == refused["as_predicted"] == 0.95
    assert "calibration needs both classes" in refused["calibration"]["refused"]
    assert "not calibrated" in "\n".join(prediction_text(content_with(refused)))


def test_intervals_of_a_probability_by_hand():
    rows = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95]})
    # as a healthy subject it pools with the 6 positive ones who were answered .90 to .95
    interval = answer_probability(rows, validated(20))["interval"]
    assert interval == {"low": pytest.approx(6 / 7), "high": 1.0, "validation_subjects": 20}
    # between the groups nobody was validated
    interval = answer_probability(rows.assign(y_prob=0.5), validated(20))["interval"]
    assert (interval["low"], interval["high"]) == (0.0, 1.0)
    # the outermost of several models; two sessions of a subject weigh as one
    both = pd.concat([validated(20), validated(8, fold=1)])
    answer = answer_probability(pd.concat([rows, rows.assign(fold=1)]), both)
    assert answer["interval"]["low"] == 0.0  # of the second, whom nobody tells anything at .95
    twice = pd.concat([validated(20), validated(20).assign(session="2")])
    assert answer_probability(rows, twice)["interval"]["low"] == pytest.approx(6 / 7)
    one = validated(20).query("split == 'test' or y_true == 1")
    refused = answer_probability(rows, one)
    assert "calibration needs both classes" in refused["interval"]["refused"]
    assert "no interval of the probability" in "\n".join(prediction_text(content_with(refused)))


def test_a_set_of_several_models_holds_what_any_holds():
    sure, unsure = validated(20), validated(20, fold=1)
    held = unsure["split"] == "validation"
    unsure.loc[held, "y_prob"] = 1 - unsure["y_true"][held]  # always wrong: every label fits
    both = pd.concat([sure, unsure])
    rows = pd.DataFrame({"fold": [0, 1], "seed": 0, "y_prob": [0.95, 0.05], "spread": [0.1, 0.3]})
    answer = answer_probability(rows, both)
    assert answer["set"]["labels"] == [0, 1]
    assert answer["as_predicted"] == pytest.approx(0.5)
    assert answer["gate_spread"] == pytest.approx(0.2)
    alone = answer_probability(rows.head(1), both)
    assert alone["set"]["labels"] == [1]


def test_intervals_of_scores_by_hand():
    # 20 subjects, residuals 1, 1, 2, 2, ... 10, 10 points: the 19th of 20 is 10
    rows = pd.DataFrame({"fold": [0], "seed": [0], "score_pred": [15.0]})
    answer = answer_score(rows, validated(20), [0, 63], "BDI-II")
    assert answer["interval"] == {
        "low": 5.0, "high": 25.0, "coverage": 0.9, "validation_subjects": 20,
    }  # fmt: skip
    assert answer["band"] == {"number": 1, "low": 14, "high": 20}
    at_the_rim = answer_score(rows.assign(score_pred=60.0), validated(20), [0, 63], "BDI-II")
    assert (at_the_rim["interval"]["high"], at_the_rim["band"]["high"]) == (63, None)
    two = pd.concat([validated(20), validated(20, fold=1)])
    pair = pd.DataFrame({"fold": [0, 1], "seed": 0, "score_pred": [15.0, 25.0]})
    found = answer_score(pair, two, [0, 63], None)
    assert (found["score_pred"], found["band"]) == (20.0, None)
    assert (found["interval"]["low"], found["interval"]["high"]) == (5.0, 35.0)
    few = answer_score(rows, validated(8), [0, 63], "BDI-II")
    assert "(8) for a promise of 90 %: it takes 9" in few["interval"]["refused"]


# ---- quality ---------------------------------------------------------------------------------


def speech(seconds: float = 4.0, level: float = 0.3) -> np.ndarray:
    """Half a second of a tone, half a second of nothing, and so on; float [T] at 16 kHz."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    return level * np.sin(2 * np.pi * 200 * time) * (time % 1 < 0.5)


def test_clipping_noise_and_silence_are_measured(tmp_path):
    def sound(samples: np.ndarray) -> Sound:
        soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="PCM_16")
        return measure_sound(tmp_path / "a.wav")

    rng = np.random.default_rng(0)
    assert sound(speech()).clipped == 0
    # a sine of 1 / sin(80 degrees) times full scale is cut 20 of 180 degrees, half of the time
    loud = np.clip(speech(level=1 / np.sin(np.radians(80))), -1, 1)
    assert sound(loud).clipped == pytest.approx(0.5 * 20 / 180, rel=0.15)
    for snr_db in (5, 15, 30):
        noise = 0.3 / np.sqrt(2) * 10 ** (-snr_db / 20) * rng.normal(size=64_000)
        assert sound(speech() + noise).snr_db == pytest.approx(snr_db, abs=2.5)
    assert sound(np.zeros(16_000)).snr_db is None


FINE = Quality(
    steps=4, steps_with={"audio": 4, "face": 4}, frames=20, frames_with_face=16, speech_s=2.0,
    sample_rate=16_000, sound=Sound(0.001, 20.0),
)  # fmt: skip
USUAL = TrainingReference(step_s=1.0, fewest_steps=4, least_speech_s=2.0, aligned=True)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"frames_with_face": 15}, "few_faces", "15 of 20 sampled frames (75 %, below 80 %)"),
        ({"sound": Sound(0.0011, 20.0)}, "clipping", "0.11 % of the samples"),
        ({"sound": Sound(0.0, 19.0)}, "noise", "19 dB above the background (below 20)"),
        ({"sound": Sound(0.0, None)}, "silence", "digital silence"),
        ({"sample_rate": 8000}, "low_sample_rate", "8000 Hz, the model expects 16000"),
        ({"steps": 3, "steps_with": {"audio": 3, "face": 3}}, "few_steps", "3 steps; the shortest"),
        ({"speech_s": 1.9}, "little_speech", "1.9 s of speech; 95 %"),
        ({"steps_with": {"audio": 4, "face": 0}}, "missing_modality", "No step has a face"),
        (
            {"steps_with": {"audio": 0, "face": 4}, "speech_s": None, "sound": None},
            "missing_modality",
            "No step has sound",
        ),
        ({"steps_with": {"audio": 3, "face": 4}}, "steps_without_audio", "1 of 4 steps lack sound"),
    ],
)
def test_each_warning_alone(change, name, words):
    assert quality_warnings(FINE, USUAL, ["audio", "face"]) == []
    (warning,) = quality_warnings(replace(FINE, **change), USUAL, ["audio", "face"])
    assert warning.name == name
    assert words in warning.message


def test_a_model_that_hears_needs_no_face():
    blind = replace(FINE, steps_with={"audio": 4, "face": 0}, frames=0, frames_with_face=0)
    assert quality_warnings(blind, USUAL, ["audio"]) == []
    (warning,) = quality_warnings(blind, TrainingReference(), ["audio"])
    assert warning.name == "not_compared"


def test_a_face_that_is_not_there_is_masked(both, sees, tmp_path, real_data, scratch):
    file = write_video(tmp_path / "grey.mp4")
    landmarker = real_data / "models" / "face_landmarker.task"
    content = predict_file(sees, file, Request(window_s=0.5, landmarker=landmarker))
    found = {warning["name"]: warning["message"] for warning in content["warnings"]}
    assert {"face_failed", "missing_modality", "few_validation_subjects"} <= found.keys()
    assert "other_alignment" not in found  # of no face
    assert "none of 10 sampled frames has a face" in found["face_failed"]
    sight = ["data.modalities=[face]", "model.encoders.audio=null"]
    blind = replace(sees, config=load_config(both / "config.yaml", sight))
    with pytest.raises(PredictionError, match=r"nothing of it can be used.*say so with --aligned"):
        predict_file(blind, file, Request(window_s=0.5, landmarker=landmarker))
    assert not list(scratch.iterdir())


# ---- bad input -------------------------------------------------------------------------------


def test_recordings_that_are_refused(hears, sees, tmp_path, scratch):
    silent = write_video(tmp_path / "silent.mp4", sound=False)
    whole = write_video(tmp_path / "whole.mp4")
    cut = tmp_path / "cut.mkv"
    write_video(cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    index = tmp_path / "index.mp4"
    index.write_bytes(whole.read_bytes()[:-500])
    empty = tmp_path / "empty.wav"
    empty.touch()
    zero = tmp_path / "zero.wav"
    soundfile.write(zero, np.zeros(32_000), 16_000)
    centred = sees.config.model.model_copy(update={"subtract_session_mean": True})
    negative = sees.config.data.model_copy(update={"steps": StepsConfig(valence=["negative"])})
    knows = replace(sees, config=sees.config.model_copy(update={"data": negative}))
    few = sees.config.data.model_copy(update={"max_steps": 3})
    compares = replace(sees, config=sees.config.model_copy(update={"model": centred}))
    short = replace(sees, config=sees.config.model_copy(update={"data": few}))
    listed = DepFormerConfig(kind="dep_former", fixed_steps=12)
    list_of_12 = sees.config.model.model_copy(update={"fusion": listed})
    reads = replace(sees, config=sees.config.model_copy(update={"model": list_of_12}))
    aligned = Request(window_s=0.5, aligned=True)
    for run, file, request, message in (
        (hears, tmp_path / "no.wav", aligned, "no.wav: no such file"),
        (hears, silent, aligned, "has no sound, which is all that this model takes"),
        (hears, zero, aligned, "its sound is digital silence and there is nothing else"),
        (sees, zero, aligned, "its sound is digital silence and there is nothing else"),
        (hears, empty, aligned, r"is empty \(0 bytes\)"),
        (sees, cut, aligned, "nothing of it can be used. .*cut short"),
        (sees, index, aligned, "cannot be opened"),
        (sees, whole, replace(aligned, window_s=3.0), "window of 3 s is longer than the recording"),
        (sees, whole, replace(aligned, window_s=0.0), "give a length above 0 seconds"),
        (compares, whole, replace(aligned, window_s=2.0), "one step, but this model compares"),
        (short, whole, aligned, r"4 steps; the model takes 3 \(data.max_steps\)"),
        (reads, whole, aligned, r"4 steps; the model reads 12 in one order .* with --steps"),
        (knows, whole, aligned, r"no negative step, and the model was trained on no other"),
    ):
        with pytest.raises(ValueError, match=message):
            predict_file(run, file, request)
    assert not list(scratch.iterdir())
    # without sound a model of both goes on, and says so
    content = predict_file(sees, silent, aligned)
    found = {warning["name"]: warning["message"] for warning in content["warnings"]}
    assert "No step has sound" in found["missing_modality"]
    assert content["quality"]["sound"] is None


def test_runs_that_are_refused(both, folds, corpus, tmp_path, depmm):
    file = corpus.recordings / "videos" / f"{SESSION}.mp4"
    shutil.copytree(both, tmp_path / "features")
    config = tmp_path / "features" / "config.yaml"
    values = load_config(config).model_dump(mode="json")
    values["data"]["features"] = {"audio": "covarep"}
    values["model"]["encoders"]["audio"] = {"kind": "feature_cnn", "features": 4}
    config.write_text(json.dumps(values))
    shutil.copytree(both, tmp_path / "stopped")
    (tmp_path / "stopped" / "predictions.parquet").unlink()
    shutil.copytree(folds / "seed-0-fold-0", tmp_path / "broken")
    (tmp_path / "broken" / "metrics.json").write_text("{}")
    for run, words in (
        (tmp_path / "no", "holds no finished run of a network"),
        (tmp_path / "features", "reads the features 'covarep' of its corpus as audio"),
        (tmp_path / "stopped", "holds a model, but no predictions.parquet"),
        (tmp_path / "broken", "Run depmm evaluate"),
    ):
        code, _, said = depmm("predict", run, file)
        assert (code, words in said, "Traceback" in said) == (2, True, False), said


# ---- the command -----------------------------------------------------------------------------


def test_files_are_written_and_the_broken_one_is_named(
    folds, tables, tmp_path, depmm, scratch, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    metrics = {
        "bootstrap": {"confidence": 0.95},
        "counts": {"test": {"subjects": 3}},
        "tasks": ["binary"],
        "metrics": {
            "balanced_accuracy": {
                "value": 0.75,
                "low": 0.5,
                "high": 1.0,
                "baseline": {"value": 0.5},
            },
            "auroc": {"value": None, "low": None, "high": None, "baseline": None},
        },
    }
    run = shutil.copytree(folds / "seed-0-fold-0", tmp_path / "measured")
    (run / "metrics.json").write_text(json.dumps(metrics))
    first, _ = tables("S001_1")
    second, _ = tables("S002_1")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    Path("out").mkdir()
    (tmp_path / "out" / "notes.json").write_text("mine")
    arguments = ["predict", run, first, "broken.mp4", second, "--out", "out"]
    code, out, err = depmm(*arguments)
    assert code == 1
    assert "error: broken.mp4: cannot be opened" in err
    assert "1 of 3 recordings could not be predicted" in err
    names = {"S001_1.json", "S001_1.html", "S002_1.json", "S002_1.html", "notes.json"}
    assert {path.name for path in Path("out").iterdir()} == names
    assert Path("out/notes.json").read_text() == "mine"
    assert not list(scratch.iterdir())
    measured = (
        "measured on 3 subjects it had not seen: Balanced accuracy 0.75 (95 % interval 0.50 to "
        "1.00, baseline 0.50), AUROC undefined."
    )
    for text in (out, *(Path(f"out/{n}_1.html").read_text() for n in ("S001", "S002"))):
        assert STATEMENT in text
        assert measured in text
        assert "of ewre_simulated" in text
    content = json.loads(Path("out/S001_1.json").read_text())
    assert (content["schema"], content["schema_version"]) == ("depmm prediction", 1)
    assert content["model"]["measured"]["metrics"][0]["baseline"] == 0.5

    # a second time: the same content; somebody else's file stays
    assert depmm("predict", run, first, "--out", "out")[0] == 0
    again = json.loads(Path("out/S001_1.json").read_text())
    assert again == nearly(content, rel=1e-5, abs=1e-5)
    Path("out/S002_1.html").write_text("<p>mine")
    code, _, err = depmm(*arguments)
    assert (code, "S002_1.html is there and is no prediction of depmm" in err) == (2, True)
    assert Path("out/S002_1.html").read_text() == "<p>mine"


def test_outputs_that_are_refused(tmp_path, depmm):
    one, two = tmp_path / "a" / "x.wav", tmp_path / "b" / "x.mp4"
    with pytest.raises(PredictionError, match=r"would both be written to .*x.json"):
        check_outputs([one, two], tmp_path)
    with pytest.raises(PredictionError, match="would both be written"):
        check_outputs([one, one], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(PredictionError, match="is no folder"):
        check_outputs([one], tmp_path / "file")
    check_outputs([one], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    for extra in (["--window", "2"], [two]):
        code, _, err = depmm("predict", tmp_path, one, "--steps", "s.csv", *extra)
        assert (code, "--steps is the table of one FILE" in err) == (2, True)


def test_an_interrupt_leaves_nothing(both, tables, tmp_path, depmm, scratch, monkeypatch):
    from depmm.media import faces

    seen = []

    def interrupted(frame):
        seen.extend(scratch.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(faces, "aligned_crop", interrupted)
    file, _ = tables(SESSION)
    out = tmp_path / "out"
    code, _, err = depmm("predict", both, file, "--aligned", "--out", out)
    assert code == 130, err
    assert seen  # there was something to remove
    assert not list(scratch.iterdir())
    assert not out.exists()


# ---- words and page --------------------------------------------------------------------------


def content_with(answer: dict, **changes: object) -> dict:
    """A prediction of two steps whose texts are hostile."""
    text = "<script>alert(1)</script>"
    step = {"start_s": 0.0, "end_s": 1.0, "text": text, "valence": None, "contribution": -0.5}
    return {
        "statement": STATEMENT,
        "recording": {
            "file": f"{text}.wav", "duration_s": 2.0, "modalities": ["audio"], "steps": 2,
            "steps_from": text,
        },
        "model": {
            "name": text, "models": 1, "task": "binary", "target": text, "instrument": None,
            "corpora": [text], "training_subjects": [1, 1], "measured": None,
        },
        "answer": answer,
        "steps": [step | {"step": 0}, step | {"step": 1, "start_s": 1.0, "contribution": None}],
        "top_steps": [0],
        "warnings": [{"name": "x", "message": text}],
        **changes,
    }  # fmt: skip


def test_the_page_is_escaped_and_alone():
    rows = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95], "score_pred": [15.0]})
    answers = [
        answer_probability(rows[["fold", "seed", "y_prob"]], validated(20)),
        answer_score(rows[["fold", "seed", "score_pred"]], validated(20), [0, 63], "BDI-II"),
    ]
    for answer in answers:
        page = prediction_page(content_with(answer))
        assert "<script" not in page
        assert "http" not in page
        assert page.count("<rect class=") == 1  # the step without contribution has no bar
        assert STATEMENT in page
        assert "was not measured" in page
    assert "calibrated interval 0.86 to 1.00" in "\n".join(
        prediction_text(content_with(answers[0]))
    )
    assert "90 % set: positive alone" in "\n".join(prediction_text(content_with(answers[0])))
    assert "90 % interval 5.0 to 25.0" in "\n".join(prediction_text(content_with(answers[1])))
    assert "The recording has one step" in prediction_page(
        content_with(answers[0], top_steps=[], steps=[])
    )
