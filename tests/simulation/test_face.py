"""The motion of simulated faces."""

import numpy as np
import pytest
from simulated_speech import FRAME_S, quiet_voice

from depmm.simulation.face import MOTION_PER_UNIT, animate, sample_face
from depmm.simulation.voice import synthesise_speech


def test_bluntness_reduces_motion_by_a_known_factor() -> None:
    utterance = synthesise_speech(
        quiet_voice(), ["hope", "table"], np.zeros(2), FRAME_S, np.random.default_rng(0)
    )
    face = sample_face(np.random.default_rng(2), "female")
    lively, blunt = (
        animate(face, utterance, np.full(2, value), np.random.default_rng(3))
        for value in (0.0, 1.0)
    )
    for name in ("mouth", "brow", "x", "y", "roll"):
        shown, expected = getattr(blunt, name), MOTION_PER_UNIT * getattr(lively, name)
        np.testing.assert_allclose(shown, expected, atol=1e-9)
        assert np.ptp(shown) > 0
    np.testing.assert_allclose(lively.blink, blunt.blink, atol=1e-9)
    # the mouth is closed before the first word
    assert lively.mouth[: int(0.2 / FRAME_S)].max() == pytest.approx(0, abs=1e-9)
    assert lively.mouth.max() > 12
