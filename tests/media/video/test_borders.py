"""Black borders of frames."""

import numpy as np
import pytest

from depmm.media.video.borders import black_border


def test_black_border_of_a_frame():
    frame = np.full((100, 200, 3), 5, np.uint8)  # black after compression
    assert black_border(frame) == 1
    frame[20:70, 40:140] = 90
    assert black_border(frame) == pytest.approx(1 - 50 * 100 / 20_000)
    frame[0, 0] = 255  # a single pixel does not belong to the image
    assert black_border(frame) == pytest.approx(0.75)
    assert black_border(np.full((4, 4, 3), 200, np.uint8)) == 0
