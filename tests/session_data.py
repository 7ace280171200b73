"""Datasets and configs on the small simulated corpus."""

import numpy as np

from depmm.config import AugmentConfig, Config, DataConfig, ExtractConfig, load_config
from depmm.data.dataset import SessionDataset
from depmm.data.session_item import SessionItem
from depmm.store.sessions import SessionStore


def make_dataset(corpus, seed: int = 0, augment: dict | None = None, **settings) -> SessionDataset:
    """Read the small corpus with 0.2 s of sound and two small crops per step."""
    settings = {"max_audio_s": 0.2, "frames_per_step": 2, "face_size": 16, **settings}
    data = DataConfig(
        manifest=corpus.folder,
        store=corpus.store,
        augment=AugmentConfig(**(augment or {})),
        **settings,
    )
    store = SessionStore(corpus.store, ExtractConfig())
    return SessionDataset(corpus.manifest.sessions, store, data, seed)


def items_equal(a: SessionItem, b: SessionItem) -> bool:
    """Check whether two items have the same index and signals."""
    assert a.signals.keys() == b.signals.keys()
    return a.index == b.index and all(
        np.array_equal(one, other)
        for name in a.signals
        for one, other in zip(a.signals[name], b.signals[name], strict=True)
    )


def tiny_config(corpus, *overrides: str) -> Config:
    """Load the config of the small corpus."""
    return load_config(corpus.config, list(overrides))
