"""``depmm precompute``: parts of the sessions, which the training then finds."""

import shutil
from pathlib import Path

import pytest
from embedding_runs import embedding_files, load_embedding_config
from speech_sources import write_source

from depmm.config import load_experiment
from depmm.data.experiment_data import load_experiment_data
from depmm.shards import WHOLE, parse_shard
from depmm.store.embeddings import EmbeddingStore
from depmm.training.experiment import train
from depmm.training.precompute import precompute


@pytest.fixture
def store(corpus, tmp_path) -> Path:
    """Copy the store without what other tests have computed in it."""
    computed = shutil.ignore_patterns("streams", "measures", "embeddings")
    return Path(shutil.copytree(corpus.store, tmp_path / "store", ignore=computed))


def test_training_finds_the_embeddings_of_all_parts(corpus, store, tmp_path, monkeypatch):
    source = write_source(tmp_path)
    settings = [f"out={tmp_path}", "training.epochs=1", "evaluation.n_gate_samples=0"]
    config = load_embedding_config(corpus, store, source, *settings)
    sizes = []
    for part in ("1/2", "2/2"):
        report = precompute(config, shard=parse_shard(part), workers=0)
        assert report.stored == ["audio"]
        sizes.append(report.n_sessions)
    assert sizes == [6, 6]
    before = embedding_files(store)
    assert len(before) == 12
    monkeypatch.setattr(EmbeddingStore, "write", None)
    train(config)
    assert embedding_files(store) == before


def test_the_parts_of_an_array_compute_voice_and_measures(
    corpus, store, tmp_path, depmm, monkeypatch
):
    changes = [
        f"data.store={store}", f"out={tmp_path}", "data.modalities=[prosody]",
        "data.features={prosody: voice}",
    ]  # fmt: skip
    network = [
        "model.fusion={kind: mean_pool}",
        "model.encoders={audio: null, face: null, prosody: {kind: feature_cnn, features: 35}}",
    ]
    monkeypatch.setattr("depmm.training.precompute.local_cores", lambda: 1)  # in this process
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    for element in range(2):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(element))
        result = depmm("precompute", corpus.config, *changes, *network)
        assert result.code == 0, result.err
        assert result.out.splitlines()[-1] == f"part {element + 1}/2, 6 sessions: voice"
        stored = list((store / "streams").rglob("*.safetensors"))
        assert len(stored) == 6 * (element + 1)
    data = load_experiment_data(load_experiment(corpus.config, [*changes, *network]))
    assert len(data.sessions) == 12


def test_the_measures_of_a_classical_model_are_computed(corpus, store, tmp_path):
    config = load_experiment(
        corpus.config,
        [
            f"data.store={store}", "model=null", "training=null", "data.modalities=[audio]",
            "data.augment=null", "classical={model: {kind: svm}, measures: {audio: [timing]}}",
        ],
    )  # fmt: skip
    report = precompute(config, shard=WHOLE, workers=0)
    assert report.stored == ["timing"]
    assert len(list((store / "measures").rglob("*.safetensors"))) == 12
