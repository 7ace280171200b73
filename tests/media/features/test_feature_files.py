"""Feature files: tables, NumPy and MATLAB arrays."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from feature_corpus import read_rows
from scipy.io import savemat

from depmm.config import StreamConfig, ValidityRule
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.features.feature_files import feature_names


def table(**changes) -> StreamConfig:
    """Describe a stream of 10 Hz."""
    return StreamConfig(**{"name": "x", "rate_hz": 10.0} | changes)


def test_times_and_values_of_a_table_are_read_and_invalid_values_are_nan(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(
        "frame,timestamp, success, F0, AU\n1,0.5, 1, -inf, 2\n2,0.6,0, 4, 5\n3,0.9,1,6,nan\n"
    )
    stream = table(
        time="timestamp",
        drop=["frame", "succ*"],
        valid=[ValidityRule(column="success", at_least=1)],
    )
    times, values = read_rows(path, stream)
    np.testing.assert_allclose(times, [0.5, 0.6, 0.9])
    np.testing.assert_array_equal(values, np.float32([[np.nan, 2], [np.nan] * 2, [6, np.nan]]))
    assert feature_names(path, stream) == ["F0", "AU"]
    assert duration_s(path, stream) == pytest.approx(1.0)


def test_a_validity_rule_for_some_columns_applies_to_every_block(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    numbers = np.random.default_rng(0).normal(size=(500, 3)).round(4)
    numbers[:, 1] = np.arange(500) % 2
    np.savetxt(path, numbers, "%.4f", delimiter=";")
    stream = table(
        sep=";",
        header=False,
        columns=["f0", "vuv", "e"],
        valid=[ValidityRule(column="vuv", at_least=1, columns=["f0"])],
    )
    times, values = read_rows(path, stream)
    expected = numbers.astype(np.float32)
    expected[::2, 0] = np.nan
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(times, np.arange(500) / 10)
    monkeypatch.setattr("depmm.media.features.feature_arrays.BLOCK_ROWS", 7)
    again = read_rows(path, stream)
    np.testing.assert_array_equal(again[0], times)
    np.testing.assert_array_equal(again[1], values)


@pytest.mark.parametrize(
    ("text", "changes", "column", "value"),
    [
        ("a,b\n1,x\n", {}, "b", "x"),
        ("a,b\n1,2\n", {"time": "t"}, "t", None),
        ("a,b\n1,2\n", {"drop": ["*"]}, None, ["*"]),
        ("a,b\n1,2,3\n", {}, None, None),
        ("a,b\n", {}, None, None),
        ("", {}, None, None),
        ("t,b\n1,2\n0,2\n", {"time": "t"}, "t", 0.0),
    ],
    ids=["text", "no time", "all dropped", "long row", "no rows", "empty", "time descends"],
)
def test_errors_of_a_table_carry_file_column_and_value(text, changes, column, value, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(MediaError) as info:
        read_rows(path, table(**changes))
    assert (info.value.file, info.value.column, info.value.value) == (path, column, value)
    assert info.value.remedy


def test_arrays_are_read_along_any_axis_and_from_a_variable(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "x.npy", array)
    _, values = read_rows(tmp_path / "x.npy", table(format="npy", axis=2))
    np.testing.assert_array_equal(values, array.transpose(2, 0, 1).reshape(4, 6))
    savemat(tmp_path / "x.mat", {"feature": array[0]})
    _, values = read_rows(tmp_path / "x.mat", table(format="mat", variable="feature"))
    np.testing.assert_array_equal(values, array[0])
    with pytest.raises(MediaError) as info:
        read_rows(tmp_path / "x.mat", table(format="mat", variable="other"))
    assert (info.value.file, info.value.value) == (tmp_path / "x.mat", "other")
    with pytest.raises(MediaError) as info:
        read_rows(tmp_path / "x.npy", table(format="npy", axis=3))
    assert (info.value.file, info.value.value) == (tmp_path / "x.npy", (2, 3, 4))
    for name, stream in (("bad.npy", {}), ("bad.mat", {"variable": "feature"})):
        (tmp_path / name).write_bytes(b"not an array")
        with pytest.raises(MediaError) as info:
            read_rows(tmp_path / name, table(format=name[-3:], **stream))
        assert info.value.file == tmp_path / name


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("dtype", [object, np.float32])
def test_pickled_tables_keep_their_rows(tmp_path, dtype):
    expected = np.arange(15.0).reshape(5, 3)
    # an array of objects, and a pickle that is not of NumPy's format
    np.save(tmp_path / "objects.npy", expected.astype(object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(expected.astype(dtype)))
    for name in ("objects.npy", "pickle.npy"):
        _, values = read_rows(tmp_path / name, table(format="npy"), allow_pickle=True)
        np.testing.assert_array_equal(values, expected)


def test_pickled_arrays_need_the_flag(tmp_path):
    malicious = np.empty(1, object)
    malicious[0] = Payload(tmp_path / "executed")
    np.save(tmp_path / "malicious.npy", malicious, allow_pickle=True)
    with pytest.raises(MediaError) as info:
        read_rows(tmp_path / "malicious.npy", table(format="npy"))
    assert "--allow-pickle" in str(info.value.remedy)
    assert not (tmp_path / "executed").exists()
    plain = np.empty(2, object)
    plain[:] = [np.ones(3), np.zeros(3)]
    np.save(tmp_path / "x.npy", plain, allow_pickle=True)
    _, values = read_rows(tmp_path / "x.npy", table(format="npy"), allow_pickle=True)
    np.testing.assert_array_equal(values, [[1, 1, 1], [0, 0, 0]])
