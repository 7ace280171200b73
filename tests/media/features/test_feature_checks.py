"""Times and values of feature files that are judged as a whole."""

import numpy as np
import pytest
from feature_files import read_all, stream_of, write_table

from depmm.config import RowSelection, ValidityRule
from depmm.media.errors import MediaError

TIMED = stream_of(rate_hz=30.0, time="t")
TIMES = np.arange(300) / 30


def write(path, times, **columns):
    values = np.random.default_rng(0).normal(size=len(times))
    return write_table(path / "x.csv", {"t": np.asarray(times, float), "x": values} | columns)


@pytest.mark.parametrize(
    ("times", "stream"),
    [
        (TIMES, TIMED),
        (TIMES.round(1), TIMED),
        (TIMES.round(0), TIMED),
        (np.sort(np.arange(900) / 100 + np.random.default_rng(0).normal(0, 0.003, 900)) + 1, 100),
        (np.arange(300) / 120, 120),
        (TIMES * 1000, stream_of(rate_hz=30.0, time="t", units_per_second=1000.0)),
        (np.arange(300.0), stream_of(rate_hz=30.0, time="t", units_per_second=30.0)),
    ],
    ids=["exact", "tenths", "seconds", "jitter", "120 Hz", "milliseconds", "frames"],
)
def test_rounded_times_and_other_units_are_read(times, stream, tmp_path):
    if isinstance(stream, int):  # rounded to two decimals
        times, stream = times.round(2), stream_of(rate_hz=float(stream), time="t")
        assert (np.diff(times) == 0).any()
    read, values, warnings = read_all(write(tmp_path, times), stream)
    np.testing.assert_allclose(read, times / stream.units_per_second, atol=1e-4)
    assert len(values) == len(times)
    assert warnings == {}


@pytest.mark.parametrize(
    ("times", "value", "remedy"),
    [
        (np.zeros(300), 0.0, "time: t"),
        (np.full(300, 4.2), 4.2, "time: t"),
        (np.minimum(TIMES, 5), 150, "time: t"),
        (TIMES * 1000, pytest.approx(1000 / 30), "units_per_second: 1000"),
        (np.arange(300), pytest.approx(1.0), "units_per_second: 30"),
        ([*TIMES, np.nan], pytest.approx(np.nan, nan_ok=True), "file"),
        ([*TIMES, np.inf], np.inf, "file"),
        ([*TIMES, 1.0], 1.0, "file"),
        (np.repeat(TIMES, 2), 300, "keep: largest"),
        (np.sort([*TIMES, *TIMES[50:100]]), 50, "keep: largest"),
    ],
    ids=[
        "zero", "constant", "stalls", "milliseconds", "frames", "NaN", "infinity", "descends",
        "two rows", "sometimes two rows",
    ],
)  # fmt: skip
def test_times_that_place_rows_wrongly_are_refused(times, value, remedy, tmp_path):
    path = write(tmp_path, times)
    with pytest.raises(MediaError) as info:
        read_all(path, TIMED)
    assert (info.value.file, info.value.column, info.value.value) == (path, "t", value)
    assert remedy in info.value.remedy


def test_a_few_words_with_one_time_are_read(tmp_path):
    onsets = np.cumsum(np.random.default_rng(0).gamma(2, 0.25, 40)).round(3)
    onsets = np.sort([*onsets, *onsets[::8]])
    path = write(tmp_path, onsets, word_id=list(range(45)))
    times, _, _ = read_all(path, stream_of(rate_hz=2.0, time="t", drop=["word_id"]))
    np.testing.assert_allclose(times, onsets)


def test_one_row_too_many_is_a_warning(tmp_path):
    times = np.insert(TIMES, 15, TIMES[14])
    read, _, warnings = read_all(write(tmp_path, times), TIMED)
    assert len(read) == 301
    assert warnings["repeated_times"].value == pytest.approx(1 / 301)


def test_properties_of_the_times_are_warnings(tmp_path):
    _, _, warnings = read_all(write(tmp_path, np.arange(300) / 25), TIMED)
    assert list(warnings) == ["rate_differs"]
    assert warnings["rate_differs"].value == pytest.approx(25, rel=1e-3)
    _, _, warnings = read_all(write(tmp_path, [*TIMES, *TIMES + 20]), TIMED)
    assert list(warnings) == ["gap"]  # rows until 9.967 s and from 20 s until 29.967 s
    assert warnings["gap"].value == pytest.approx(10 / 29.967, abs=1e-3)
    _, _, warnings = read_all(write(tmp_path, TIMES - 1), TIMED)
    assert {name: warning.value for name, warning in warnings.items()} == {"negative_times": 30}


def test_blocks_do_not_change_what_is_found(tmp_path, monkeypatch):
    path = write(tmp_path, [*TIMES, *TIMES + 20])
    whole = read_all(path, TIMED)
    monkeypatch.setattr("depmm.media.features.feature_arrays.BLOCK_ROWS", 7)
    parts = read_all(path, TIMED)
    np.testing.assert_array_equal(whole[1], parts[1])
    assert parts[2] == whole[2]
    stalled = write(tmp_path, np.minimum(TIMES, 5))
    with pytest.raises(MediaError) as info:
        read_all(stalled, TIMED)
    assert info.value.value == 150


def test_invalid_constant_and_infinite_values_are_warnings(tmp_path):
    rule = ValidityRule(column="ok", at_least=1)
    stream = stream_of(drop=["ok"], valid=[rule])
    for n_valid, name in ((0, "no_valid_rows"), (20, "few_valid_rows"), (60, None)):
        valid = (np.arange(100) < n_valid).astype(int).tolist()
        path = write_table(tmp_path / "x.csv", {"x": np.arange(100.0), "ok": valid})
        _, _, warnings = read_all(path, stream)
        assert list(warnings) == ([name] if name else [])
        if name:
            assert warnings[name].value == n_valid / 100
    path = tmp_path / "x.npy"
    np.save(path, np.ones((100, 3)))
    assert list(read_all(path, stream_of(format="npy"))[2]) == ["constant_values"]
    array = np.random.default_rng(0).normal(size=(1000, 3))
    array[:9, 1] = -np.inf  # COVAREP has some
    np.save(path, array)
    assert read_all(path, stream_of(format="npy"))[2] == {}
    array[:20, 1] = np.inf
    np.save(path, array)
    _, values, warnings = read_all(path, stream_of(format="npy"))
    assert warnings["infinite_values"].value == 20
    assert np.isnan(values[:20, 1]).all()


FACES = stream_of(rate_hz=30.0, time="timestamp", drop=["frame", "face_id"])


def write_faces(path, times, **columns):
    """Write an OpenFace table with two faces per frame; the first one smiles."""
    n = len(times)
    table = {
        "frame": [i + 1 for i in range(n) for _ in range(2)],
        "face_id": [0, 1] * n,
        "timestamp": np.repeat(times, 2),
        "confidence": np.tile([0.7, 0.9], n),
        "AU12_r": np.tile([2.0, 0.0], n) + np.repeat(np.arange(n) / 1000, 2),
    }
    return write_table(path / "x.csv", table | columns)


def test_two_faces_per_time_are_refused_unless_one_is_chosen(tmp_path, monkeypatch):
    path = write_faces(tmp_path, TIMES[:60])
    with pytest.raises(MediaError) as info:
        read_all(path, FACES)
    assert (info.value.file, info.value.column, info.value.value) == (path, "face_id", 60)
    assert "select: {column: face_id, value: 0}" in info.value.remedy
    assert "select: {column: confidence, keep: largest}" in info.value.remedy
    smile = np.arange(60) / 1000
    for block in (8192, 7, 1):
        monkeypatch.setattr("depmm.media.features.feature_arrays.BLOCK_ROWS", block)
        for selection, expected in (
            (RowSelection(column="face_id", value=0), smile + 2),
            (RowSelection(column="face_id", value="1"), smile),
            (RowSelection(column="confidence", keep="largest"), smile),
        ):
            stream = FACES.model_copy(update={"select": selection})
            times, values, warnings = read_all(path, stream)
            np.testing.assert_allclose(times, TIMES[:60], atol=1e-4)
            np.testing.assert_allclose(values[:, -1], expected, rtol=1e-6)
            assert warnings == {}


def test_faces_without_a_time_column_or_one_after_the_other_are_noticed(tmp_path):
    path = write_faces(tmp_path, TIMES)
    untimed = stream_of(rate_hz=30.0, drop=["frame", "face_id", "timestamp"])
    with pytest.raises(MediaError) as info:
        read_all(path, untimed)
    assert info.value.column == "face_id"
    speakers = {"t": [*TIMES, *TIMES], "x": list(range(600)), "speaker": ["A"] * 300 + ["B"] * 300}
    path = write_table(tmp_path / "y.csv", speakers)
    stream = stream_of(rate_hz=30.0, time="t", drop=["speaker"])
    with pytest.raises(MediaError) as info:
        read_all(path, stream)
    assert "select: {column: speaker, value: A}" in info.value.remedy
    chosen = stream.model_copy(update={"select": RowSelection(column="speaker", value="B")})
    np.testing.assert_array_equal(read_all(path, chosen)[1][:, 0], np.arange(300, 600))


def test_faces_that_follow_each_other_are_a_warning(tmp_path):
    faces = {"t": TIMES, "x": np.arange(300.0), "face_id": [0] * 100 + [1] * 200}
    path = write_table(tmp_path / "x.csv", faces)
    stream = stream_of(rate_hz=30.0, time="t", drop=["face_id"])
    _, _, warnings = read_all(path, stream)
    assert {name: warning.value for name, warning in warnings.items()} == {"several_ids": 2}
    chosen = stream.model_copy(update={"select": RowSelection(column="face_id", value=1)})
    times, _, warnings = read_all(path, chosen)
    assert (len(times), warnings) == (200, {})
    faces["face_id"] = list(range(300))  # the id of a row
    write_table(path, faces)
    assert read_all(path, stream)[2] == {}


def test_a_selection_that_selects_nothing_names_the_values(tmp_path):
    path = write_faces(tmp_path, TIMES)
    stream = FACES.model_copy(update={"select": RowSelection(column="face_id", value=7)})
    with pytest.raises(MediaError) as info:
        read_all(path, stream)
    assert (info.value.column, info.value.value) == ("face_id", 7)
    stream = FACES.model_copy(update={"select": RowSelection(column="person", value=7)})
    with pytest.raises(MediaError) as info:
        read_all(path, stream)
    assert info.value.column == "person"
