"""Collation of sessions to batches."""

import numpy as np
import torch

from depmm.data.batch import collate
from depmm.data.session_item import SessionItem


def test_collate_pads_with_zeros_and_returns_lengths():
    face = np.full((2, 3, 16, 16), 7, np.uint8)
    none = np.zeros((0, 3, 16, 16), np.uint8)
    audio = [np.ones(n, np.float32) for n in (5, 0, 3)]
    index, batch = collate(
        [
            SessionItem(4, {"audio": audio[:2], "face": [face, none]}),
            SessionItem(9, {"audio": audio, "face": [none, none, face[:1]]}),
        ]
    )
    assert index.tolist() == [4, 9]
    audio_inputs, face_inputs = batch["audio"], batch["face"]
    assert audio_inputs.values.shape == (2, 3, 5)
    assert audio_inputs.lengths.tolist() == [[5, 0, 0], [5, 0, 3]]
    assert isinstance(audio_inputs.lengths, np.ndarray)  # lengths stay on the host
    assert audio_inputs.lengths.dtype == np.int64
    assert audio_inputs.values.sum(-1).tolist() == [[5, 0, 0], [5, 0, 3]]
    assert face_inputs.values.shape == (2, 3, 2, 3, 16, 16)
    assert face_inputs.lengths.tolist() == [[2, 0, 0], [0, 0, 1]]
    assert face_inputs.values[1, 2, 0].float().mean() == 7
    assert face_inputs.values[1, 2, 1].max() == 0
    assert collate([SessionItem(0, {"audio": audio})])[1].keys() == {"audio"}


def test_embeddings_have_no_axis_of_time_and_text_stays_on_the_host():
    rows = [np.full((n, 4), 2, np.float32) for n in (1, 0)]
    text = [np.frombuffer(word.encode(), np.uint8).copy() for word in ("gr\u00fcn", "")]
    item = SessionItem(
        0,
        {"audio": rows, "text": text},
        embedded=frozenset({"audio"}),
        on_host=frozenset({"text"}),
    )
    _, batch = collate([item])
    assert batch["audio"].embedded
    assert batch["audio"].values.tolist() == [[[2] * 4, [0] * 4]]
    assert batch["text"].lengths.tolist() == [[5, 0]]
    meta = {name: part.to(torch.device("meta")).values.device.type for name, part in batch.items()}
    assert meta == {"audio": "meta", "text": "cpu"}
