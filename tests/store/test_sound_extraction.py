"""Sound is cut into steps while it is decoded."""

import subprocess
import sys

import numpy as np
import pytest

from depmm.config import SAMPLE_RATE
from depmm.store.sound_extraction import _cut

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("block", [700, 16_000, 10**6])
def test_parts_of_windows_equal_slices_of_the_sound(block: int):
    sound = RNG.standard_normal(5 * SAMPLE_RATE).astype(np.float32)
    windows = [(1.5, 2.5), (0.5, 4.0), (1.0, 1.25), (3.0, np.inf), (6.0, 7.0), (2.0, 2.0)]
    blocks = (sound[start : start + block] for start in range(0, len(sound), block))
    parts: list[np.ndarray] = []
    windows_in_order = []
    for position, samples in _cut(blocks, 0.0, windows):
        if samples is not None:
            parts.append(samples)
            continue
        windows_in_order.append(position)
        start, end = windows[position]
        expected = sound[round(start * SAMPLE_RATE) :]
        if end != np.inf:
            expected = expected[: round((end - start) * SAMPLE_RATE)]
        np.testing.assert_array_equal(np.concatenate([expected[:0], *parts]), expected)
        parts.clear()
    assert windows_in_order == [2, 5, 0, 1, 4, 3]  # in order of end


def test_a_long_step_is_not_kept_in_memory():
    n_read = 0

    def blocks():
        nonlocal n_read
        for _ in range(10):
            n_read += 1
            yield np.zeros(SAMPLE_RATE, np.float32)

    for index, (_, samples) in enumerate(_cut(blocks(), 0.0, [(0.0, np.inf)])):
        assert samples is None or n_read == index + 1


def test_workers_start_without_pandas():
    program = (
        "import sys, depmm.store.session_extraction\n"
        "print({'pandas', 'pyarrow', 'torch', 'scipy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("set()", "")
