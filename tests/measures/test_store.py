"""Measures of a store: computed once, and again when the session changes."""

import numpy as np
import pytest
from face_sequences import blendshape_rows, write_faces
from recordings import KEY, SETTINGS, extract_all, three_subjects

from depmm.measures.measure import MeasureError
from depmm.measures.sets import SESSION_SETS, SET_NAMES, measures_of, parse_sets
from depmm.measures.store import aggregate_steps, read_session_measures, read_step_measures
from depmm.store.errors import StoreError
from depmm.store.sessions import SessionStore

SECOND = ("c", "p2", "s2")


def faces(root, jaw: float, key=KEY) -> SessionStore:
    rows = blendshape_rows(6, jawOpen=jaw * np.array([1, 1, 1, 3, 3, 3]))
    return write_faces(root, [(0, 3), (3, 6)], {"face.blendshapes": rows}, key)


def test_tables_of_steps_and_sessions(tmp_path):
    faces(tmp_path, 0.1)
    store = faces(tmp_path, 0.2, SECOND)
    steps = read_step_measures(store, [SECOND, KEY], ["face"])
    assert steps.index.names == ["corpus", "subject", "session", "step"]
    assert steps.index.tolist() == [(*SECOND, 0), (*SECOND, 1), (*KEY, 0), (*KEY, 1)]
    assert list(steps.columns) == [measure.name for measure in measures_of("face")]
    assert (steps.dtypes == np.float64).all()
    np.testing.assert_allclose(steps["jaw_open_mean"], [0.2, 0.6, 0.1, 0.3], rtol=1e-6)
    sessions = read_session_measures(store, [SECOND, KEY], ["face"])
    assert sessions.index.tolist() == [SECOND, KEY]
    np.testing.assert_allclose(sessions["jaw_open_mean_mean"], [0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(
        sessions["jaw_open_mean_std"], np.array([0.4, 0.2]) / np.sqrt(2), rtol=1e-6
    )
    assert sessions.equals(aggregate_steps(steps))
    one = aggregate_steps(steps[steps.index.get_level_values("step") == 0])
    assert one["jaw_open_mean_std"].isna().all()


def test_measures_are_computed_once_per_session(tmp_path, monkeypatch):
    store = faces(tmp_path, 0.1)
    calls: list[int] = []

    def count(reader, step):
        calls.append(step)
        return original(reader, step)

    import depmm.measures.face as module

    original = module.measure_face
    monkeypatch.setattr(module, "measure_face", count)
    first = read_step_measures(store, [KEY], ["face"])
    assert calls == [0, 1]
    faces(tmp_path, 0.2, SECOND)
    again = read_step_measures(store, [KEY, SECOND], ["face"])
    assert calls == [0, 1, 0, 1]  # only the new session: an interrupted run continues
    assert again.iloc[:2].equals(first)
    faces(tmp_path, 0.4)  # the session is extracted again
    assert read_step_measures(store, [KEY], ["face"])["jaw_open_mean"].iloc[0] == pytest.approx(0.4)
    assert len(calls) == 6
    (file,) = (tmp_path / "measures").glob("*/c/p1/*.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert read_step_measures(store, [KEY], ["face"])["jaw_open_mean"].iloc[0] == pytest.approx(0.4)
    assert len(calls) == 8
    read_step_measures(store, [KEY], ["face"])
    assert len(calls) == 8


def test_measures_of_another_shape_are_not_read(tmp_path):
    store = faces(tmp_path, 0.1)
    expected = read_step_measures(store, [KEY], ["face"])
    (file,) = (tmp_path / "measures").glob("*/c/p1/*.safetensors")
    session = store.read_summary(*KEY)["checksum"]
    n_measures = len(measures_of("face"))
    for values in (
        np.zeros((3, n_measures)),  # of three steps
        np.zeros((2, n_measures - 1)),
        np.zeros((2, n_measures), np.int64),
    ):
        with store.writer() as writer:  # all checksums are right
            writer.append("values", values)
            file.write_bytes(writer.save({"session": session}).read_bytes())
        assert read_step_measures(store, [KEY], ["face"]).equals(expected)


@pytest.mark.slow
def test_worker_processes_give_the_same_measures(tmp_path):
    keys = [("c", f"p{i}", "s") for i in range(3)]
    for root in ("one", "two"):
        for i, key in enumerate(keys):
            store = faces(tmp_path / root, 0.1 + i / 10, key)
    one = read_step_measures(SessionStore(tmp_path / "one", SETTINGS), keys, ["face"])
    assert read_step_measures(store, keys, ["face"], workers=2).equals(one)


def test_aligned_faces_have_no_measures(tmp_path):
    manifest, root = three_subjects(tmp_path / "recordings")
    extract_all(manifest, root, tmp_path / "store")
    store = SessionStore(tmp_path / "store", SETTINGS)
    assert read_step_measures(store, [KEY], ["face"]).isna().all(axis=None)


def test_names_of_sets_are_checked(tmp_path):
    with pytest.raises(MeasureError) as raised:
        parse_sets(["face", "fase"])
    assert (raised.value.setting, raised.value.value) == ("set", "fase")
    assert parse_sets(["face", "face"]) == ["face"]
    store = faces(tmp_path, 0.1)
    for name in SESSION_SETS & set(SET_NAMES):
        with pytest.raises(MeasureError):
            read_step_measures(store, [KEY], [name])
    with pytest.raises(StoreError) as missing:
        read_step_measures(store, [SECOND], ["face"])
    assert (missing.value.subject, missing.value.session) == SECOND[1:]
    assert read_step_measures(store, [], ["face"]).shape == (0, len(measures_of("face")))


def test_names_of_measures_are_unique_and_valid_in_spss_and_r():
    measures = [measure for name in SET_NAMES for measure in measures_of(name)]
    names = [measure.name for measure in measures]
    assert len(set(names)) == len(names)
    for measure in measures:
        assert measure.name.isascii()
        assert measure.name.isidentifier()
        assert measure.name[0].islower()
        assert len(measure.name) <= 48
        assert measure.description
        assert measure.unit
