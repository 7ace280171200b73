"""Windows and amounts of signal that a run carries."""

import json

import pytest
from trained_runs import AUDIO, train_tiny

from depmm.config import load_config
from depmm.corpora.corpus_facts import CorpusFacts, Windows
from depmm.corpora.manifest import Manifest, write_manifest
from depmm.data.data_summary import read_data_summary
from depmm.data.errors import DataError
from depmm.inference import Predictor
from depmm.runs.folder import RunFolder
from depmm.runs.inference_facts import read_inference_facts


def test_a_moved_run_divides_a_recording_as_its_training(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    windows = Windows(length_s=1.0, hop_s=0.5)
    tables, name = corpus.manifest, corpus.manifest.sessions["corpus"].iloc[0]
    facts = {name: CorpusFacts(windows=windows)}
    write_manifest(Manifest(tables.sessions, tables.steps, facts=facts), tmp_path / "manifest")
    run = train_tiny(corpus, tmp_path / "run", *AUDIO, f"data.manifest={tmp_path / 'manifest'}")
    summary = read_data_summary(RunFolder(run).data_summary)
    assert read_inference_facts(RunFolder(run).inference).reference.windows == windows
    assert summary.used_signal["audio"].total > summary.used_signal["audio"].used > 0

    (tmp_path / "manifest").rename(tmp_path / "gone")
    recording = corpus.recordings / corpus.manifest.steps["audio"].iloc[0]
    prediction = Predictor(run).predict(recording)
    starts = prediction.steps["start_s"]
    assert starts.tolist() == pytest.approx([0.5 * index for index in range(len(starts))])
    assert prediction.steps["end_s"].iloc[0] == 1.0
    assert prediction.segmentation == "windows of 1 s, one every 0.5 s as in training"
    names = {warning.name for warning in prediction.warnings}
    assert "other_windows" not in names
    assert "other_steps" in names  # the steps of the manifest are words
    used = prediction.used_signal["audio"]
    assert used.total == prediction.duration_s
    max_audio_s = load_config(run / "config.yaml").data.max_audio_s
    assert used.used == pytest.approx(max_audio_s * len(starts), rel=0.1)  # 0.5 s of each second
    assert "part_of_recording" in names

    other = Predictor(run).predict(recording, window_s=2.0)
    assert "other_windows" in {warning.name for warning in other.warnings}


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"used_signal": {}, "flow": "long"})])
def test_a_damaged_summary_is_refused(content, tmp_path):
    path = tmp_path / "data_summary.json"
    assert read_data_summary(path) is None
    path.write_text(content)
    with pytest.raises(DataError) as info:
        read_data_summary(path)
    assert info.value.file == path
    assert info.value.remedy is not None
