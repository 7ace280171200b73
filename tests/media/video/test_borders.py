"""Black borders of frames and videos."""

import numpy as np
import pytest
from recordings import write_video

from depmm.media.errors import MediaError
from depmm.media.video.borders import black_border, video_border


def test_black_border_of_a_frame():
    frame = np.full((100, 200, 3), 5, np.uint8)  # black after compression
    assert black_border(frame) == 1
    frame[20:70, 40:140] = 90
    assert black_border(frame) == pytest.approx(1 - 50 * 100 / 20_000)
    frame[0, 0] = 255  # a single pixel does not belong to the image
    assert black_border(frame) == pytest.approx(0.75)
    assert black_border(np.full((4, 4, 3), 200, np.uint8)) == 0


def test_border_of_a_video_with_black_frames(tmp_path):
    path = write_video(tmp_path / "v.mp4")  # the first frame of every second is black
    assert video_border(path, 2.0) == 0
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(MediaError) as info:
        video_border(path, 2.0)
    assert info.value.file == path
