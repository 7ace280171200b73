"""Replace recordings of some subjects by noise, to test what depends on them."""

import dataclasses
from collections.abc import Collection

import numpy as np
import pytest

from depmm.data.dataset import SessionDataset
from depmm.data.session_item import SessionItem


def replace_audio_by_noise(patch: pytest.MonkeyPatch, subjects: Collection[str]) -> None:
    """Patch the dataset so that it returns noise for every step of some subjects.

    Parameters
    ----------
    patch : MonkeyPatch
        Reverts the change at the end of the test.
    subjects : collection of str
        Ids of the subjects.
    """
    read = SessionDataset.__getitem__

    def read_noise(self: SessionDataset, key: tuple[int | None, int]) -> SessionItem:
        item = read(self, key)
        if self.session_keys[item.index][1] not in subjects:
            return item
        noise = np.random.default_rng(item.index).standard_normal(4000).astype(np.float32)
        signals = item.signals | {"audio": [noise for _ in item.signals["audio"]]}
        return dataclasses.replace(item, signals=signals)

    patch.setattr(SessionDataset, "__getitem__", read_noise)
