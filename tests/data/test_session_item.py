"""Signals of one session."""

import numpy as np

from depmm.data.session_item import SessionItem


def test_one_step_is_selected_of_every_modality():
    audio = [np.full(n, n, np.float32) for n in (3, 0, 5)]
    rows = [np.full((n, 2), row, np.float32) for row, n in enumerate((1, 0, 1))]
    selected = SessionItem(4, audio, None, {"face": rows}).select_step(2)
    assert (selected.index, selected.face) == (4, None)
    np.testing.assert_array_equal(selected.audio, [[5] * 5])
    np.testing.assert_array_equal(selected.embeddings["face"], [[[2, 2]]])
    missing = SessionItem(4, None, audio).select_step(1)
    assert (missing.audio, missing.embeddings) == (None, {})
    assert [len(step) for step in missing.face] == [0]
