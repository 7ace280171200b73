"""Index and failures of a store, also with several processes."""

from pathlib import Path

import pandas as pd
import pytest
from recordings import (
    KEY,
    SETTINGS,
    audio_and_face,
    extract_all,
    manifest_of,
    session_files,
    three_subjects,
)

from depmm.config import AudioExtraction, ExtractConfig, FaceExtraction
from depmm.corpora.manifest import Manifest
from depmm.schemas.store import FAILURES, INDEX
from depmm.store.errors import StoreError
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore


@pytest.fixture
def subjects(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_subjects(tmp_path / "recordings")


def test_a_session_with_a_deleted_recording_is_not_in_the_index(subjects, tmp_path):
    manifest, root = subjects
    extract_all(manifest, root, tmp_path / "store")
    (root / "2.mp4").unlink()
    again = extract_all(manifest, root, tmp_path / "store")
    assert (again.extracted, again.skipped, again.lost) == (0, 2, 1)
    assert read_index(SessionStore(tmp_path / "store", SETTINGS))["session"].tolist() == [
        "s1",
        "s3",
    ]


def test_rows_of_other_settings_and_manifests_are_kept(subjects, tmp_path):
    manifest, root = subjects
    store = tmp_path / "store"
    extract_all(manifest, root, store)
    first = session_files(store)
    faster = ExtractConfig(face=FaceExtraction(frames_per_second=10.0))
    assert extract_all(manifest, root, store, settings=faster).extracted == 3
    other = manifest_of({"s9": [audio_and_face("9.mp4")]})
    (root / "9.mp4").write_text("not a video")
    assert len(extract_all(other, root, store).failures) == 2
    assert extract_all(manifest, root, store).failures.empty
    assert first.items() < session_files(store).items()
    assert len(read_index(SessionStore(store, SETTINGS))) == 3
    assert len(read_index(SessionStore(store, faster))) == 3
    assert pd.read_parquet(store / "failures.parquet")["session"].tolist() == ["s9", "s9"]
    unknown = SessionStore(store, ExtractConfig(audio=AudioExtraction(silence_db=-20.0)))
    with pytest.raises(StoreError) as info:
        unknown.read(*KEY)
    assert (info.value.subject, info.value.session) == ("p1", "s1")


def test_written_tables_fit_their_schemas(subjects, tmp_path):
    manifest, root = subjects
    (root / "2.mp4").unlink()
    extract_all(manifest, root, tmp_path)
    for schema, n_rows in ((INDEX, 2), (FAILURES, 2)):
        table = pd.read_parquet(tmp_path / schema.file)
        schema.check(table)
        assert list(table) == schema.names
        assert len(table) == n_rows
    assert read_failures(SessionStore(tmp_path, SETTINGS))["stage"].tolist() == ["audio", "face"]


def test_a_store_without_failures_has_an_empty_table(subjects, tmp_path):
    extract_all(*subjects, tmp_path)
    FAILURES.check(pd.read_parquet(tmp_path / "failures.parquet"))
    assert read_failures(SessionStore(tmp_path, SETTINGS)).empty
    assert read_failures(SessionStore(tmp_path / "other", SETTINGS)).empty


def test_a_missing_index_or_one_with_other_columns_is_an_error(subjects, tmp_path):
    store = SessionStore(tmp_path, SETTINGS)
    with pytest.raises(StoreError) as info:
        read_index(store)
    assert info.value.file == tmp_path
    extract_all(*subjects, tmp_path)
    index = pd.read_parquet(tmp_path / "index.parquet")
    index.rename(columns={"n_steps": "steps"}).to_parquet(tmp_path / "index.parquet")
    with pytest.raises(StoreError) as info:
        read_index(store)
    assert (info.value.file, info.value.column) == (tmp_path / "index.parquet", "n_steps")
