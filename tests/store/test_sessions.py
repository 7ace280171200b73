"""The session store: damaged files."""

from pathlib import Path

import pytest
from recordings import (
    KEY,
    SETTINGS,
    extract_all,
    session_files,
    three_subjects,
)

from depmm.config import ExtractConfig
from depmm.corpora.manifest import Manifest
from depmm.store.errors import StoreError
from depmm.store.sessions import SessionStore


@pytest.fixture
def subjects(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_subjects(tmp_path / "recordings")


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 50, b"\xff" * 50, "half"], ids=["empty", "zeros", "ones", "half"]
)
def test_a_damaged_file_is_an_error_and_is_extracted_again(subjects, tmp_path, damage):
    store = tmp_path / "store"
    extract_all(*subjects, store)
    complete = session_files(store)
    path = Path(SessionStore(store, SETTINGS).path(*KEY))
    path.write_bytes(path.read_bytes()[:-1000] if damage == "half" else damage)
    for access in ("read", "read_summary", "verify"):
        with pytest.raises(StoreError) as info:
            getattr(SessionStore(store, SETTINGS), access)(*KEY)
        assert info.value.file == path
    again = extract_all(*subjects, store)
    assert (again.extracted, again.skipped) == (1, 2)
    assert session_files(store) == complete


@pytest.mark.parametrize("url", ["foo://bar", "foo::bar"])
def test_a_store_of_an_unknown_protocol_is_refused(url):
    with pytest.raises(StoreError) as info:
        SessionStore(url, ExtractConfig())
    assert (info.value.setting, info.value.value) == ("data.store", url)
    assert info.value.remedy
