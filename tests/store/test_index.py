"""Index and failures of a store, also with several processes."""

from collections import Counter
from contextlib import nullcontext
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
from depmm.shards import find_shard, parse_shard
from depmm.store import extract as extraction
from depmm.store import index as index_tables
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


def count_reads(monkeypatch) -> Counter[str]:
    """Count how often each table of a store is read."""
    reads: Counter[str] = Counter()
    read_table = index_tables.read_table

    def read_and_count(store, schema, name):
        reads[name] += 1
        return read_table(store, schema, name)

    monkeypatch.setattr(index_tables, "read_table", read_and_count)
    return reads


def test_each_table_of_a_part_is_read_once(subjects, tmp_path, monkeypatch):
    for part in ("1/3", "2/3", "3/3"):
        extract_all(*subjects, tmp_path / "store", shard=parse_shard(part))
    reads = count_reads(monkeypatch)
    assert len(read_index(SessionStore(tmp_path / "store", SETTINGS))) == 3
    assert set(reads.values()) == {1}
    assert len(reads) == 1 + 3 * 2  # a part's failures tell which of its sessions have no row
    reads.clear()
    extract_all(*subjects, tmp_path / "store")  # joins the parts
    assert set(reads.values()) == {1}
    assert len(reads) == 3 + 3 * 3


def test_a_launch_joins_its_tables_without_reading_sessions_again(subjects, tmp_path, monkeypatch):
    """Two elements of an array with two processes each, of which two have no session."""
    manifest, root = subjects
    (root / "2.mp4").unlink()
    store = SessionStore(tmp_path / "store", SETTINGS)
    whole = extract_all(manifest, root, tmp_path / "whole")
    monkeypatch.setattr(extraction, "Launch", FinishedLaunch)
    for element in range(2):
        array = {"SLURM_ARRAY_TASK_ID": str(element), "SLURM_ARRAY_TASK_COUNT": "2"}
        for rank in (1, 0):
            shard = find_shard({**array, "RANK": str(rank), "WORLD_SIZE": "2"})
            summaries: list[object] = []
            if rank == 0:
                read_summary = SessionStore.read_summary

                def read_and_count(self, *key, read=read_summary, keys=summaries):
                    keys.append(key)
                    return read(self, *key)

                monkeypatch.setattr(SessionStore, "read_summary", read_and_count)
            report = extract_all(manifest, root, store.url, shard=shard)
            monkeypatch.undo()
            monkeypatch.setattr(extraction, "Launch", FinishedLaunch)
        assert len(summaries) <= 1  # of the session of this process
    assert len(report.failures) in (0, 2)
    names = sorted(path.name.split(".", 3)[3] for path in tmp_path.glob("store/index.*.parquet"))
    assert names == ["1-of-2.parquet", "2-of-2.parquet"]
    expected = read_index(SessionStore(tmp_path / "whole", SETTINGS))
    found = read_index(store).sort_values("session", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected)
    assert len(read_failures(store)) == len(whole.failures) == 2


class FinishedLaunch(nullcontext):
    """A launch whose other processes have finished."""

    unfinished: tuple[str, ...] = ()

    def __init__(self, store, shard):
        super().__init__(self)
