"""Search, download and check of the face model."""

import warnings
from pathlib import Path

import pytest

from depmm.media.errors import MediaError
from depmm.media.video import face_landmarker
from depmm.media.video.face_landmarker import find_landmarker


@pytest.fixture
def model_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the download site by a file, and use an empty cache."""
    site = tmp_path / "site.task"
    site.write_bytes(b"the model")
    monkeypatch.setattr(face_landmarker, "LANDMARKER_URL", site.as_uri())
    monkeypatch.setattr(face_landmarker, "LANDMARKER_SHA256", face_landmarker._sha256(b"the model"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(face_landmarker.LANDMARKER_VARIABLE, raising=False)
    return site


def test_the_model_is_downloaded_once_and_checked(model_site: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cache/depmm/face_landmarker.task"
    assert find_landmarker() == cached
    assert cached.read_bytes() == b"the model"
    cached.write_bytes(b"broken")  # it is downloaded again
    assert find_landmarker().read_bytes() == b"the model"
    model_site.unlink()
    assert find_landmarker() == cached
    cached.unlink()
    with pytest.raises(MediaError) as info:
        find_landmarker()
    assert info.value.file == cached
    assert "DEPMM_FACE_LANDMARKER" in str(info.value.remedy)


def test_a_download_with_the_wrong_hash_is_refused(model_site: Path, tmp_path: Path) -> None:
    model_site.write_bytes(b"something else")
    with pytest.raises(MediaError) as info:
        find_landmarker()
    assert info.value.value == face_landmarker._sha256(b"something else")
    assert not list((tmp_path / "cache").rglob("*.task"))


def test_a_named_model_is_preferred(
    model_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "newer.task"
    newer.write_bytes(b"version 2")
    with pytest.warns(UserWarning, match="not the face model"):
        assert find_landmarker(newer) == newer
    monkeypatch.setenv(face_landmarker.LANDMARKER_VARIABLE, str(model_site))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_landmarker() == model_site
    monkeypatch.setenv(face_landmarker.LANDMARKER_VARIABLE, str(tmp_path / "nowhere.task"))
    with pytest.raises(MediaError) as info:
        find_landmarker()
    assert info.value.file == tmp_path / "nowhere.task"
