"""The stream ``voice``: computed once per session, and again when the session changes."""

import numpy as np
import pytest
from recordings import KEY
from voices import pulses, write_voices

import depmm.store.session_file as session_file
from depmm.media.voice.contours import CONTOURS
from depmm.store.session_file import SessionReader

LOW, HIGH = pulses(np.full(40, 0.01)), pulses(np.full(80, 0.005))
NOTHING = np.zeros(0, np.float32)


@pytest.fixture
def calls(monkeypatch):
    """Count how often contours are computed."""
    computed = []
    original = session_file.compute_voice

    def count(*arguments):
        computed.append(1)
        return original(*arguments)

    monkeypatch.setattr(session_file, "compute_voice", count)
    return computed


def pitches(store):
    with store.read(*KEY) as reader:
        rows = reader.step_rows("voice")
        steps = [reader.read_features("voice", *row)[:, 0] for row in rows]
    return rows.tolist(), [float(np.nanmedian(step)) if len(step) else None for step in steps]


def test_each_step_has_its_rows(tmp_path, calls):
    store = write_voices(tmp_path, [LOW, NOTHING, HIGH])
    rows, pitch = pitches(store)
    assert rows == [[0, 40], [40, 40], [40, 80]]
    assert pitch[1] is None
    assert pitch[2] - pitch[0] == pytest.approx(12, abs=0.05)
    assert pitches(store) == (rows, pitch)
    assert len(calls) == 1
    stream = store.read_summary(*KEY)["streams"]["voice"]
    assert (stream["rate_hz"], stream["n_features"]) == (100, len(CONTOURS))
    with SessionReader(store.path(*KEY)) as reader:  # without a store, nothing is kept
        part = reader.read_features("voice", 45, 50)
    with store.read(*KEY) as reader:
        np.testing.assert_array_equal(part, reader.read_features("voice", 45, 50))


def test_a_step_does_not_depend_on_its_neighbours(tmp_path):
    with write_voices(tmp_path / "a", [LOW, HIGH]).read(*KEY) as reader:
        first = reader.read_features("voice", 40, 80)
    with write_voices(tmp_path / "b", [HIGH, LOW]).read(*KEY) as reader:
        other = reader.read_features("voice", 0, 40)
    np.testing.assert_allclose(first, other, atol=1e-4)


def test_contours_are_computed_again(tmp_path, calls):
    store = write_voices(tmp_path, [LOW])
    before = pitches(store)
    write_voices(tmp_path, [HIGH])  # the session is extracted again
    assert pitches(store)[1][0] - before[1][0] == pytest.approx(12, abs=0.05)
    assert len(calls) == 2
    (file,) = (tmp_path / "streams").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    assert pitches(store)[0] == [[0, 40]]
    assert len(calls) == 3


def test_contours_of_another_shape_are_not_read(tmp_path, calls):
    store = write_voices(tmp_path, [LOW])
    expected = pitches(store)
    (file,) = (tmp_path / "streams").rglob("*.safetensors")
    session = store.read_summary(*KEY)["checksum"]
    for values in (
        np.zeros((39, len(CONTOURS)), np.float32),
        np.zeros((40, 1), np.float32),
        np.zeros((40, len(CONTOURS)), np.int64),
    ):
        with store.writer() as writer:  # all checksums are right
            writer.append("values", values)
            file.write_bytes(writer.save({"session": session}).read_bytes())
        assert pitches(store) == expected
    assert len(calls) == 4


def test_a_session_without_sound_has_no_voice(tmp_path):
    store = write_voices(tmp_path, [NOTHING])
    with store.read(*KEY) as reader:
        assert reader.step_rows("voice").tolist() == [[0, 0]]
