"""Decoded crops that a training keeps: the same pixels, decoded once, up to a limit."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from session_data import items_equal, make_dataset
from trained_runs import read_weights, train_run
from trained_weights import assert_same_weights

from depmm.media.video import face_alignment
from depmm.store.crop_memory import CropMemory

SIZE = 16
RANDOM = {"keep_steps": 0.3, "modality_dropout": 0.5, "flip": True}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """Count how often each JPEG file is decoded."""
    count: Counter[bytes] = Counter()
    decode: Callable[[bytes, int], np.ndarray] = face_alignment.decode_jpeg

    def counted(data: bytes, size: int) -> np.ndarray:
        count[data] += 1
        return decode(data, size)

    monkeypatch.setattr(face_alignment, "decode_jpeg", counted)
    return count


def test_items_of_several_epochs_are_the_same_and_decode_each_crop_once(corpus, decoded):
    without, keeping = make_dataset(corpus, augment=RANDOM), make_dataset(corpus, augment=RANDOM)
    keeping.store.keep_crops()
    plan = [(epoch, index) for epoch in (None, 0, 1, None) for index in range(len(keeping))]
    expected = [without[entry] for entry in plan]
    assert max(decoded.values()) > 1
    decoded.clear()
    assert all(
        items_equal(keeping[entry], item) for entry, item in zip(plan, expected, strict=True)
    )
    assert set(decoded.values()) == {1}


def test_crops_beyond_the_limit_are_not_kept():
    crop = np.zeros((SIZE, SIZE, 3), np.uint8)
    memory = CropMemory(limit=2 * crop.nbytes + 1)
    keys = [("file", "checksum", frame, SIZE) for frame in range(3)]
    for key in keys:
        memory.add(key, crop)
    assert [memory.get(key) is not None for key in keys] == [True, True, False]


def test_a_training_keeps_crops_and_its_weights_do_not_depend_on_it(
    corpus, tmp_path, decoded, monkeypatch
):
    settings = ["training.epochs=3", "data.workers=0"]
    kept = read_weights(train_run(corpus, tmp_path / "kept", *settings))
    in_training = Counter(decoded)
    decoded.clear()
    monkeypatch.setattr(CropMemory, "add", lambda *_: None)
    assert_same_weights(read_weights(train_run(corpus, tmp_path / "not-kept", *settings)), kept)
    assert in_training.keys() == decoded.keys()
    assert in_training.total() < decoded.total() / 2
