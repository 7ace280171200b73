"""Variables of MATLAB files that cannot be features, or whose size is not plausible."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from feature_files import read_all, stream_of
from scipy import sparse
from scipy.io import savemat

from depmm.media.errors import MediaError
from depmm.media.features.mat_headers import FREE_BYTES

ARRAY = np.random.default_rng(0).normal(size=(50, 4))
MAT = stream_of(format="mat", variable="f")


def saved(compressed: bool = False, version: str = "5", **variables) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=compressed, format=version)
    return buffer.getvalue()


VERSIONS = {"plain": saved(f=ARRAY), "compressed": saved(True, f=ARRAY)}
VERSIONS["version 4"] = saved(version="4", f=ARRAY)


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_are_read_and_truncated_files_are_refused(version, tmp_path):
    path, content = tmp_path / "x.mat", VERSIONS[version]
    path.write_bytes(content)
    np.testing.assert_array_equal(read_all(path, MAT)[1], ARRAY.astype(np.float32))
    for length in (3, 10, 130, len(content) // 2, len(content) - 8):
        path.write_bytes(content[:length])
        with pytest.raises(MediaError) as info:
            read_all(path, MAT)
        assert info.value.file == path
        assert info.value.remedy


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(64), "7.3"),
        (saved(f={"a": ARRAY, "b": {"c": ARRAY}}), "struct"),
        (saved(f=sparse.csc_array(np.eye(4))), "sparse"),
        (saved(f="text"), "char"),
        (saved(f=np.array([ARRAY, None], object)[:1]), "cell"),
        (saved(f=ARRAY + 1j), (50, 4)),
        (saved(f=np.zeros((5, 0))), (5, 0)),
        (saved(g=ARRAY), "f"),
        (VERSIONS["plain"] + VERSIONS["plain"][128:], "f"),
    ],
    ids=["7.3", "struct", "sparse", "char", "cell", "complex", "empty", "missing", "twice"],
)
def test_other_variables_are_named(content, value, tmp_path):
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(MediaError) as info:
        read_all(path, MAT)
    assert (info.value.file, info.value.value) == (path, value)


def test_integers_and_other_variables_of_any_kind_are_no_obstacle(tmp_path):
    numbers = np.arange(20, dtype=np.int16).reshape(10, 2)
    path = tmp_path / "x.mat"
    path.write_bytes(saved(True, f=numbers, text="x", nested={"f": ARRAY}))
    np.testing.assert_array_equal(read_all(path, MAT)[1], numbers)


def test_a_small_file_that_decompresses_to_a_large_array_is_refused(tmp_path):
    n_rows = FREE_BYTES // 80 + 1
    path = tmp_path / "x.mat"
    path.write_bytes(saved(True, f=np.zeros((n_rows, 10))))
    with pytest.raises(MediaError) as info:
        read_all(path, MAT)
    assert info.value.value == 80 * n_rows


def test_the_size_that_a_compressed_variable_states_inside_counts(tmp_path):
    """The dimensions are small, but the tag of the values states 2 GB."""
    element = bytearray(saved(f=np.zeros((10, 2)))[128:])
    position = element.rfind(struct.pack("<II", 9, 160))
    element[position + 4 : position + 8] = struct.pack("<I", 2**31)
    packed = zlib.compress(bytes(element))
    path = tmp_path / "x.mat"
    path.write_bytes(saved(f=ARRAY)[:128] + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(MediaError) as info:
        read_all(path, MAT)
    assert info.value.value == 2**31


def test_random_bytes_never_raise_another_error(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "x.mat"
    for trial in range(60):
        content = bytearray(list(VERSIONS.values())[trial % 3])
        for _ in range(3):
            content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(MediaError):
            read_all(path, MAT)
