"""Signals of the dataset, and random choices by seed, epoch and session."""

from types import SimpleNamespace

import numpy as np
import pytest
from recordings import extract_all, manifest_of, write_video
from session_data import items_equal, make_dataset

from depmm.config import SAMPLE_RATE, DataConfig, ExtractConfig
from depmm.data.dataset import SessionDataset
from depmm.store.sessions import SessionStore

RANDOM = {
    "keep_steps": 0.3,
    "modality_dropout": 0.5,
    "gain_db": 6.0,
    "relative_noise": 0.1,
    "flip": True,
}


def test_an_item_contains_the_stored_signals(corpus):
    data = make_dataset(corpus, augment=RANDOM)
    item = data[None, 5]
    assert item.index == 5
    with data.store.read(*data.session_keys[5]) as reader:
        for step in range(4):
            whole = reader.read_waveform(step)
            excess = len(whole) - 3200
            assert excess > 0
            middle = whole[excess // 2 : excess // 2 + 3200]
            np.testing.assert_array_equal(item.signals["audio"][step], middle)
            frames = reader.face_frames(step)
            assert item.signals["face"][step].shape == (min(2, len(frames)), 3, 16, 16)
            first = frames[0] if len(frames) <= 2 else None
            if first is not None:
                crop = reader.read_crop(first, 16).transpose(2, 0, 1)
                np.testing.assert_array_equal(item.signals["face"][step][0], crop)


def test_frames_are_evenly_spaced_or_drawn_in_order(tmp_path):
    write_video(tmp_path / "1.mp4", seconds=2.0)  # grey level 20 * (frame % 10)
    manifest = manifest_of({"s1": [{"face": "1.mp4", "end_s": 1.0}]})
    settings = ExtractConfig.model_validate({"face": {"frames_per_second": 10.0}})
    extract_all(manifest, tmp_path, tmp_path / "store", settings=settings)
    data = DataConfig(
        manifest=tmp_path, store=tmp_path, modalities=["face"], frames_per_step=5, face_size=16
    )
    once = data.model_copy(update={"frame_choice": "once"})
    store = SessionStore(tmp_path / "store", settings)
    sessions = SessionDataset(manifest.sessions, store, data)

    def frame_indices(epoch: int | None, sessions: SessionDataset = sessions) -> list[int]:
        return [round(frame.mean() / 20) for frame in sessions[epoch, 0].signals["face"][0]]

    assert sessions[None, 0].signals.keys() == {"face"}
    assert frame_indices(None) in ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9])
    draws = [frame_indices(epoch) for epoch in range(20)]
    assert all(draw == sorted(set(draw)) and len(draw) == 5 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 10

    drawn = set()
    for subject in range(20):
        named = manifest.sessions.assign(subject=str(subject))
        session = SessionDataset(named, store, once)
        # the store has one session only
        session.store = SimpleNamespace(read=lambda *key: store.read(*sessions.session_keys[0]))
        draw = frame_indices(None, session)
        assert draw == sorted(set(draw))
        assert len(draw) == 5
        assert draw == frame_indices(0, session) == frame_indices(7, session)
        other_seed = SessionDataset(named, session.store, once, seed=1)
        assert frame_indices(3, other_seed) == draw
        drawn.add(tuple(draw))
    assert len(drawn) > 10


def test_silence_is_removed(corpus, tmp_path):
    import soundfile

    seconds = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(seconds * 1000) / 2 * ((seconds < 1) | (seconds > 3))
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    manifest = manifest_of({"s1": [{"audio": "a.wav", "start_s": 0.5}]})
    extract_all(manifest, tmp_path, tmp_path / "store")
    for remove_silence, length in ((False, 3.5), (True, 1.5)):
        settings = DataConfig(
            manifest=tmp_path, store=tmp_path, modalities=["audio"], remove_silence=remove_silence
        )
        store = SessionStore(tmp_path / "store", ExtractConfig())
        item = SessionDataset(manifest.sessions, store, settings)[None, 0]
        assert len(item.signals["audio"][0]) / SAMPLE_RATE == pytest.approx(length, abs=0.05)


def test_evaluation_is_not_augmented(corpus):
    data = make_dataset(corpus, augment=RANDOM)
    first = data[None, 3]
    assert not items_equal(data[7, 3], first)
    assert items_equal(data[None, 3], first)
    assert items_equal(make_dataset(corpus, seed=9)[None, 3], first)


def test_augmentation_depends_only_on_seed_epoch_and_session(corpus):
    forwards, backwards = (make_dataset(corpus, augment=RANDOM) for _ in range(2))
    one = [forwards[4, index] for index in range(4)]
    two = [backwards[4, index] for index in reversed(range(4))][::-1]
    assert all(map(items_equal, one, two))
    assert not items_equal(forwards[5, 0], one[0])
    assert not items_equal(make_dataset(corpus, seed=1, augment=RANDOM)[4, 0], one[0])


def test_masked_steps_keep_their_position(corpus):
    data = make_dataset(corpus, augment={"keep_steps": 0.3}, max_audio_s=9.0)
    whole = data[None, 2]
    n_masked = 0
    for epoch in range(10):
        item = data[epoch, 2]
        assert len(item.signals["audio"]) == len(item.signals["face"]) == 4
        present = [len(waveform) > 0 for waveform in item.signals["audio"]]
        assert any(present)
        assert present == [len(face) > 0 for face in item.signals["face"]]
        for step in np.flatnonzero(present):
            np.testing.assert_array_equal(item.signals["audio"][step], whole.signals["audio"][step])
        n_masked += 4 - sum(present)
    assert n_masked > 5
