"""The JSON file and the page of a prediction, and the command that writes them."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from nearly import nearly
from prediction_content import prediction_content
from validation_predictions import calibrate_probability, calibrate_score, validation_predictions

from depmm.inference import InferenceError
from depmm.inference.prediction import STATEMENT
from depmm.inference.prediction_page import check_outputs, render_prediction_page

METRICS = {
    "bootstrap": {"confidence": 0.95},
    "counts": {"test": {"subjects": 3}},
    "targets": ["binary"],
    "metrics": {
        "balanced_accuracy": {
            "value": 0.75,
            "ci_low": 0.5,
            "ci_high": 1.0,
            "baseline": {"value": 0.5},
        },
        "auroc": {"value": None, "ci_low": None, "ci_high": None, "baseline": None},
    },
}


def probability_result() -> dict:
    outputs = pd.DataFrame({"fold": [0], "seed": [0], "y_prob": [0.95]})
    return calibrate_probability(outputs, validation_predictions(20))


def score_result(score: float = 15.0) -> dict:
    outputs = pd.DataFrame({"fold": [0], "seed": [0], "score_pred": [score]})
    return calibrate_score(outputs, validation_predictions(20), [0, 63], "BDI-II")


@pytest.mark.parametrize("result", [probability_result(), score_result()])
def test_the_page_is_escaped_and_self_contained(result):
    page = render_prediction_page(prediction_content(result))
    assert "<script" not in page
    assert "http" not in page
    assert page.count('<rect class="step"') == 2
    assert page.count('<path class="negative"') == 1  # the step without attribution has no bar
    assert STATEMENT in page


@pytest.mark.parametrize(("score", "x"), [(-2.0, 10), (31.5, 200), (70.0, 390)])
def test_the_mark_of_a_score_stays_on_the_scale(score, x):
    page = render_prediction_page(prediction_content(score_result(score)))
    (mark,) = re.findall(r'<circle cx="([^"]+)"', page)
    assert float(mark) == pytest.approx(x)
    assert f"score {score:.1f} on a scale" in page.replace("\N{MINUS SIGN}", "-")


def test_the_page_of_one_step_has_no_figure():
    content = prediction_content(probability_result(), top_steps=[], steps=[])
    assert '<path class="negative"' not in render_prediction_page(content)


@pytest.fixture
def command(cross_validation_folder, recording, tmp_path, monkeypatch) -> list[object]:
    """Arguments of a command on three recordings, the second of which is damaged."""
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(cross_validation_folder / "seed-0-fold-0", tmp_path / "measured")
    (run / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.json").write_text("notes")
    files = [recording("S001_1")[0], "broken.mp4", recording("S002_1")[0]]
    return ["predict", run, *files, "--out", "out"]


def test_files_are_written_and_a_damaged_recording_is_reported(command, depmm, temporary_files):
    code, out, err = depmm(*command)
    assert code == 1
    assert "broken.mp4" in err
    assert "1 of 3" in err
    names = {"S001_1.json", "S001_1.html", "S002_1.json", "S002_1.html", "notes.json"}
    assert {path.name for path in Path("out").iterdir()} == names
    assert Path("out/notes.json").read_text() == "notes"
    assert not list(temporary_files.iterdir())
    measured = "Balanced accuracy 0.75 (95 % confidence interval 0.50 to 1.00, baseline 0.50)"
    for text in (out, *(Path(f"out/{name}_1.html").read_text() for name in ("S001", "S002"))):
        assert STATEMENT in text
        assert measured in text
        assert "ewre_simulated" in text
    content = json.loads(Path("out/S001_1.json").read_text())
    assert list(content) == [
        "schema", "schema_version", "statement", "recording", "model", "prediction", "steps",
        "attribution_reference", "top_steps", "warnings", "quality",
    ]  # fmt: skip
    assert (content["schema"], content["schema_version"]) == ("depmm prediction", 2)
    assert content["model"]["test_metrics"]["metrics"][0]["baseline"] == 0.5


def test_a_repeated_command_replaces_predictions_but_no_other_file(command, depmm):
    _, run, first, *_ = command
    assert depmm("predict", run, first, "--out", "out")[0] == 0
    content = json.loads(Path("out/S001_1.json").read_text())
    assert depmm("predict", run, first, "--out", "out")[0] == 0
    again = json.loads(Path("out/S001_1.json").read_text())
    assert again == nearly(content, rel=1e-5, abs=1e-5)
    Path("out/S002_1.html").write_text("<p>other content")
    code, _, err = depmm(*command)
    assert code == 2
    assert "S002_1.html" in err
    assert Path("out/S002_1.html").read_text() == "<p>other content"


def test_the_prediction_of_another_recording_is_kept(command, depmm):
    _, run, first, *_ = command
    other = shutil.copy(first, Path(first).with_suffix(".mov").name)
    assert depmm("predict", run, first, "--out", "one")[0] == 0
    before = Path("one/S001_1.json").read_bytes()
    code, _, err = depmm("predict", run, other, "--out", "one")
    assert code == 1
    assert "another recording" in err
    assert Path("one/S001_1.json").read_bytes() == before


def test_conflicting_outputs_are_refused(tmp_path):
    one, two = tmp_path / "a" / "x.wav", tmp_path / "b" / "x.mp4"
    for files in ([one, two], [one, one]):
        with pytest.raises(InferenceError) as info:
            check_outputs(files, tmp_path)
        assert info.value.file == files[1]
    (tmp_path / "file").touch()
    with pytest.raises(InferenceError) as info:
        check_outputs([one], tmp_path / "file")
    assert info.value.file == tmp_path / "file"
    check_outputs([one], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("extra", [["--window", "2"], ["other.mp4"]])
def test_a_table_of_steps_belongs_to_one_recording(tmp_path, depmm, extra):
    code, _, err = depmm("predict", tmp_path, "a.wav", "--steps", "s.csv", *extra)
    assert code == 2
    assert "--steps" in err
