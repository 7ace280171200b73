"""Damaged and unusual NumPy arrays; no number in a header makes the reader allocate memory."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from feature_files import read_all, stream_of

from depmm.media.errors import MediaError
from depmm.media.features import feature_arrays

ARRAY = np.random.default_rng(0).normal(size=(100, 5))
NPY = stream_of(format="npy")


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def header(shape: str, dtype: str = "<f8") -> bytes:
    """Write a header without any data."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "array",
    [
        ARRAY,
        np.asfortranarray(ARRAY),
        ARRAY.astype(">f8"),
        ARRAY.astype(np.float16),
        (100 * ARRAY).astype(np.int8),
        ARRAY > 0,
    ],
    ids=["C", "Fortran", "big endian", "half", "int8", "bool"],
)
@pytest.mark.parametrize("block", [8192, 7])
def test_every_numeric_layout_is_read(array, block, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_arrays, "BLOCK_ROWS", block)
    (tmp_path / "x.npy").write_bytes(saved(array))
    _, values, warnings = read_all(tmp_path / "x.npy", NPY)
    np.testing.assert_array_equal(values, array.astype(np.float32))
    assert warnings == {}


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_on_another_axis_are_read_in_blocks(order, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_arrays, "BLOCK_ROWS", 3)
    array = np.asarray(np.arange(120.0).reshape(2, 6, 10), order=order)
    (tmp_path / "x.npy").write_bytes(saved(array))
    _, values, _ = read_all(tmp_path / "x.npy", stream_of(format="npy", axis=2))
    np.testing.assert_array_equal(values, array.transpose(2, 0, 1).reshape(10, 12))


def test_blocks_of_long_rows_are_smaller():
    assert feature_arrays.block_rows(10) == feature_arrays.BLOCK_ROWS
    assert feature_arrays.block_rows(50176) == feature_arrays.BLOCK_VALUES // 50176
    assert feature_arrays.block_rows(10**9) == 1


@pytest.mark.parametrize(
    "content",
    [
        saved(ARRAY)[:-100],
        saved(ARRAY)[:40],
        saved(ARRAY)[:3],
        saved(ARRAY)[:10] + b"\xff" * 118 + saved(ARRAY)[128:],
        saved(ARRAY).replace(b"NUMPY\x01", b"NUMPY\x09"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
        b"1,2\n3,4\n",
        bytes(1000),
        b"PK\x03\x04" + bytes(100),
        saved(np.zeros(3, [("a", "f4"), ("b", "i4")])),
        saved(np.array(3.0)),
        saved(np.array(["a", "b"])),
        saved(np.zeros((3, 2), complex)),
        header("(1000000000, 0)"),
        header("(0, 5)"),
        header("(1099511627776,)"),
        header("(5, 1099511627776)"),
        header("(9223372036854775807, 9223372036854775807)"),
        header("(-5, 3)"),
        header("(1,)", "|V2000000000"),
        header("(1,)", "|S2000000000"),
    ],
)
def test_damaged_and_absurd_arrays_are_refused(content, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(MediaError) as info:
        read_all(path, NPY)
    assert info.value.file == path
    assert info.value.remedy


def test_bytes_after_the_array_are_reported(tmp_path):
    (tmp_path / "x.npy").write_bytes(saved(ARRAY) * 2)
    _, values, warnings = read_all(tmp_path / "x.npy", NPY)
    assert values.shape == ARRAY.shape
    assert warnings["trailing_data"].value == len(saved(ARRAY))


LIMITED = """
import resource, sys, warnings
from pathlib import Path
from depmm.config import StreamConfig
from depmm.media.errors import MediaError
from depmm.media.features.feature_files import read_features
limit = 2 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
path = Path(sys.argv[1])
stream = StreamConfig(name="x", rate_hz=10.0, format=path.suffix[1:],
                      variable="f" if path.suffix == ".mat" else None)
try:
    for _ in read_features(path, stream):
        pass
except MediaError as error:
    print("refused", error.file == path, bool(error.remedy))
else:
    print("read", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def read_with_2_gb(path: Path) -> list[str]:
    """Read a file in a process that has 2 GB of memory."""
    command = [sys.executable, "-c", LIMITED, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return result.stdout.split()


@pytest.mark.slow
def test_a_large_file_with_one_long_row_or_no_features_is_refused_in_2_gb(tmp_path):
    for shape in ("(1, 4000000000)", "(1000000000, 0)", "(4000000000, 1000000000)"):
        path = tmp_path / "x.npy"
        path.write_bytes(header(shape))
        with path.open("r+b") as file:
            file.truncate(32 * 10**9)  # a sparse file
        assert read_with_2_gb(path) == ["refused", "True", "True"]


@pytest.mark.slow
def test_memory_does_not_depend_on_the_length(tmp_path):
    path = tmp_path / "x.npy"
    sizes = []
    for n_rows in (10**4, 10**6):
        path.write_bytes(header(f"({n_rows}, 128)"))
        with path.open("r+b") as file:
            file.truncate(len(header(f"({n_rows}, 128)")) + n_rows * 128 * 8)
        state, peak_mb = read_with_2_gb(path)
        assert state == "read"
        sizes.append(int(peak_mb))
    assert sizes[1] < sizes[0] + 60  # MB, of a file of 1 GB
