"""Failures of a session: written, read back, and removed by a complete extraction."""

from depmm.config import ExtractConfig
from depmm.media.errors import MediaError
from depmm.store.failures import Failure, has_failures, record_failures, recorded_failures
from depmm.store.sessions import SessionStore

KEY = ("corpus", "subject", "session")


def test_failures_are_recorded_and_removed(tmp_path):
    store = SessionStore(tmp_path / "store", ExtractConfig())
    assert not has_failures(store, KEY)
    assert recorded_failures(store, KEY) == []
    error = MediaError("a.wav", "the file is empty.", "Check the recording.")
    record_failures(store, KEY, [Failure.from_error(KEY, "audio", "a.wav", error)])
    assert has_failures(store, KEY)
    (row,) = recorded_failures(store, KEY)
    assert [row[name] for name in ("corpus", "subject", "session")] == list(KEY)
    assert (row["stage"], row["file"]) == ("audio", "a.wav")
    assert (row["cause"], row["remedy"]) == ("the file is empty.", "Check the recording.")
    record_failures(store, KEY, [])
    assert not has_failures(store, KEY)
