"""Frozen encoders run once: what is kept stands for the signal, and never for another one."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load, load_file
from speech_sources import write_source
from trained_weights import assert_same_weights
from typer.testing import CliRunner

from depmm.cli import app
from depmm.config import Config, ConfigError, ExtractConfig, ModelConfig, load_config
from depmm.corpora.manifest import Manifest
from depmm.data.batch import collate
from depmm.data.dataset import SessionDataset
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.precompute import ensure_embeddings
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model
from depmm.runs.folder import RunFolder
from depmm.store.embeddings import EmbeddingStore, embedding_key
from depmm.store.errors import StoreError
from depmm.store.extract import extract
from depmm.store.session_file import SessionWriter
from depmm.store.sessions import SessionStore
from depmm.training import loop
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network

CPU = torch.device("cpu")
FRAME_MEAN = [
    "data.face_size=32",
    "data.frames_per_step=2",
    "model.encoders.face={kind: frame_mean, frozen: true, frames: 2}",
]
DEPNET = [
    "data.face_size=32",
    "model.encoders.face={kind: depnet, face_size: 32, frames: 2, channels: 4, embed_dim: 8}",
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_source(tmp_path_factory.mktemp("hubert"))


@pytest.fixture
def store(corpus, tmp_path) -> Path:
    return shutil.copytree(corpus.store, tmp_path / "store")


def config_of(corpus, store: Path, source: str, *overrides: str) -> Config:
    audio = f"{{kind: speech_transformer, source: {source}, embed_dim: 8, dropout: 0.0}}"
    return load_config(
        corpus.config,
        [
            f"data.store={store}",
            f"model.encoders.audio={audio}",
            "data.precompute_embeddings=[audio]",
            *overrides,
        ],
    )


def model_of(config: Config) -> DepressionModel:
    torch.manual_seed(0)
    return build_model(config.model).eval()


def embed(
    model: DepressionModel, data: ExperimentData, **arguments
) -> tuple[ExperimentData, list[tuple[str, int]]]:
    """Ensure embeddings; tell which encoder ran for how many sessions."""
    missing = []
    write = EmbeddingStore.write

    def counted(store, *arguments):
        missing.append(store)
        write(store, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddingStore, "write", counted)
        done = ensure_embeddings(model.encoders, data, CPU, **arguments)
    stores = done.dataset.embeddings
    return done, [
        (name, sum(entry is store for entry in missing)) for name, store in stores.items()
    ]


def predictions(model: DepressionModel, data: ExperimentData) -> np.ndarray:
    table = predict_sessions(model, data.dataset, range(len(data.dataset)), batch_size=5)
    return table["prediction"].to_numpy()


def kept_files(store: Path) -> dict[str, bytes]:
    files = sorted((store / "embeddings").rglob("*"))
    return {str(path): path.read_bytes() for path in files if path.is_file()}


# ---- the same as the signal --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modalities", "face"),
    [("[audio]", []), ("[face]", DEPNET), ("[audio, face]", FRAME_MEAN)],
)
def test_predictions_are_those_of_the_signals(modalities, face, corpus, store, source):
    config = config_of(corpus, store, source, *face, f"data.precompute_embeddings={modalities}")
    model, data = model_of(config), load_experiment_data(config)
    embedded, ran = embed(model, data)
    assert ran == [(name, 12) for name in config.data.precompute_embeddings]
    expected = predictions(model, data)
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(predictions(model, embedded), expected, rtol=0, atol=1e-5)
    assert data.dataset.embeddings == {}


def test_media_are_not_touched_when_everything_is_embedded(corpus, store, source):
    config = config_of(
        corpus, store, source, *FRAME_MEAN, "data.precompute_embeddings=[audio, face]"
    )
    model, data = model_of(config), load_experiment_data(config)
    embedded, _ = embed(model, data)
    expected = predictions(model, embedded)
    for key in data.dataset.session_keys:
        Path(data.dataset.store.path(*key)).unlink()
    np.testing.assert_allclose(predictions(model, embedded), expected, rtol=0, atol=1e-5)


def test_items_and_batches_hold_rows_in_place_of_the_signal(corpus, store, source):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    embedded, _ = embed(model, data)
    item = embedded.dataset[None, 2]
    assert item.audio is None
    assert [row.shape for row in item.embeddings["audio"]] == [(1, 4 * 16)] * 4
    assert item.embeddings["audio"][0].dtype == np.float32
    batch = collate([embedded.dataset[None, number] for number in (2, 3)])
    names = {"index", "audio_embedding", "audio_length", "face", "face_length"}
    assert batch.keys() == names
    assert batch["audio_embedding"].shape == (2, 4, 64)
    assert batch["audio_length"].tolist() == [[1] * 4] * 2
    signals = data.dataset[None, 2].audio
    rows = [
        model.encoders["audio"].precompute(torch.tensor(step)[None], torch.tensor([len(step)]))
        for step in signals
    ]
    torch.testing.assert_close(batch["audio_embedding"][0], torch.cat(rows), rtol=0, atol=1e-4)


def test_gradients_are_those_of_the_signals(corpus, store, source):
    dropout = "model.fusion.dropout=0.0"
    config = config_of(
        corpus, store, source, *FRAME_MEAN, dropout, "data.precompute_embeddings=[audio, face]"
    )
    model, data = model_of(config), load_experiment_data(config)
    embedded, _ = embed(model, data)
    gradients = []
    for task in (data, embedded):
        batch = collate([task.dataset[None, number] for number in range(3)])
        batch.pop("index")
        torch.manual_seed(0)
        model.train().zero_grad()
        model(**batch).logits.square().sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert "encoders.audio.projection.0.logit" in gradients[0]
    assert not any("backbone" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-6)


def test_draws_that_leave_steps_out_hide_the_same_steps(corpus, store, source):
    config = config_of(
        corpus, store, source, "data.augment={keep_steps: 0.2, modality_dropout: 0.5}"
    )
    model, data = model_of(config), load_experiment_data(config)
    both = embed(model, data)[0], data
    seen = set()
    for epoch in range(12):
        shown = []
        for task in both:
            batch = collate([task.dataset[epoch, number] for number in range(4)])
            shown.append({n: (batch[f"{n}_length"] > 0).tolist() for n in ("audio", "face")})
        assert shown[0] == shown[1]
        seen.add(str(shown[0]))
        rows = collate([both[0].dataset[epoch, 1]])
        hidden = rows["audio_length"] == 0
        assert (rows["audio_embedding"][hidden] == 0).all()
    assert len(seen) == 12


def partly_silent(corpus) -> Manifest:
    """Session 0 without the sound of steps 0 and 2, session 1 without any."""
    steps = corpus.manifest.steps.copy()
    first, second = corpus.manifest.sessions["session"][:2]
    silent = (steps["session"] == first) & steps["step"].isin([0, 2])
    steps.loc[silent | (steps["session"] == second), "audio"] = None
    return Manifest(corpus.manifest.sessions, steps)


def test_steps_without_the_modality_have_no_row(corpus, store, source):
    manifest = partly_silent(corpus)
    extract(manifest, corpus.recordings, store, ExtractConfig(), workers=1, show_progress=False)
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    embedded, _ = embed(model, data)
    kept = embedded.dataset.embeddings["audio"]
    rows, present = kept.read(*data.dataset.session_keys[0])
    assert (rows.shape, present.tolist()) == ((2, 64), [False, True, False, True])
    rows, present = kept.read(*data.dataset.session_keys[1])
    assert (rows.shape, present.tolist()) == ((0, 64), [False] * 4)
    np.testing.assert_allclose(
        predictions(model, embedded), predictions(model, data), rtol=0, atol=1e-5
    )


def test_a_saved_run_predicts_the_same_and_finds_its_embeddings(corpus, store, source, tmp_path):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    embedded, _ = embed(model, data)
    expected = predictions(model, embedded)
    model.save_pretrained(tmp_path / "run")
    loaded = DepressionModel.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(predictions(loaded, data), expected, rtol=0, atol=1e-5)
    again, ran = embed(loaded, data)
    assert ran == [("audio", 0)]
    np.testing.assert_allclose(predictions(loaded, again), expected, rtol=0, atol=1e-5)


def test_a_run_trained_on_embeddings_predicts_from_signals(corpus, store, source, tmp_path, caplog):
    caplog.set_level("INFO", "depmm")
    config = config_of(corpus, store, source, f"out={tmp_path}", "training.epochs=2")
    run = RunFolder(tmp_path / "tiny")
    train_network(config, run, build_accelerator(config))
    assert "embed audio: 0 sessions stored, 12 missing" in caplog.messages
    expected = pd.read_parquet(run.predictions)["y_prob"]
    model = DepressionModel.from_pretrained(run.path)
    np.testing.assert_allclose(
        predictions(model, load_experiment_data(config)), expected, rtol=0, atol=1e-5
    )


def test_a_run_is_explained_from_its_embeddings(
    corpus, store, source, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO", "depmm")
    settings = [*FRAME_MEAN, "data.precompute_embeddings=[audio, face]", "training.epochs=1"]
    config = config_of(corpus, store, source, *settings, f"out={tmp_path}")
    run = RunFolder(tmp_path / "tiny")
    train_network(config, run, build_accelerator(config))

    def decode(*signal: object) -> None:
        raise AssertionError("what is embedded need not be decoded")

    monkeypatch.setattr(SessionDataset, "_signal", decode)
    done = CliRunner().invoke(app, ["explain", str(run.path)])
    assert done.exit_code == 0, done.output
    assert "embed audio: 12 sessions stored, 0 missing" in caplog.messages
    told = pd.read_parquet(run.path / "attributions.parquet").drop_duplicates("session")
    predicted = pd.read_parquet(run.predictions).set_index("session")["y_prob"]
    np.testing.assert_allclose(told["y_prob"], predicted[told["session"]], rtol=0, atol=1e-5)


def test_a_model_takes_a_signal_or_its_embedding_but_not_both(corpus, store, source):
    model = model_of(config_of(corpus, store, source))
    length = torch.ones(1, 1, dtype=torch.int64)
    face = {"face": torch.zeros(1, 1, 1, 3, 16, 16).byte(), "face_length": length}
    rows, sound = torch.ones(1, 1, 64), torch.ones(1, 1, 500)
    model(audio_embedding=rows, audio_length=length, **face)
    for wrong in ({"audio_embedding": rows, "audio": sound}, {}):
        with pytest.raises(ModelError) as info:
            model(audio_length=length, **wrong, **face)
        assert info.value.value == "audio"


# ---- once, and again when it must --------------------------------------------------------------


def test_second_call_embeds_nothing(corpus, store, source, monkeypatch):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    first, ran = embed(model, data)
    assert ran == [("audio", 12)]
    before = kept_files(store)
    assert len(before) == 12
    monkeypatch.setattr(type(model.encoders["audio"]), "precompute", None)
    second, ran = embed(model, data)
    assert ran == [("audio", 0)]
    assert kept_files(store) == before
    np.testing.assert_allclose(
        predictions(model, second), predictions(model, first), rtol=0, atol=1e-5
    )


def test_progress_is_logged_ten_times(corpus, store, source, caplog):
    caplog.set_level("INFO", "depmm")
    config = config_of(corpus, store, source)
    ensure_embeddings(model_of(config).encoders, load_experiment_data(config), CPU)
    assert caplog.messages[0] == "embed audio: 0 sessions stored, 12 missing"
    assert len(caplog.messages) == 11
    assert caplog.messages[-1].startswith("embed audio: 12 of 12 sessions, ")


def test_processes_share_the_sessions_out(corpus, store, source):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    for rank, total in ((1, 4), (0, 8), (2, 12)):
        assert embed(model, data, rank=rank, world_size=3)[1] == [("audio", 4)]
        assert len(kept_files(store)) == total
    assert embed(model, data)[1] == [("audio", 0)]


def test_an_interrupted_embedding_goes_on(corpus, store, source, monkeypatch):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    whole, calls = type(model.encoders["audio"]).precompute, []

    def until_the_fifth(self, waveform, length):
        calls.append(len(length))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(self, waveform, length)

    monkeypatch.setattr(type(model.encoders["audio"]), "precompute", until_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        embed(model, data)
    assert len(kept_files(store)) == 4
    assert embed(model, data)[1] == [("audio", 8)]


@pytest.mark.slow
def test_key_names_everything_an_embedding_depends_on(corpus, store, source, tmp_path):
    def key(*overrides: str, model_source: str = source, modality: str = "audio", change=None):
        config = config_of(corpus, store, model_source, *overrides)
        encoders = {modality: config.model.encoders[modality]}
        torch.manual_seed(0)
        model = build_model(ModelConfig(encoders=encoders, fusion={"kind": "mean_pool"}))
        if change is not None:
            change(model.encoders[modality])
        place = SessionStore(store, config.extract)
        return embedding_key(model.encoders[modality], modality, config.data, place)

    def one_bit(encoder):
        encoder.backbone.encoder.layers[2].final_layer_norm.bias.data[-1] += 1e-7

    def other_head(encoder):
        encoder.projection[-1].weight.data.zero_()

    first = key()
    others = [
        key("model.encoders.audio.layer=1"),
        key("data.max_audio_s=0.4"),
        key("data.remove_silence=true"),
        key(model_source=write_source(tmp_path / "1", seed=1)),
        key(model_source=write_source(tmp_path / "2", normalize=False)),
        key(change=one_bit),
        key(*FRAME_MEAN, modality="face"),
        key(*FRAME_MEAN, "data.frames_per_step=1", modality="face"),
        key(*FRAME_MEAN, "model.encoders.face.frames=1", modality="face"),
    ]
    assert len({first, *others}) == 10
    same = [
        key("model.encoders.audio.embed_dim=4", "model.encoders.audio.dropout=0.5"),
        key(*FRAME_MEAN, "data.frames_per_step=1", "data.precompute_embeddings=[audio, face]"),
        key(change=other_head),
        key(model_source=shutil.copytree(source, tmp_path / "copy")),
    ]
    assert {first, *same} == {first}
    model = model_of(config_of(corpus, store, source))
    other = SessionStore(store, ExtractConfig.model_validate({"audio": {"silence_db": -20.0}}))
    data = config_of(corpus, store, source).data
    assert embedding_key(model.encoders["audio"], "audio", data, other) != first


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_file_is_made_again(damage, corpus, store, source):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    embedded, _ = embed(model, data)
    before = kept_files(store)
    broken = Path(embedded.dataset.embeddings["audio"].files.path(*data.dataset.session_keys[3]))
    broken.write_bytes(broken.read_bytes()[:-1] if damage is None else damage)
    with pytest.raises(StoreError) as info:
        embedded.dataset[None, 3]
    assert info.value.file == broken
    assert embed(model, data)[1] == [("audio", 1)]
    after = kept_files(store)
    made, kept = after.pop(str(broken)), before.pop(str(broken))
    assert after == before  # the others as they were; this one of a sound at another address
    assert load(made).keys() == load(kept).keys()
    for name, value in load(kept).items():
        torch.testing.assert_close(load(made)[name], value, rtol=0, atol=1e-4)


def test_a_session_extracted_anew_is_embedded_again(corpus, store, source):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    embed(model, data)
    before = kept_files(store)
    report = extract(
        partly_silent(corpus), corpus.recordings, store, ExtractConfig(), workers=1,
        show_progress=False,
    )  # fmt: skip
    assert report.extracted == 2
    again, ran = embed(model, data)
    assert ran == [("audio", 2)]
    after = kept_files(store)
    assert after.keys() == before.keys()
    assert sum(after[name] != before[name] for name in after) == 2
    np.testing.assert_allclose(
        predictions(model, again), predictions(model, data), rtol=0, atol=1e-5
    )


def test_file_is_plain_safetensors_without_leftovers(corpus, store, source):
    config = config_of(corpus, store, source)
    model, data = model_of(config), load_experiment_data(config)
    embed(model, data)
    settings, place = data.dataset.settings, data.dataset.store
    key = embedding_key(model.encoders["audio"], "audio", settings, place)
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


def test_embeddings_lie_wherever_the_store_does():
    store = SessionStore("memory://embed-test/store/", ExtractConfig())
    with SessionWriter() as writer:
        writer.append("audio.waveform", np.zeros(3, np.int16))
        store.put(writer.save({"n_steps": 2, "source_hash": "a"}), store.path("c", "p", "s"))
    kept = EmbeddingStore(store, "0123456789ab")
    assert not kept.has("c", "p", "s")
    kept.write("c", "p", "s", np.ones((1, 3), np.float32), np.array([False, True]))
    assert kept.has("c", "p", "s")
    rows, present = kept.read("c", "p", "s")
    assert (rows.tolist(), present.tolist()) == ([[1, 1, 1]], [False, True])
    assert not kept.has("c", "p", "other")
    with pytest.raises(StoreError) as info:
        kept.write("c", "p", "other", rows, present)
    assert info.value.file is not None


# ---- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "setting"),
    [
        (["data.augment.gain_db=1.0"], "data.augment.gain_db"),
        (["data.augment.noise=0.1"], "data.augment.noise"),
        (["data.augment.pitch_semitones=[1.0]"], "data.augment.pitch_semitones"),
        (
            [*FRAME_MEAN, "data.precompute_embeddings=[face]", "data.augment.flip=true"],
            "data.augment.flip",
        ),
        (["model.encoders.audio.frozen=false"], "data.precompute_embeddings"),
        (["data.modalities=[face]", "model.encoders.audio=null"], "data.precompute_embeddings"),
    ],
)
def test_settings_that_an_embedding_cannot_follow(overrides, setting, corpus, store, source):
    with pytest.raises(ConfigError) as info:
        config_of(corpus, store, source, *overrides)
    assert info.value.setting == setting


def test_the_signal_of_the_other_modality_may_be_changed(corpus, store, source):
    config = config_of(corpus, store, source, "data.augment={flip: true, keep_steps: 0.5}")
    assert config.data.augment.flip
    noise = "data.augment.noise=0.1"
    faces = config_of(
        corpus, store, source, *FRAME_MEAN, noise, "data.precompute_embeddings=[face]"
    )
    assert faces.data.augment.noise == 0.1


@pytest.mark.slow
def test_checkpoints_leave_frozen_weights_out_and_resume_where_they_stood(
    corpus, store, source, tmp_path, monkeypatch
):
    settings = config_of(corpus, store, source, "training.epochs=2")
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    train_network(settings, whole, build_accelerator(settings))
    seen: list[set[str]] = []

    def stop(*arguments, **options):
        seen.extend(set(load_file(path)) for path in stopped.checkpoints.glob("*.safetensors"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "format_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train_network(settings, stopped, build_accelerator(settings))
    assert len(seen) == 2  # the best and the last epoch
    for names in seen:
        assert any("encoders.audio" in name for name in names)  # its projection learns
        assert not any("encoders.audio.backbone" in name and "weight" in name for name in names)
    train_network(settings, stopped, build_accelerator(settings))
    ours, theirs = (load_file(run.path / "model.safetensors") for run in (stopped, whole))
    assert any("encoders.audio.backbone" in name for name in ours)
    assert_same_weights(ours, theirs)
