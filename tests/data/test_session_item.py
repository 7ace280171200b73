"""Signals of one session."""

import numpy as np

from depmm.data.session_item import SessionItem


def test_one_step_is_selected_of_every_modality():
    audio = [np.full(n, n, np.float32) for n in (3, 0, 5)]
    rows = [np.full((n, 2), row, np.float32) for row, n in enumerate((1, 0, 1))]
    item = SessionItem(4, {"audio": audio, "face": rows}, embedded=frozenset({"face"}))
    selected = item.select_step(2)
    assert (selected.index, selected.embedded) == (4, {"face"})
    np.testing.assert_array_equal(selected.signals["audio"], [[5] * 5])
    np.testing.assert_array_equal(selected.signals["face"], [[[2, 2]]])
    missing = item.select_step(1).signals
    assert {name: [len(step) for step in steps] for name, steps in missing.items()} == {
        "audio": [0],
        "face": [0],
    }
