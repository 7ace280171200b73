"""data: what a model is given is what the store holds; plans share every session out once."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recordings import manifest_of, run, write_video

from depmm.config import SAMPLE_RATE, AugmentConfig, Config, DataConfig, ExtractConfig, load_config
from depmm.corpora.manifest import SESSION_KEY, read_manifest, write_manifest
from depmm.data.augment import Augmentation, draw_augmentation
from depmm.data.batch import collate
from depmm.data.dataset import SessionDataset, SessionItem
from depmm.data.epoch_plan import EpochBatchSampler, evaluation_micro_batches, plan_epoch
from depmm.data.errors import DataError
from depmm.data.experiment_data import describe_sessions, load_experiment_data
from depmm.data.targets import labelled_sessions
from depmm.errors import DepmmError
from depmm.store.errors import StoreError
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore

RANDOM = {"keep_steps": 0.3, "modality_dropout": 0.5, "gain_db": 6.0, "noise": 0.1, "flip": True}


def dataset(corpus, seed: int = 0, augment: dict | None = None, **settings) -> SessionDataset:
    settings = {"max_audio_s": 0.2, "frames_per_step": 2, "face_size": 16, **settings}
    data = DataConfig(
        manifest=corpus.folder,
        store=corpus.store,
        augment=AugmentConfig(**(augment or {})),
        **settings,
    )
    store = SessionStore(corpus.store, ExtractConfig())
    return SessionDataset(corpus.manifest.sessions, store, data, seed)


def equal(a: SessionItem, b: SessionItem) -> bool:
    signals = [(*(item.audio or []), *(item.face or [])) for item in (a, b)]
    return a.index == b.index and all(map(np.array_equal, *signals))


# ---- one session -------------------------------------------------------------------------------


def test_item_is_what_the_store_holds(corpus):
    data = dataset(corpus, augment=RANDOM)
    item = data[None, 5]
    assert item.index == 5
    with data.store.read(*data.session_keys[5]) as reader:
        for step in range(4):
            whole = reader.read_waveform(step)
            spare = len(whole) - 3200
            assert spare > 0
            middle = whole[spare // 2 : spare // 2 + 3200]
            np.testing.assert_array_equal(item.audio[step], middle)
            frames = reader.face_frames(step)
            assert item.face[step].shape == (min(2, len(frames)), 3, 16, 16)
            first = frames[0] if len(frames) <= 2 else None
            if first is not None:
                crop = reader.read_crop(first, 16).transpose(2, 0, 1)
                np.testing.assert_array_equal(item.face[step][0], crop)


def test_frames_are_spread_evenly_and_in_training_drawn_in_order(tmp_path):
    write_video(tmp_path / "1.mp4", seconds=2.0)  # grey level 20 * (frame % 10)
    manifest = manifest_of({"s1": [{"face": "1.mp4", "end_s": 1.0}]})
    settings = ExtractConfig.model_validate({"face": {"frames_per_second": 10.0}})
    run(manifest, tmp_path, tmp_path / "store", settings=settings)
    data = DataConfig(
        manifest=tmp_path, store=tmp_path, modalities=["face"], frames_per_step=5, face_size=16
    )
    store = SessionStore(tmp_path / "store", settings)
    sessions = SessionDataset(manifest.sessions, store, data)

    def shown(epoch: int | None) -> list[int]:
        return [round(frame.mean() / 20) for frame in sessions[epoch, 0].face[0]]

    assert sessions[None, 0].audio is None
    assert shown(None) == [0, 2, 4, 6, 8] or shown(None) == [1, 3, 5, 7, 9]
    draws = [shown(epoch) for epoch in range(20)]
    assert all(draw == sorted(set(draw)) and len(draw) == 5 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 10


def test_silence_is_cut(corpus, tmp_path):
    import soundfile

    seconds = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(seconds * 1000) / 2 * ((seconds < 1) | (seconds > 3))
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    manifest = manifest_of({"s1": [{"audio": "a.wav", "start_s": 0.5}]})
    run(manifest, tmp_path, tmp_path / "store")
    for cut, length in ((False, 3.5), (True, 1.5)):
        settings = DataConfig(
            manifest=tmp_path, store=tmp_path, modalities=["audio"], remove_silence=cut
        )
        store = SessionStore(tmp_path / "store", ExtractConfig())
        item = SessionDataset(manifest.sessions, store, settings)[None, 0]
        assert len(item.audio[0]) / SAMPLE_RATE == pytest.approx(length, abs=0.05)


def test_evaluation_draws_nothing(corpus):
    data = dataset(corpus, augment=RANDOM)
    first = data[None, 3]
    assert not equal(data[7, 3], first)
    assert equal(data[None, 3], first)
    assert equal(dataset(corpus, seed=9)[None, 3], first)


def test_training_draws_depend_on_seed_epoch_and_session_only(corpus):
    forwards, backwards = (dataset(corpus, augment=RANDOM) for _ in range(2))
    one = [forwards[4, number] for number in range(4)]
    two = [backwards[4, number] for number in reversed(range(4))][::-1]
    assert all(map(equal, one, two))
    assert not equal(forwards[5, 0], one[0])
    assert not equal(dataset(corpus, seed=1, augment=RANDOM)[4, 0], one[0])


def test_hidden_steps_keep_their_place(corpus):
    data = dataset(corpus, augment={"keep_steps": 0.3}, max_audio_s=9.0)
    whole = data[None, 2]
    hidden = 0
    for epoch in range(10):
        item = data[epoch, 2]
        assert len(item.audio) == len(item.face) == 4
        shown = [len(waveform) > 0 for waveform in item.audio]
        assert any(shown)
        assert shown == [len(face) > 0 for face in item.face]
        for step in np.flatnonzero(shown):
            np.testing.assert_array_equal(item.audio[step], whole.audio[step])
        hidden += 4 - sum(shown)
    assert hidden > 5


def test_a_modality_is_never_hidden_when_it_is_the_only_one():
    settings = AugmentConfig(modality_dropout=0.9, keep_steps=0.1)
    both = {"audio": np.array([True, False, True]), "face": np.array([False, True, False])}
    lonely = {"audio": np.array([False, True, False]), "face": np.zeros(3, bool)}
    seen = set()
    for seed in range(200):
        change = draw_augmentation(settings, both, np.random.default_rng(seed))
        seen.add(change.hidden)
        left = [there for name, there in both.items() if name not in change.hidden]
        assert (np.any(left, axis=0) & change.kept).any()
        alone = draw_augmentation(settings, lonely, np.random.default_rng(seed))
        assert alone.hidden == frozenset()
        assert alone.kept[1]
    assert seen == {frozenset(), frozenset({"audio"}), frozenset({"face"})}


def test_augmentation_changes_what_it_says(corpus):
    plain = dataset(corpus, max_audio_s=9.0)[None, 0]
    gains, mirrored = set(), 0
    for epoch in range(8):
        item = dataset(corpus, augment={"gain_db": 6.0, "flip": True}, max_audio_s=9.0)[epoch, 0]
        gain = np.linalg.norm(item.audio[0]) / np.linalg.norm(plain.audio[0])
        np.testing.assert_allclose(item.audio[1], plain.audio[1] * gain, rtol=1e-3, atol=1e-7)
        assert 10 ** (-6 / 20) <= gain <= 10 ** (6 / 20)
        gains.add(round(float(gain), 4))
        if not np.array_equal(item.face[0], plain.face[0]):
            np.testing.assert_array_equal(item.face[0], plain.face[0][..., ::-1])
            mirrored += 1
    assert len(gains) == 8
    assert 0 < mirrored < 8
    noisy = dataset(corpus, augment={"noise": 0.1}, max_audio_s=9.0)[0, 0].audio[0]
    share = np.std(noisy - plain.audio[0]) / np.sqrt(np.mean(plain.audio[0] ** 2))
    assert 0 < share < 0.11


# ---- batches -----------------------------------------------------------------------------------


def test_collate_pads_with_zeros_and_counts():
    face = np.full((2, 3, 16, 16), 7, np.uint8)
    none = np.zeros((0, 3, 16, 16), np.uint8)
    audio = [np.ones(n, np.float32) for n in (5, 0, 3)]
    batch = collate(
        [SessionItem(4, audio[:2], [face, none]), SessionItem(9, audio, [none, none, face[:1]])]
    )
    assert batch["index"].tolist() == [4, 9]
    assert batch["audio"].shape == (2, 3, 5)
    assert batch["audio_length"].tolist() == [[5, 0, 0], [5, 0, 3]]
    assert batch["audio"].sum(-1).tolist() == [[5, 0, 0], [5, 0, 3]]
    assert batch["face"].shape == (2, 3, 2, 3, 16, 16)
    assert batch["face_length"].tolist() == [[2, 0, 0], [0, 0, 1]]
    assert batch["face"][1, 2, 0].float().mean() == 7
    assert batch["face"][1, 2, 1].max() == 0
    assert collate([SessionItem(0, audio, None)]).keys() == {"index", "audio", "audio_length"}


@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize("parts", [1, 2])
def test_plan_gives_every_session_once(world, parts):
    weights = np.random.default_rng(0).uniform(0.5, 2, 11).tolist()
    plans = [plan_epoch(weights, 4, 2, 0, parts, rank, world) for rank in range(world)]
    assert {len(plan) for plan in plans} == {3 * parts}  # the same optimizer steps everywhere
    assert {sum(share.last for share in plan) for plan in plans} == {3}
    real = []
    for batch in range(3):
        shares = [share for plan in plans for share in plan[batch * parts : (batch + 1) * parts]]
        pairs = [
            (n, w) for share in shares for n, w in zip(share.indices, share.weights, strict=True)
        ]
        used = [(n, w) for n, w in pairs if w > 0]
        total = sum(weights[n] for n, _ in used)
        assert sum(w for _, w in used) == pytest.approx(1)
        assert all(w == pytest.approx(weights[n] / total) for n, w in used)
        assert all(share.indices for share in shares)  # a filler where there is nothing to do
        real.append({n for n, _ in used})
        assert len(used) == len(real[-1])
    assert sorted(n for batch in real for n in batch) == list(range(11))
    alone = plan_epoch(weights, 4, 2, 0)
    assert real == [set(share.indices) for share in alone]  # the same batches, too
    assert [s.indices for s in alone] != [s.indices for s in plan_epoch(weights, 4, 3, 0)]


def test_evaluation_shares_have_no_fillers():
    shares = [evaluation_micro_batches(range(20, 31), 4, rank, 3) for rank in range(3)]
    numbers = [n for own in shares for share in own for n in share.indices]
    assert sorted(numbers) == list(range(20, 31))
    assert evaluation_micro_batches([1], 4, rank=2, world_size=3) == []
    sampler = EpochBatchSampler(shares[0], epoch=None)
    assert next(iter(sampler)) == [(None, 20), (None, 23), (None, 26), (None, 29)]
    assert len(sampler) == 1


# ---- tasks -------------------------------------------------------------------------------------


def config(corpus, *overrides: str) -> Config:
    return load_config(corpus.config, list(overrides))


def test_task_takes_the_manifest_as_it_is(corpus):
    data = load_experiment_data(config(corpus))
    assert len(data.sessions) == len(data.dataset) == 12
    assert data.excluded == {}
    assert data.score_range == (0.0, 1.0)
    together = [*data.indices("train"), *data.indices("validation"), *data.indices("test")]
    assert sorted(together) == list(range(12))
    own = corpus.manifest.sessions
    assert data.sessions["target"].tolist() == own["label"].tolist()
    assert data.sessions["split"].tolist() == own["split"].tolist()
    severity = load_experiment_data(config(corpus, "target={kind: severity, column: score}"))
    assert severity.score_range == (0.0, 63.0)
    assert severity.sessions["target"].tolist() == own["score"].tolist()


def test_sessions_are_described_by_what_their_steps_share():
    sessions = pd.DataFrame({"corpus": "c", "subject": ["a", "b", "c"], "session": "1"})
    steps = pd.DataFrame(
        [  # in another order than the sessions
            ("c", 0.0, 2.0, None, None),
            ("b", 0.0, 1.5, "reading", "negative"),
            ("b", 2.0, 4.0, "reading", None),
            ("a", 1.0, 2.0, "reading", "neutral"),
            ("a", 2.0, 5.0, "interview", "neutral"),
        ],
        columns=["subject", "start_s", "end_s", "task", "valence"],
    ).assign(corpus="c", session="1")
    sound = pd.Series([9.0, 0.0, 7.0])
    table = describe_sessions(sessions, steps, sound)
    assert table["n_steps"].tolist() == [2, 2, 1]
    assert table["duration_s"].tolist() == [4.0, 3.5, 2.0]
    assert table["task"].fillna("-").tolist() == ["-", "reading", "-"]
    assert table["valence"].fillna("-").tolist() == ["neutral", "-", "-"]
    # one step without an end: all sessions are as long as their sound
    table = describe_sessions(sessions, steps.assign(end_s=[np.nan, 1.5, 4, 2, 5]), sound)
    assert table["duration_s"].fillna(-1).tolist() == [9, -1, 7]
    own = sessions.assign(task="own", duration_s=["1", None, "2.5"])
    table = describe_sessions(own, steps, sound)
    assert table["task"].tolist() == ["own"] * 3
    assert table["duration_s"].fillna(-1).tolist() == [1, -1, 2.5]
    with pytest.raises(DataError) as info:
        describe_sessions(own.assign(duration_s=["1", "long", "2"]), steps, sound)
    error = info.value
    assert (error.column, error.subject, error.session, error.value) == (
        "duration_s", "b", "1", "long",
    )  # fmt: skip


def test_task_leaves_out_and_counts(corpus):
    only = config(corpus, "target={column: gender, positive: [female], negative: [male]}")
    sessions = corpus.manifest.sessions.copy()
    sessions.loc[:2, "gender"] = None
    kept, left_out = labelled_sessions(sessions, only.target, corpus.folder)
    assert (len(kept), left_out) == (
        9,
        {"gender is missing or in neither target.positive nor target.negative": 3},
    )
    assert kept["target"].tolist() == (sessions["gender"][3:] == "female").tolist()
    sessions.loc[:4, "label"] = pd.NA
    kept, left_out = labelled_sessions(sessions, config(corpus).target, corpus.folder)
    assert (len(kept), left_out) == (7, {"label is missing": 5})


def test_session_without_the_modality_is_left_out_and_counted(corpus, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    index = pd.read_parquet(store / "index.parquet")
    index.loc[0, ["audio_s", "n_frames_with_face"]] = 0
    index.drop(index=3).to_parquet(store / "index.parquet")
    data = load_experiment_data(config(corpus, f"data.store={store}"))
    assert len(data.sessions) == 10
    assert data.excluded == {"not in the store, or stored without audio or face": 2}
    assert [subject for _, subject, _ in data.dataset.session_keys[:3]] == ["S002", "S003", "S005"]


def test_steps_of_a_valence_alone_are_shown(corpus):
    only = config(corpus, "data.steps={valence: [negative]}")
    whole, part = load_experiment_data(config(corpus)), load_experiment_data(only)
    assert part.sessions[SESSION_KEY].equals(whole.sessions[SESSION_KEY])
    assert part.sessions["valence"].tolist() == ["negative"] * 12
    for number, key in enumerate(part.dataset.session_keys):
        own = corpus.manifest.steps.set_index(SESSION_KEY).loc[key]
        negative = (own["valence"] == "negative").tolist()
        assert part.sessions["n_steps"][number] == sum(negative) < len(negative)
        every, item = whole.dataset[None, number], part.dataset[None, number]
        for step, shown in enumerate(negative):
            if shown:
                np.testing.assert_array_equal(item.audio[step], every.audio[step])
                np.testing.assert_array_equal(item.face[step], every.face[step])
            assert len(item.audio[step]) > 0 or not shown
            assert bool(len(item.audio[step]) or len(item.face[step])) == shown


def test_what_is_drawn_is_drawn_of_the_steps_that_take_part(corpus):
    only = config(
        corpus, "data.steps={valence: [negative, neutral]}", "data.augment={keep_steps: 0.3}"
    )
    data = load_experiment_data(only).dataset
    valence = corpus.manifest.steps.set_index(SESSION_KEY).loc[data.session_keys[0]]["valence"]
    shown = {tuple(len(sound) > 0 for sound in data[epoch, 0].audio or []) for epoch in range(40)}
    assert len(shown) > 1
    assert all(any(steps) for steps in shown)
    for steps in shown:
        assert not any(np.array(steps) & (valence == "positive").to_numpy())


def test_sessions_without_the_steps_are_left_out_and_counted(corpus, tmp_path):
    shutil.copytree(corpus.folder, tmp_path / "manifest")
    manifest = read_manifest(corpus.folder)
    steps = manifest.steps.assign(task="reading")
    first = (steps[SESSION_KEY] == steps[SESSION_KEY].iloc[0]).all(axis=1)
    steps.loc[first, "task"] = None
    write_manifest(replace(manifest, steps=steps), tmp_path / "manifest")
    read = config(corpus, f"data.manifest={tmp_path / 'manifest'}", "data.steps={task: [reading]}")
    data = load_experiment_data(read)
    assert len(data.sessions) == len(data.dataset) == 11
    assert data.excluded == {"no audio or face in the steps of data.steps": 1}
    assert data.dataset.session_keys[0] != tuple(steps.loc[0, SESSION_KEY])

    write_manifest(replace(manifest, steps=steps.drop(index=7)), tmp_path / "manifest")
    with pytest.raises(StoreError) as info:
        load_experiment_data(read)
    assert info.value.session == steps["session"][7]


@pytest.mark.parametrize(
    ("override", "attributes"),
    [
        ("target={column: moood}", {"setting": "target.column", "value": "moood"}),
        (
            "target={column: gender}",
            {"setting": "target.column", "session": "S001_1", "value": "female"},
        ),
        ("target={column: age}", {"setting": "target.column", "session": "S001_1", "value": 43.0}),
        (
            "target={kind: severity, column: gender}",
            {"setting": "target.column", "column": "gender", "value": "female"},
        ),
        (
            "target={column: gender, positive: [women], negative: [male]}",
            {"setting": "target.positive", "column": "gender", "value": "women"},
        ),
        ("extract.face.frames_per_second=9.0", {"setting": "data.store"}),
        ("data.store=nowhere", {"file": Path("nowhere")}),
        (
            "data.steps={task: [interview]}",
            {"setting": "data.steps.task", "column": "task", "value": "interview"},
        ),
        ("data.max_steps=3", {"setting": "data.max_steps", "session": "S001_1", "value": 4}),
        (
            "model.fusion.fixed_steps=24",
            {"setting": "model.fusion.fixed_steps", "subject": "S001", "value": 4},
        ),
    ],
)
def test_errors_carry_setting_session_and_value(corpus, override, attributes):
    with pytest.raises(DepmmError) as info:
        load_experiment_data(config(corpus, override))
    assert {name: getattr(info.value, name) for name in attributes} == attributes
    assert info.value.remedy


@pytest.mark.parametrize("name", ["n_frames", "audio_s", "streams", "n_selected_steps", "index"])
def test_a_corpus_may_have_columns_named_as_those_of_the_store(corpus, tmp_path, name):
    sessions = corpus.manifest.sessions.assign(**{name: "its own"})
    write_manifest(replace(corpus.manifest, sessions=sessions), tmp_path / "manifest")
    data = load_experiment_data(config(corpus, f"data.manifest={tmp_path / 'manifest'}"))
    assert len(data.sessions) == 12
    assert data.sessions[name].eq("its own").all()


def test_a_single_step_cannot_be_centred(corpus, monkeypatch):
    centred = config(corpus, "model.subtract_session_mean=true")
    load_experiment_data(centred)
    valence = corpus.manifest.steps["valence"].value_counts().idxmin()  # one word of four
    with pytest.raises(DataError) as info:
        load_experiment_data(
            config(
                corpus, "model.subtract_session_mean=true", f"data.steps={{valence: [{valence}]}}"
            )
        )
    assert (info.value.setting, info.value.value) == ("model.subtract_session_mean", 1)

    def cut(store: SessionStore) -> pd.DataFrame:
        index = read_index(store)
        return index.assign(n_steps=index["n_steps"].where(index["subject"] != "S003", 1))

    monkeypatch.setattr("depmm.data.experiment_data.read_index", cut)
    with pytest.raises(DataError) as info:
        load_experiment_data(centred)
    assert (info.value.setting, info.value.subject) == ("model.subtract_session_mean", "S003")


def test_task_without_any_label(corpus, tmp_path):
    manifest = read_manifest(corpus.folder)
    manifest.sessions["label"] = pd.Series(pd.NA, manifest.sessions.index, dtype="Int8")
    write_manifest(manifest, tmp_path)
    with pytest.raises(DataError) as info:
        load_experiment_data(config(corpus, f"data.manifest={tmp_path}"))
    assert (info.value.setting, info.value.column) == ("target.column", "label")


def test_pitch_is_shifted_and_the_length_kept():
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 200 * time).astype(np.float32)
    higher = Augmentation(np.ones(1, bool), semitones=12.0).apply_to_audio(tone, None)
    assert higher.dtype == np.float32
    assert len(higher) == len(tone)
    spectrum = np.abs(np.fft.rfft(higher[4000:12000] * np.hanning(8000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(400, abs=6)  # bins of 2 Hz
    short = tone[:500]
    np.testing.assert_array_equal(
        Augmentation(np.ones(1, bool), semitones=5.0).apply_to_audio(short, None), short
    )


def test_pitch_is_drawn_from_both_directions_and_none():
    settings = AugmentConfig(pitch_semitones=[0.5, 2.0])
    present = {"audio": np.ones(2, bool)}
    drawn = {
        draw_augmentation(settings, present, np.random.default_rng(seed)).semitones
        for seed in range(200)
    }
    assert drawn == {0.0, 0.5, -0.5, 2.0, -2.0}
    assert draw_augmentation(settings, present, None).semitones == 0


def test_oversampling_draws_both_classes_equally_often():
    classes = [1.0] * 9 + [0.0] * 3
    plan = plan_epoch([1.0] * 12, 4, epoch=3, seed=0, classes=classes)
    drawn = [index for micro_batch in plan for index in micro_batch.indices]
    assert sum(classes[index] for index in drawn) == 6
    assert len(drawn) == 12
    assert set(drawn) >= {9, 10, 11}  # each of the rare class, twice
    assert plan != plan_epoch([1.0] * 12, 4, epoch=4, seed=0, classes=classes)
