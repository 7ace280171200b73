"""Rules of a manifest's tables: each is reported with column, subject and session."""

import numpy as np
import pytest
from corpus_samples import make_small_manifest

from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import validate
from depmm.corpora.manifest_rules import check_id, parse_reader


@pytest.mark.parametrize(
    "value", ["01", "S1_2", "grid_A(s1)", "Zoë", "张三", "a.b", "x" * 100, "a@b=+"]
)
def test_safe_ids(value):
    assert check_id(value, "subject") == value


@pytest.mark.parametrize(
    "value", ["", "..", "a..b", "../x", "a/b", "a\\b", "-a", ".a", "a b", "a\n", "x" * 101, "a\0"]
)
def test_unsafe_ids_are_refused(value):
    with pytest.raises(ManifestError) as info:
        check_id(value, "subject in t.csv", "t.csv", 3)
    assert info.value.value == value
    assert (str(info.value.file), info.value.line) == ("t.csv", 3)


@pytest.mark.parametrize(
    ("table", "column", "value", "session"),
    [
        ("sessions", "label", 2, "01-a"),
        ("sessions", "original_label", 2, "01-a"),
        ("sessions", "score", 64.0, "01-a"),
        ("sessions", "instrument", "BDI", "01-a"),
        ("sessions", "split", "dev", "01-a"),
        ("sessions", "gender", "f", "01-a"),
        ("sessions", "age", 1990.0, "01-a"),
        ("steps", "step", 7, "01-a"),
        ("steps", "start_s", 1.0, "01-a"),
        ("steps", "start_s", -1.0, "01-a"),
        ("steps", "valence", "sad", "01-a"),
        ("steps", "audio", "../x.wav", None),
        ("steps", "audio", "/x.wav", None),
        ("steps", "audio", "a\\x.wav", None),
        ("steps", "face", "C:x.mp4", None),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(table, column, value, session):
    manifest = make_small_manifest()
    getattr(manifest, table).loc[0, column] = value
    with pytest.raises(ManifestError) as info:
        validate(manifest)
    assert (info.value.column, info.value.value) == (column, value)
    assert info.value.session == session


@pytest.mark.parametrize(
    ("table", "column", "value", "subject", "session"),
    [
        ("sessions", "subject", "02", "02", "01-a"),  # without steps
        ("steps", "subject", "02", "02", "01-a"),  # without a session
        ("sessions", "session", "01-b", "01", "01-b"),  # twice
        ("steps", "audio", None, "01", "01-a"),  # without a file
        ("steps", "start_s", np.nan, "01", "01-a"),
    ],
)
def test_rows_that_do_not_fit_are_refused(table, column, value, subject, session):
    manifest = make_small_manifest()
    getattr(manifest, table).loc[0, column] = value
    with pytest.raises(ManifestError) as info:
        validate(manifest)
    assert (info.value.subject, info.value.session) == (subject, session)


def test_an_unsafe_id_in_a_table_is_refused():
    manifest = make_small_manifest()
    manifest.sessions.loc[0, "session"] = "../x"
    with pytest.raises(ManifestError) as info:
        validate(manifest)
    assert info.value.value == "../x"


def test_a_score_without_instrument_is_refused():
    manifest = make_small_manifest()
    manifest.sessions.loc[0, "instrument"] = None
    with pytest.raises(ManifestError) as info:
        validate(manifest)
    assert (info.value.column, info.value.value) == ("score", 20)


def test_a_reader_that_is_not_json_is_refused():
    with pytest.raises(ManifestError) as info:
        parse_reader("not json")
    assert (info.value.column, info.value.value) == ("reader", "not json")
