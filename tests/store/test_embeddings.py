"""Keys and files of precomputed embeddings."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_runs import (
    FRAME_MEAN,
    build_seeded_model,
    count_embedded,
    load_embedding_config,
)
from safetensors.torch import load_file
from speech_sources import write_source

from depmm.config import ExtractConfig, ModelConfig
from depmm.data.experiment_data import load_experiment_data
from depmm.models.model import build_model
from depmm.store.embeddings import EmbeddingStore, embedding_key
from depmm.store.errors import StoreError
from depmm.store.sessions import SessionStore


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_source(tmp_path_factory.mktemp("hubert"))


@pytest.fixture
def store(corpus, tmp_path) -> Path:
    return shutil.copytree(corpus.store, tmp_path / "store")


@pytest.mark.slow
def test_the_key_depends_on_everything_that_changes_an_embedding(corpus, store, source, tmp_path):
    def key(*overrides: str, model_source: str = source, modality: str = "audio", change=None):
        config = load_embedding_config(corpus, store, model_source, *overrides)
        encoders = {modality: config.model.encoders[modality]}
        torch.manual_seed(0)
        model = build_model(ModelConfig(encoders=encoders, fusion={"kind": "mean_pool"}))
        if change is not None:
            change(model.encoders[modality])
        sessions = SessionStore(store, config.extract)
        return embedding_key(model.encoders[modality], modality, config.data, sessions)

    def change_one_bit(encoder):
        encoder.backbone.encoder.layers[2].final_layer_norm.bias.data[-1] += 1e-7

    def change_projection(encoder):
        encoder.projection[-1].weight.data.zero_()

    first = key()
    others = [
        key("model.encoders.audio.layer=1"),
        key("data.max_audio_s=0.4"),
        key("data.remove_silence=true"),
        key(model_source=write_source(tmp_path / "1", seed=1)),
        key(model_source=write_source(tmp_path / "2", normalize=False)),
        key(change=change_one_bit),
        key(*FRAME_MEAN, modality="face"),
        key(*FRAME_MEAN, "data.frames_per_step=1", modality="face"),
        key(*FRAME_MEAN, "data.frame_choice=once", modality="face"),
        key(*FRAME_MEAN, "model.encoders.face.frames=1", modality="face"),
    ]
    assert len({first, *others}) == 11
    same = [
        key("model.encoders.audio.embed_dim=4", "model.encoders.audio.dropout=0.5"),
        key(*FRAME_MEAN, "data.frames_per_step=1", "data.precompute_embeddings=[audio, face]"),
        key(change=change_projection),
        key(model_source=shutil.copytree(source, tmp_path / "copy")),
    ]
    assert {first, *same} == {first}
    model = build_seeded_model(load_embedding_config(corpus, store, source))
    other = SessionStore(store, ExtractConfig.model_validate({"audio": {"silence_db": -20.0}}))
    data = load_embedding_config(corpus, store, source).data
    assert embedding_key(model.encoders["audio"], "audio", data, other) != first


def test_the_files_are_plain_safetensors(corpus, store, source):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    count_embedded(model, data)
    settings, sessions = data.dataset.settings, data.dataset.store
    key = embedding_key(model.encoders["audio"], "audio", settings, sessions)
    folder = store / "embeddings" / key
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).parts[1] for path in files) == [
        subject for _, subject, _ in sorted(data.dataset.session_keys)
    ]
    tensors = load_file(files[0])
    assert {name: (t.dtype, t.shape) for name, t in tensors.items()} == {
        "embedding": (torch.float32, (4, 64)),
        "present": (torch.bool, (4,)),
    }


def test_embeddings_are_stored_in_a_remote_store():
    store = SessionStore("memory://embed-test/store/", ExtractConfig())
    with store.writer() as writer:
        writer.append("audio.waveform", np.zeros(3, np.int16))
        store.put(writer.save({"n_steps": 2, "source_hash": "a"}), store.path("c", "p", "s"))
    embeddings = EmbeddingStore(store, "0123456789ab")
    assert not embeddings.has("c", "p", "s")
    embeddings.write("c", "p", "s", np.ones((1, 3), np.float32), np.array([False, True]))
    assert embeddings.has("c", "p", "s")
    rows, present = embeddings.read("c", "p", "s")
    assert (rows.tolist(), present.tolist()) == ([[1, 1, 1]], [False, True])
    assert not embeddings.has("c", "p", "other")
    with store.writer() as writer:  # of another number of steps, with right checksums
        writer.append("embedding", np.ones((2, 3), np.float32))
        writer.append("present", np.array([False, True]))
        file = writer.save({"session": store.read_summary("c", "p", "s")})
        other = EmbeddingStore(store, "ba9876543210")
        other.files.put(file, other.files.path("c", "p", "s"))
    assert not other.has("c", "p", "s")
    with pytest.raises(StoreError):
        other.read("c", "p", "s")
    with pytest.raises(StoreError) as info:
        embeddings.write("c", "p", "other", rows, present)
    assert info.value.file is not None
