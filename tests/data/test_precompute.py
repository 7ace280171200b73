"""Precomputed embeddings of frozen encoders replace the signals."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from embedding_runs import (
    DEPNET,
    FRAME_MEAN,
    build_seeded_model,
    count_embedded,
    embedding_files,
    load_embedding_config,
    predict_all,
    without_some_audio,
)
from safetensors.torch import load, load_file
from speech_sources import write_source
from trained_weights import assert_same_weights
from typer.testing import CliRunner

from depmm.cli import app
from depmm.config import ConfigError, ExtractConfig
from depmm.corpora.manifest import write_manifest
from depmm.data.batch import collate
from depmm.data.experiment_data import load_experiment_data
from depmm.models.errors import WeightsError
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder
from depmm.shards import Shard
from depmm.store.errors import StoreError
from depmm.store.extract import extract
from depmm.store.sessions import SessionStore
from depmm.training import loop
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_source(tmp_path_factory.mktemp("hubert"))


@pytest.fixture
def store(corpus, tmp_path) -> Path:
    return shutil.copytree(corpus.store, tmp_path / "store")


@pytest.mark.parametrize(
    ("modalities", "face"),
    [("[audio]", []), ("[face]", DEPNET), ("[audio, face]", FRAME_MEAN)],
)
def test_predictions_from_embeddings_equal_those_from_signals(
    modalities, face, corpus, store, source
):
    config = load_embedding_config(
        corpus, store, source, *face, f"data.precompute_embeddings={modalities}"
    )
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, counts = count_embedded(model, data)
    assert counts == [(name, 12) for name in config.data.precompute_embeddings]
    expected = predict_all(model, data)
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(predict_all(model, embedded), expected, rtol=0, atol=1e-5)
    assert data.dataset.embeddings == {}


def test_signals_are_not_read_if_everything_is_embedded(corpus, store, source):
    config = load_embedding_config(
        corpus, store, source, *FRAME_MEAN, "data.precompute_embeddings=[audio, face]"
    )
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, _ = count_embedded(model, data)
    expected = predict_all(model, embedded)
    for key in data.dataset.session_keys:
        Path(data.dataset.store.path(*key)).unlink()
    np.testing.assert_allclose(predict_all(model, embedded), expected, rtol=0, atol=1e-5)


def test_items_and_batches_contain_embeddings_instead_of_the_signal(corpus, store, source):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, _ = count_embedded(model, data)
    item = embedded.dataset[None, 2]
    assert item.embedded == {"audio"}
    assert [row.shape for row in item.signals["audio"]] == [(1, 4 * 16)] * 4
    assert item.signals["audio"][0].dtype == np.float32
    index, batch = collate([embedded.dataset[None, index] for index in (2, 3)])
    assert index.tolist() == [2, 3]
    assert {name: part.embedded for name, part in batch.items()} == {"audio": True, "face": False}
    assert batch["audio"].values.shape == (2, 4, 64)
    assert batch["audio"].lengths.tolist() == [[1] * 4] * 2
    signals = data.dataset[None, 2].signals["audio"]
    rows = [
        model.encoders["audio"].precompute(torch.tensor(step)[None], torch.tensor([len(step)]))
        for step in signals
    ]
    torch.testing.assert_close(batch["audio"].values[0], torch.cat(rows), rtol=0, atol=1e-4)


def test_gradients_from_embeddings_equal_those_from_signals(corpus, store, source):
    dropout = "model.fusion.dropout=0.0"
    config = load_embedding_config(
        corpus, store, source, *FRAME_MEAN, dropout, "data.precompute_embeddings=[audio, face]"
    )
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, _ = count_embedded(model, data)
    gradients = []
    for inputs in (data, embedded):
        _, batch = collate([inputs.dataset[None, index] for index in range(3)])
        torch.manual_seed(0)
        model.train().zero_grad()
        model(batch).logits.square().sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert "encoders.audio.projection.0.logit" in gradients[0]
    assert not any("backbone" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-6)


def test_augmentation_masks_the_same_steps_of_embeddings(corpus, store, source):
    config = load_embedding_config(
        corpus, store, source, "data.augment={keep_steps: 0.2, modality_dropout: 0.5}"
    )
    model, data = build_seeded_model(config), load_experiment_data(config)
    both = count_embedded(model, data)[0], data
    patterns = set()
    for epoch in range(12):
        present = []
        for inputs in both:
            _, batch = collate([inputs.dataset[epoch, index] for index in range(4)])
            present.append({name: (part.lengths > 0).tolist() for name, part in batch.items()})
        assert present[0] == present[1]
        patterns.add(str(present[0]))
        rows = collate([both[0].dataset[epoch, 1]])[1]["audio"]
        assert rows.embedded
        assert (rows.values[rows.lengths == 0] == 0).all()
    assert len(patterns) == 12


def test_steps_without_the_modality_have_no_embedding(corpus, store, source, tmp_path):
    manifest = without_some_audio(corpus)
    write_manifest(manifest, tmp_path / "manifest")
    extract(manifest, corpus.recordings, store, ExtractConfig(), workers=0)
    config = load_embedding_config(corpus, store, source, f"data.manifest={tmp_path / 'manifest'}")
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, _ = count_embedded(model, data)
    store = embedded.dataset.embeddings["audio"]
    rows, present = store.read(*data.dataset.session_keys[0])
    assert (rows.shape, present.tolist()) == ((2, 64), [False, True, False, True])
    rows, present = store.read(*data.dataset.session_keys[1])
    assert (rows.shape, present.tolist()) == ((0, 64), [False] * 4)
    np.testing.assert_allclose(
        predict_all(model, embedded), predict_all(model, data), rtol=0, atol=1e-5
    )


def test_a_loaded_model_uses_the_stored_embeddings(corpus, store, source, tmp_path):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, _ = count_embedded(model, data)
    expected = predict_all(model, embedded)
    model.save_pretrained(tmp_path / "run")
    loaded = DepressionModel.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(predict_all(loaded, data), expected, rtol=0, atol=1e-5)
    again, counts = count_embedded(loaded, data)
    assert counts == [("audio", 0)]
    np.testing.assert_allclose(predict_all(loaded, again), expected, rtol=0, atol=1e-5)


def test_a_model_trained_on_embeddings_predicts_from_signals(
    corpus, store, source, tmp_path, caplog
):
    caplog.set_level("INFO", "depmm")
    config = load_embedding_config(corpus, store, source, f"out={tmp_path}", "training.epochs=2")
    run = RunFolder(tmp_path / "tiny")
    train_network(config, run, build_accelerator(config))
    assert "embed audio: 0 sessions stored, 12 missing" in caplog.messages
    expected = pd.read_parquet(run.predictions)["y_prob"]
    model = DepressionModel.from_pretrained(run.path)
    np.testing.assert_allclose(
        predict_all(model, load_experiment_data(config)), expected, rtol=0, atol=1e-5
    )


def test_a_run_is_explained_from_its_embeddings(
    corpus, store, source, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO", "depmm")
    settings = [*FRAME_MEAN, "data.precompute_embeddings=[audio, face]", "training.epochs=1"]
    config = load_embedding_config(corpus, store, source, *settings, f"out={tmp_path}")
    run = RunFolder(tmp_path / "tiny")
    train_network(config, run, build_accelerator(config))

    def decode(*signal: object) -> None:
        raise AssertionError("a signal was decoded although its embedding is stored")

    monkeypatch.setattr(SessionStore, "read", decode)
    result = CliRunner().invoke(app, ["explain", str(run.path)])
    assert result.exit_code == 0, result.output
    assert "embed audio: 12 sessions stored, 0 missing" in caplog.messages
    explained = pd.read_parquet(run.path / "attributions.parquet").drop_duplicates("session")
    predicted = pd.read_parquet(run.predictions).set_index("session")["y_prob"]
    np.testing.assert_allclose(
        explained["y_prob"], predicted[explained["session"]], rtol=0, atol=1e-5
    )


def test_a_second_call_computes_no_embeddings(corpus, store, source, monkeypatch):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    first, counts = count_embedded(model, data)
    assert counts == [("audio", 12)]
    before = embedding_files(store)
    assert len(before) == 12
    monkeypatch.setattr(type(model.encoders["audio"]), "precompute", None)
    second, counts = count_embedded(model, data)
    assert counts == [("audio", 0)]
    assert embedding_files(store) == before
    np.testing.assert_allclose(
        predict_all(model, second), predict_all(model, first), rtol=0, atol=1e-5
    )


def test_each_process_embeds_a_part_of_the_sessions(corpus, store, source):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    for rank, total in ((1, 4), (0, 8), (2, 12)):
        assert count_embedded(model, data, shard=Shard(rank, 3))[1] == [("audio", 4)]
        assert len(embedding_files(store)) == total
    assert count_embedded(model, data)[1] == [("audio", 0)]


def test_an_interrupted_embedding_is_resumed(corpus, store, source, monkeypatch):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    precompute, calls = type(model.encoders["audio"]).precompute, []

    def stop_at_the_fifth(self, waveform, length):
        calls.append(len(length))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return precompute(self, waveform, length)

    monkeypatch.setattr(type(model.encoders["audio"]), "precompute", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        count_embedded(model, data)
    assert len(embedding_files(store)) == 4
    assert count_embedded(model, data)[1] == [("audio", 8)]


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_file_is_embedded_again(damage, corpus, store, source):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    embedded, _ = count_embedded(model, data)
    before = embedding_files(store)
    broken = Path(embedded.dataset.embeddings["audio"].files.path(*data.dataset.session_keys[3]))
    broken.write_bytes(broken.read_bytes()[:-1] if damage is None else damage)
    with pytest.raises(StoreError) as info:
        embedded.dataset[None, 3]
    assert info.value.file == broken
    assert count_embedded(model, data)[1] == [("audio", 1)]
    after = embedding_files(store)
    second, first = after.pop(str(broken)), before.pop(str(broken))
    assert after == before  # the other files are unchanged
    # not bit-identical: the sound may be at another memory alignment
    assert load(second).keys() == load(first).keys()
    for name, value in load(first).items():
        torch.testing.assert_close(load(second)[name], value, rtol=0, atol=1e-4)


def test_a_session_that_is_extracted_again_is_embedded_again(corpus, store, source):
    config = load_embedding_config(corpus, store, source)
    model, data = build_seeded_model(config), load_experiment_data(config)
    count_embedded(model, data)
    before = embedding_files(store)
    report = extract(
        without_some_audio(corpus), corpus.recordings, store, ExtractConfig(), workers=0,
    )  # fmt: skip
    assert report.extracted == 2
    again, counts = count_embedded(model, data)
    assert counts == [("audio", 2)]
    after = embedding_files(store)
    assert after.keys() == before.keys()
    assert sum(after[name] != before[name] for name in after) == 2
    np.testing.assert_allclose(
        predict_all(model, again), predict_all(model, data), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    ("overrides", "setting"),
    [
        (["data.augment.gain_db=1.0"], "data.augment.gain_db"),
        (["data.augment.relative_noise=0.1"], "data.augment.relative_noise"),
        (["data.augment.pitch_semitones=[1.0]"], "data.augment.pitch_semitones"),
        (
            [*FRAME_MEAN, "data.precompute_embeddings=[face]", "data.augment.flip=true"],
            "data.augment.flip",
        ),
        (["model.encoders.audio.adaptation=full"], "data.precompute_embeddings"),
        (["data.modalities=[face]", "model.encoders.audio=null"], "data.precompute_embeddings"),
    ],
)
def test_settings_that_change_the_signal_are_refused(overrides, setting, corpus, store, source):
    with pytest.raises(ConfigError) as info:
        load_embedding_config(corpus, store, source, *overrides)
    assert info.value.setting == setting


def test_the_signal_of_another_modality_may_be_augmented(corpus, store, source):
    config = load_embedding_config(
        corpus, store, source, "data.augment={flip: true, keep_steps: 0.5}"
    )
    assert config.data.augment.flip
    noise = "data.augment.relative_noise=0.1"
    faces = load_embedding_config(
        corpus, store, source, *FRAME_MEAN, noise, "data.precompute_embeddings=[face]"
    )
    assert faces.data.augment.relative_noise == 0.1


@pytest.mark.slow
def test_checkpoints_leave_out_frozen_weights_and_are_resumed(
    corpus, store, source, tmp_path, monkeypatch
):
    settings = load_embedding_config(corpus, store, source, "training.epochs=2")
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    train_network(settings, whole, build_accelerator(settings))
    checkpoints: list[set[str]] = []

    def stop(*arguments, **options):
        checkpoints.extend(
            set(load_file(path)) for path in stopped.checkpoints.glob("*.safetensors")
        )
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "format_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings, stopped, build_accelerator(settings))
    assert len(checkpoints) == 2  # the best and the last epoch
    for names in checkpoints:
        assert any("encoders.audio" in name for name in names)  # its projection is trained
        assert not any("encoders.audio.backbone" in name and "weight" in name for name in names)
    train_network(settings, stopped, build_accelerator(settings))
    resumed, expected = (load_file(run.path / "model.safetensors") for run in (stopped, whole))
    assert any("encoders.audio.backbone" in name for name in resumed)
    assert_same_weights(resumed, expected)


def test_a_training_is_not_resumed_with_other_frozen_weights(corpus, store, tmp_path, monkeypatch):
    source = write_source(tmp_path / "hubert", seed=0)
    config = load_embedding_config(corpus, store, source, "training.epochs=2")
    run = RunFolder(tmp_path / "run")

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "format_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train_network(config, run, build_accelerator(config))
    write_source(tmp_path / "hubert", seed=1)
    with pytest.raises(WeightsError) as info:
        train_network(config, run, build_accelerator(config))
    assert info.value.file == run.last_checkpoint
    write_source(tmp_path / "hubert", seed=0)
    train_network(config, run, build_accelerator(config))
    assert run.finished
