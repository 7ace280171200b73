"""Collation of sessions to batches."""

import numpy as np

from depmm.data.batch import collate
from depmm.data.session_item import SessionItem


def test_collate_pads_with_zeros_and_returns_lengths():
    face = np.full((2, 3, 16, 16), 7, np.uint8)
    none = np.zeros((0, 3, 16, 16), np.uint8)
    audio = [np.ones(n, np.float32) for n in (5, 0, 3)]
    batch = collate(
        [SessionItem(4, audio[:2], [face, none]), SessionItem(9, audio, [none, none, face[:1]])]
    )
    assert batch["index"].tolist() == [4, 9]
    assert batch["audio"].shape == (2, 3, 5)
    assert batch["audio_length"].tolist() == [[5, 0, 0], [5, 0, 3]]
    assert isinstance(batch["audio_length"], np.ndarray)  # lengths stay on the host
    assert batch["audio_length"].dtype == np.int64
    assert batch["audio"].sum(-1).tolist() == [[5, 0, 0], [5, 0, 3]]
    assert batch["face"].shape == (2, 3, 2, 3, 16, 16)
    assert batch["face_length"].tolist() == [[2, 0, 0], [0, 0, 1]]
    assert batch["face"][1, 2, 0].float().mean() == 7
    assert batch["face"][1, 2, 1].max() == 0
    assert collate([SessionItem(0, audio, None)]).keys() == {"index", "audio", "audio_length"}
