"""Signatures of motion."""

import numpy as np
from media_files import write_recording

from depmm.media.video.frame_statistics import measure_video
from depmm.media.video.motion import N_CELLS, RATE, signature_of


def moving(times: np.ndarray, seed: int = 0) -> np.ndarray:
    """Brightness of the cells: a spot that moves smoothly over a fixed picture."""
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.3, 1.5, (2, 1)), rng.uniform(0, 6, (2, 1))
    x, y = N_CELLS / 2 + N_CELLS / 4 * np.sin(2 * np.pi * rates * times + phases)
    row, column = np.mgrid[:N_CELLS, :N_CELLS]
    distance = (row - y[:, None, None]) ** 2 + (column - x[:, None, None]) ** 2
    picture = rng.uniform(20, 120, (N_CELLS, N_CELLS))
    return (picture + 80 * np.exp(-distance / 8)).reshape(len(times), -1).astype(np.float32)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    length = min(len(first), len(second))
    return float(np.corrcoef(first[:length].ravel(), second[:length].ravel())[0, 1])


def test_brightness_contrast_and_frame_rate_do_not_change_a_signature():
    times = np.arange(100) / 25
    reference = signature_of(times, moving(times)).changes
    assert reference.shape == (len(np.arange(0, times[-1], 1 / RATE)) - 1, N_CELLS**2)
    changed = signature_of(times, np.float32(0.5) * moving(times) + 30).changes
    assert correlation(reference, changed) > 0.999
    often = np.arange(200) / 50
    assert correlation(reference, signature_of(often, moving(often)).changes) > 0.98
    assert correlation(reference, signature_of(times, moving(times, seed=1)).changes) < 0.4


def test_a_still_picture_has_no_signature():
    times = np.arange(100) / 25
    assert signature_of(times, np.full((100, N_CELLS**2), 7, np.float32)) is None


def test_a_short_video_has_no_signature(tmp_path):
    path = write_recording(tmp_path / "a.mp4", np.arange(30) / 25)
    assert measure_video(path, 1.2).motion is None
    path = write_recording(tmp_path / "b.mp4", np.arange(75) / 25)
    assert len(measure_video(path, 3.0).motion.changes) == 36
