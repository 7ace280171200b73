"""Index and failures follow the session files, whoever wrote them."""

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
from depmm.store.errors import StoreError
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore


@pytest.fixture
def subjects(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_subjects(tmp_path / "recordings")


def test_process_that_is_slow_to_write_does_not_lose_the_others(subjects, tmp_path, monkeypatch):
    put, store, late = SessionStore.put, tmp_path / "store", []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")

    def slow_put(self, local, path):
        if path.endswith("index.parquet") and not late:
            late.append(path)
            with monkeypatch.context() as other:  # it finishes while this one is about to write
                other.setenv("RANK", "1")
                extract_all(*subjects, store)
        put(self, local, path)

    monkeypatch.setattr(SessionStore, "put", slow_put)
    extract_all(*subjects, store)
    assert late
    assert len(read_index(SessionStore(store, SETTINGS))) == 3


def test_session_that_broke_later_is_not_used_any_more(subjects, tmp_path):
    manifest, root = subjects
    extract_all(manifest, root, tmp_path / "store")
    (root / "2.mp4").unlink()
    again = extract_all(manifest, root, tmp_path / "store")
    assert (again.extracted, again.skipped, again.lost) == (0, 2, 1)
    assert read_index(SessionStore(tmp_path / "store", SETTINGS))["session"].tolist() == [
        "s1",
        "s3",
    ]


def test_other_settings_and_other_corpora_live_beside(subjects, tmp_path):
    manifest, root = subjects
    store = tmp_path / "store"
    extract_all(manifest, root, store)
    first = session_files(store)
    faster = ExtractConfig(face=FaceExtraction(frames_per_second=10.0))
    assert extract_all(manifest, root, store, settings=faster).extracted == 3
    other = manifest_of({"s9": [audio_and_face("9.mp4")]})
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
