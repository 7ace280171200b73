"""Pre-trained encoders through the command line: train, embed once, evaluate, explain, predict."""

import json
import shutil

import pytest
from embedding_runs import embedding_files
from safetensors.torch import load_file
from speech_sources import write_family

WAVEFORM = ("wav2vec2", "frozen")
LOG_MEL = ("whisper", "lora")


@pytest.mark.slow
@pytest.mark.parametrize(("family", "adaptation"), [WAVEFORM, LOG_MEL])
def test_a_run_with_a_pretrained_encoder(
    family, adaptation, corpus, depmm, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    source = write_family(tmp_path / family, family)
    shutil.copytree(corpus.store, "store")
    settings = {"kind": "speech_transformer", "source": source, "embed_dim": 8}
    settings |= {"adaptation": adaptation, "license": "MIT", "pretrained_on": ["ewre_simulated"]}
    overrides = [
        f"model.encoders.audio={json.dumps(settings)}",
        "model.encoders.face=null",
        "model.fusion={kind: mean_pool}",
        "data.modalities=[audio]",
        "data.store=store",
        f"out={tmp_path}/runs",
    ]
    if adaptation == "frozen":
        overrides.append("data.precompute_embeddings=[audio]")

    result = depmm("train", corpus.config, *overrides, "name=first")
    assert result.code == 0, result.err
    assert any("ewre_simulated" in r.message for r in caplog.records if r.levelname == "WARNING")
    weights = load_file("runs/first/model.safetensors")
    assert any(".lora_B." in name for name in weights) == (adaptation == "lora")
    if adaptation == "frozen":
        embeddings = embedding_files(tmp_path / "store")
        assert len(embeddings) >= 12
        monkeypatch.setattr("depmm.store.embeddings.EmbeddingStore.write", None)
        assert depmm("train", corpus.config, *overrides, "name=second").code == 0
        assert embedding_files(tmp_path / "store") == embeddings
        second = load_file("runs/second/model.safetensors")
        assert all(weights[name].equal(second[name]) for name in weights)

    shutil.rmtree(source)  # a finished run does not need it
    assert depmm("evaluate", "runs/first").code == 0
    metrics = json.loads((tmp_path / "runs/first/metrics.json").read_text())
    line = next(line for line in metrics["leakage"] if line["name"] == "initial weights")
    assert line["status"] == "problem"
    assert "ewre_simulated" in (tmp_path / "runs/first/report.html").read_text()
    result = depmm("explain", "runs/first")
    assert result.code == 0, result.err
    recording = corpus.recordings / corpus.manifest.steps["audio"][0]
    result = depmm("predict", "runs/first", recording)
    assert result.code == 0, result.err
