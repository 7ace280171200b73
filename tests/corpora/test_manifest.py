"""Manifests: built, written, read and joined."""

import os
import shutil

import pandas as pd
import pyarrow.parquet
import pytest
from corpus_samples import make_session_table, make_small_manifest, make_step_table

from depmm.config import StreamConfig
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import build_manifest, concat_manifests, read_manifest, write_manifest
from depmm.schemas.manifest import FEATURES, SESSIONS, STEP_KEY, STEPS


def test_a_manifest_is_read_back_as_written(tmp_path):
    manifest = make_small_manifest()
    write_manifest(manifest, tmp_path / "new" / "folder")
    again = read_manifest(tmp_path / "new" / "folder")
    pd.testing.assert_frame_equal(manifest.sessions, again.sessions)
    pd.testing.assert_frame_equal(manifest.steps, again.steps)
    assert again.sessions["subject"].tolist() == ["01", "01", "Zoë"]
    assert again.sessions["label"].tolist() == [1, pd.NA, 0]
    for name, column, kind in (("steps", "step", "int64"), ("sessions", "label", "int64")):
        schema = pyarrow.parquet.read_schema(tmp_path / f"new/folder/{name}.parquet")
        assert str(schema.field(column).type) == kind
    names = sorted(os.listdir(tmp_path / "new/folder"))
    assert names == ["SHA256SUMS", "sessions.parquet", "steps.parquet"]


def test_an_interrupted_write_leaves_the_old_manifest(tmp_path, monkeypatch):
    write_manifest(make_small_manifest(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    write_table, calls = pyarrow.parquet.write_table, []

    def fail_at_the_second(table, path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError("disk full")
        write_table(table, path)

    monkeypatch.setattr(pyarrow.parquet, "write_table", fail_at_the_second)
    sessions = make_session_table([{"subject": "9", "session": "9"}])
    with pytest.raises(OSError, match="disk full"):
        write_manifest(build_manifest(sessions, make_step_table(sessions)), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_damaged_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError) as info:
        read_manifest(tmp_path)
    assert info.value.file == tmp_path / "sessions.parquet"
    write_manifest(make_small_manifest(), tmp_path)
    (tmp_path / "SHA256SUMS").unlink()  # as a manifest of another program
    shutil.copytree(tmp_path, tmp_path / "copy")
    table = pyarrow.parquet.read_table(tmp_path / "steps.parquet")
    pyarrow.parquet.write_table(table.drop_columns(["start_s"]), tmp_path / "steps.parquet")
    with pytest.raises(ManifestError) as info:
        read_manifest(tmp_path)
    assert (info.value.file, info.value.column) == (tmp_path / "steps.parquet", "start_s")
    path = tmp_path / "copy" / "sessions.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(ManifestError) as info:
        read_manifest(tmp_path / "copy")
    assert info.value.file == path


def test_corpora_are_joined_and_repeated_sessions_refused():
    one = make_small_manifest()
    sessions = make_session_table([{"corpus": "other", "subject": "01", "session": "01-a"}])
    other = build_manifest(sessions.assign(task_name="x"), make_step_table(sessions))
    both = concat_manifests([one, other])
    assert len(both.sessions) == 4
    assert both.sessions["emotion"].isna().tolist() == [True, False, True, False]
    assert both.sessions["label"].dtype == "Int64"
    assert both.steps.groupby(["corpus", "session"]).size().tolist() == [2] * 4
    with pytest.raises(ManifestError) as info:
        concat_manifests([one, other, one])
    assert (info.value.subject, info.value.session) == ("01", "01-a")
    with pytest.raises(ManifestError):
        concat_manifests([])


def test_missing_optional_columns_are_null():
    sessions = make_session_table([{"subject": "1", "session": "1"}])
    manifest = build_manifest(sessions[["corpus", "subject", "session"]], make_step_table(sessions))
    assert manifest.sessions[["score", "label", "cut_off", "original_label"]].isna().all(axis=None)


def test_written_tables_fit_their_schemas(tmp_path):
    manifest = make_small_manifest()
    features = manifest.steps[STEP_KEY].assign(
        name="mfcc", modality="audio", path="x.csv",
        reader=StreamConfig(name="mfcc", rate_hz=100.0).model_dump_json(),
    )  # fmt: skip
    write_manifest(build_manifest(manifest.sessions, manifest.steps, features), tmp_path)
    written = read_manifest(tmp_path)
    tables = (written.sessions, written.steps, written.features)
    for schema, table in zip((SESSIONS, STEPS, FEATURES), tables, strict=True):
        schema.check(table)
        fields = pyarrow.parquet.read_schema(tmp_path / schema.file)
        assert fields.names[: len(schema.names)] == schema.names
        types = {"string": "str", "double": "float64"}
        types_in_file = [str(fields.field(name).type) for name in schema.names]
        assert [types.get(name, name) for name in types_in_file] == [
            column.dtype for column in schema.columns
        ]
    # a long text that every row repeats: a categorical in pandas, text in the file
    assert written.features["reader"].dtype == "category"
    built = build_manifest(manifest.sessions, manifest.steps, features).features
    pd.testing.assert_frame_equal(written.features, built)
    pd.testing.assert_frame_equal(built.astype({"reader": "str"}), features, check_dtype=False)
