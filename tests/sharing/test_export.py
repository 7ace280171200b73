"""Export of runs: content, refusals, and predictions of the exported folder."""

import json
import shutil

import pandas as pd
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained_runs import AUDIO, train_tiny

from depmm.config import load_experiment
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import load_experiment_data
from depmm.errors import DepmmError
from depmm.files.checksums import read_json, write_bytes, write_text
from depmm.inference import Predictor
from depmm.models.model import DepressionModel
from depmm.reporting import evaluate
from depmm.runs.folder import RunFolder
from depmm.schemas.run_files import RUN_FILES, describe_run_file
from depmm.sharing.errors import SharingError
from depmm.sharing.export import export_run
from depmm.sharing.ids import collect_ids
from depmm.sharing.models import choose_models
from depmm.sharing.sealed_folder import check_sealed
from depmm.sharing.search import search_folder
from depmm.training.classical import train_classical


def probabilities(folder, recording) -> list[float]:
    prediction = Predictor(folder).predict(recording, window_s=1.0)
    return [prediction.result["probability"], *prediction.steps["attribution"]]


def test_an_exported_network_predicts_like_the_run(corpus, evaluated_run, tmp_path, depmm):
    out = tmp_path / "shared" / "lora"
    result = depmm("export", evaluated_run, out)
    assert result.code == 0, result.err
    for name in ("predictions.parquet", "split.csv", "history.parquet", "report.html"):
        assert f"  {name}: " in result.out
    record = json.loads((out / "export.json").read_text())
    assert set(record["files"]) == set(check_sealed(out))
    assert {"predictions.parquet", "split.csv"} <= record["stays_in_the_run"].keys()
    assert not {path.name for path in out.iterdir()} & {"predictions.parquet", "split.csv"}

    recording = corpus.recordings / corpus.manifest.steps["face"].iloc[0]
    assert probabilities(out, recording) == pytest.approx(
        probabilities(evaluated_run, recording), abs=1e-6
    )

    config = load_experiment(out / "config.yaml")
    assert config.model.encoders["audio"].source == "hubert-tiny"
    text = (out / "config.yaml").read_text() + (out / "config.json").read_text()
    assert str(evaluated_run.parents[1]) not in text + (out / "environment.json").read_text()
    assert "hubert-tiny" in (out / "LICENCES.md").read_text()
    assert "licence not stated" in (out / "LICENCES.md").read_text()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["metrics"]["auroc"]["value"] is not None
    assert "participants" not in metrics
    assert not metrics["subgroups"]  # of four test subjects
    head = yaml.safe_load((out / "README.md").read_text().split("---")[1])
    assert (head["library_name"], head["license"]) == ("depmm", "other")
    assert "audio" in head["tags"]
    assert head["model-index"][0]["results"][0]["metrics"]

    again = depmm("export", evaluated_run, out)
    assert (again.code, str(out) in again.err) == (2, True)
    (out / "inference.json").write_text("{}")
    with pytest.raises(DepmmError) as caught:
        Predictor(out)
    assert "exported folder" in caught.value.remedy  # a receiver cannot train it again
    with (out / "SHA256SUMS").open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(SharingError):
        check_sealed(out)


@pytest.mark.slow
def test_a_cross_validation_needs_a_choice(corpus, evaluated_folds, tmp_path, depmm):
    for options in ([], ["--fold", "5"], ["--seed", "3"], ["--fold", "0", "--seed", "1"]):
        result = depmm("export", evaluated_folds, tmp_path / "none", *options)
        assert (result.code, "fold 1 of seed 0" in result.err) == (2, True)
    assert not (tmp_path / "none").exists()
    recording = corpus.recordings / corpus.manifest.steps["face"].iloc[0]
    for options, source in (("all", "."), ("1", "seed-0-fold-1")):
        out = tmp_path / options
        assert depmm("export", evaluated_folds, out, "--fold", options).code == 0
        expected = probabilities(evaluated_folds / source, recording)
        assert probabilities(out, recording) == pytest.approx(expected, abs=1e-6)
    assert "all 2 models" in (tmp_path / "1" / "README.md").read_text()
    (tmp_path / "all" / "seed-0-fold-0" / "config.yaml").write_text("name: other")
    with pytest.raises(SharingError):
        check_sealed(tmp_path / "all")


@pytest.mark.slow
def test_a_classical_model_is_exported(corpus, tmp_path):
    section = "classical={model: {kind: ridge}, measures: {audio: [voice]}, unit: step}"
    config = load_experiment(corpus.config, [AUDIO[0], "model=null", "training=null", section])
    train_classical(config, RunFolder(tmp_path / "run"))
    evaluate(tmp_path / "run")
    export = export_run(tmp_path / "run", tmp_path / "out")
    assert {"model.skops", "measures.csv"} <= export.files.keys()
    recording = corpus.recordings / corpus.manifest.steps["audio"].dropna().iloc[0]
    assert probabilities(tmp_path / "out", recording) == pytest.approx(
        probabilities(tmp_path / "run", recording), abs=1e-9
    )


def test_repeated_folds_are_not_counted_twice_in_the_model_card(evaluated_run, tmp_path):
    run = shutil.copytree(evaluated_run, tmp_path / "run")
    metrics = read_json(run / "metrics.json")
    metrics |= {"folds": list(range(6)), "seeds": ["0, repeat 0", "0, repeat 1"], "repeats": 2}
    write_text(run / "metrics.json", json.dumps(metrics))
    export_run(run, tmp_path / "out")
    assert "over 6 folds in 2 repetitions: 6 models" in (tmp_path / "out/README.md").read_text()


def test_what_is_not_finished_is_not_exported(evaluated_run, tmp_path):
    for missing in ("predictions.parquet", "metrics.json", "model.safetensors"):
        run = shutil.copytree(evaluated_run, tmp_path / missing)
        (run / missing).unlink()
        with pytest.raises(DepmmError) as caught:
            export_run(run, tmp_path / "out")
        assert caught.value.remedy
        assert not (tmp_path / "out").exists()
    with pytest.raises(SharingError):
        choose_models(evaluated_run, "3", None)


def test_an_id_in_any_file_refuses_the_export(evaluated_run, tmp_path):
    subject = pd.read_csv(evaluated_run / "split.csv")["subject"][0]
    run = shutil.copytree(evaluated_run, tmp_path / "run")
    path = run / "step_reference.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), tmp_path / "new", metadata | {"note": f"of {subject}"})
    write_bytes(path, (tmp_path / "new").read_bytes())
    with pytest.raises(SharingError) as caught:
        export_run(run, tmp_path / "out")
    finding = caught.value.value[0]
    assert (finding.file, finding.value) == ("step_reference.safetensors", subject)
    assert not (tmp_path / "out").exists()


def test_ids_that_are_counts_and_words_do_not_refuse_an_export(evaluated_run, tmp_path):
    run = shutil.copytree(evaluated_run, tmp_path / "run")
    split = pd.read_csv(run / "split.csv", dtype=str)
    split["subject"] = ["2", "4", "6", "12", "F1", "may", *split["subject"][6:]]
    write_bytes(run / "split.csv", split.to_csv(index=False).encode())
    (run / "Anna_1.wav").touch()
    export = export_run(run, tmp_path / "out")
    assert export.stays["Anna_1.wav"]
    assert any("f1, may" in note for note in export.notes)
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert not any("f1" in note or "Anna" in note for note in record["notes"])
    assert "Anna_1.wav" not in record["stays_in_the_run"]
    assert "subgroups.gender" in record["left_out_of_metrics"]
    assert "subgroups.gender.female" in export.left_out


@pytest.mark.slow
def test_the_list_of_files_is_complete_and_true(evaluated_run, depmm, tmp_path):
    """Every file that commands write into a run is described; where none are named, none are."""
    run = shutil.copytree(evaluated_run, tmp_path / "run")
    assert depmm("evaluate", run, "--checklist", "tripod-ai").code == 0
    assert depmm("explain", run, "--html").code == 0
    names = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert not [name for name in names if describe_run_file(name) is None]
    ids = collect_ids(RunFolder(run), load_experiment(run / "config.yaml").data.manifest)
    for path in list(run.iterdir()):
        if path.is_dir():  # events of TensorBoard
            shutil.rmtree(path)
        elif path.name.startswith(".") or describe_run_file(path.name).names_subjects != "never":
            path.unlink()
    assert (run / "model.safetensors").is_file()
    assert not [finding for finding in search_folder(run, ids) if finding.kind == "id"]
    card = (evaluated_run / "README.md").read_text()
    for file in RUN_FILES:
        assert (f"`{file.name}`" in card) or file.names_subjects == "never"


@pytest.mark.slow
def test_graphs_of_a_run_predict_a_session_like_torch(corpus, tmp_path, depmm):
    """DEP-Former with one modality, because torch needs a minute for the graph of two.

    The form that is traced is compared with the model for all ways of sharing in
    ``tests/models/onnx/test_attention.py``.
    """
    import onnxruntime

    run = train_tiny(corpus, tmp_path / "run", *AUDIO[:2])
    evaluate(run)
    out = tmp_path / "out"
    result = depmm("export", run, out, "--onnx")
    assert result.code == 0, result.err
    assert "onnx/fusion.onnx" in check_sealed(out)
    data = load_experiment_data(load_experiment(run / "config.yaml"))
    inputs = next(evaluation_batches(data.dataset, [0], 1, torch.device("cpu")))[1]
    feeds = {}
    for name, given in inputs.items():
        session = onnxruntime.InferenceSession(out / "onnx" / f"encoder_{name}.onnx")
        values, lengths = given.values[0].numpy(), given.lengths[0]
        (vectors,) = session.run(None, {"values": values, "lengths": lengths})
        feeds |= {f"features_{name}": vectors[None], f"mask_{name}": lengths[None] > 0}
    fusion = onnxruntime.InferenceSession(out / "onnx" / "fusion.onnx")
    prediction, _ = fusion.run(None, feeds)
    model = DepressionModel.from_pretrained(out).eval()
    with torch.no_grad():
        expected = model(inputs).prediction.numpy()
    assert prediction == pytest.approx(expected, abs=1e-4)
