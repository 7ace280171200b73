"""Upload and download with a hub that is a local folder."""

import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest

from depmm.inference import Predictor
from depmm.sharing.errors import SharingError
from depmm.sharing.export import export_run
from depmm.sharing.hub import download_run, find_run, push_to_hub

COMMIT = "a" * 40


class FolderHub:
    """The used functions of ``HfApi``, on a local folder."""

    def __init__(self, root: Path, private: bool = True) -> None:
        self.root, self.private, self.calls = root, private, []

    def create_repo(self, repo_id, private, exist_ok):
        self.calls.append("create_repo")

    def repo_info(self, repo_id, revision=None):
        return SimpleNamespace(private=self.private, sha=COMMIT)

    def upload_folder(self, repo_id, folder_path, allow_patterns, delete_patterns, commit_message):
        self.calls.append("upload_folder")
        assert delete_patterns == "*"
        shutil.rmtree(self.root, ignore_errors=True)
        for name in allow_patterns:
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(folder_path) / name, target)
        return SimpleNamespace(oid=COMMIT)

    def snapshot_download(self, repo_id, revision, local_dir, allow_patterns):
        assert revision == COMMIT
        self.calls.append("snapshot_download")
        out = Path(local_dir or self.root.parent / "cache")
        for path in self.root.rglob("*"):
            if path.is_file() and any(fnmatch(path.name, p) for p in allow_patterns):
                target = out / path.relative_to(self.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                if local_dir is None:
                    target.symlink_to(path)
                else:
                    shutil.copyfile(path, target)
        return str(out)


@pytest.fixture(scope="module")
def exported(evaluated_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "lora"
    export_run(evaluated_run, folder)
    return folder


@pytest.fixture
def hub(tmp_path):
    return FolderHub(tmp_path / "hub")


def test_a_pushed_folder_predicts_after_the_download(
    exported, hub, corpus, tmp_path, monkeypatch, depmm
):
    monkeypatch.setattr("depmm.sharing.hub._client", lambda: hub)
    result = depmm("push", exported, "lab/lora")
    assert (result.code, COMMIT in result.out) == (0, True), result.err
    (hub.root / "code.py").write_text("raise SystemExit")  # a repository of another owner
    result = depmm("pull", "lab/lora", tmp_path / "pulled", "--revision", COMMIT)
    assert result.code == 0, result.err
    assert not (tmp_path / "pulled" / "code.py").exists()
    recording = corpus.recordings / corpus.manifest.steps["audio"].dropna().iloc[0]
    predictions = [
        predictor.predict(recording, window_s=1.0).result["probability"]
        for predictor in (
            Predictor.from_pretrained("lab/lora", COMMIT),
            Predictor.from_pretrained(tmp_path / "pulled"),
        )
    ]
    expected = Predictor(exported).predict(recording, window_s=1.0).result["probability"]
    assert predictions == pytest.approx([expected] * 2, abs=1e-6)


def test_nothing_is_uploaded_that_was_not_searched(exported, evaluated_run, hub, tmp_path):
    with pytest.raises(SharingError):
        push_to_hub(evaluated_run, "lab/run", api=hub)
    added = shutil.copytree(exported, tmp_path / "added")
    (added / "notes.md").write_text("P017")
    changed = shutil.copytree(exported, tmp_path / "changed")
    (changed / "README.md").write_text("P017")
    linked = shutil.copytree(exported, tmp_path / "linked")
    (linked / "README.md").unlink()
    (linked / "README.md").symlink_to(exported / "README.md")
    for folder in (added, changed, linked):
        with pytest.raises(SharingError) as caught:
            push_to_hub(folder, "lab/run", api=hub)
        assert caught.value.remedy
    for name in ("run", "a/../b", "lab/run/x"):
        with pytest.raises(SharingError):
            push_to_hub(exported, name, api=hub)
    assert hub.calls == []


def test_a_public_repository_needs_the_option(exported, tmp_path):
    hub = FolderHub(tmp_path / "hub", private=False)
    with pytest.raises(SharingError) as caught:
        push_to_hub(exported, "lab/run", api=hub)
    assert caught.value.setting == "public"
    assert "upload_folder" not in hub.calls
    assert push_to_hub(exported, "lab/run", public=True, api=hub) == COMMIT


def test_a_download_is_pinned_and_compared(exported, hub, tmp_path):
    push_to_hub(exported, "lab/run", api=hub)
    for revision in (None, "main", "abc"):
        with pytest.raises(SharingError) as caught:
            download_run("lab/run", revision, api=hub)
        assert (caught.value.setting, caught.value.value) == ("revision", COMMIT)
    with pytest.raises(SharingError):  # not empty
        download_run("lab/run", COMMIT, tmp_path, api=hub)
    weights = hub.root / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    with pytest.raises(SharingError) as caught:
        download_run("lab/run", COMMIT, tmp_path / "new", api=hub)
    assert caught.value.file.name == "model.safetensors"
    with pytest.raises(SharingError):
        find_run("no folder and no repository")
    (hub.root / "model.safetensors").unlink()
    with pytest.raises(SharingError):
        download_run("lab/run", COMMIT, tmp_path / "other", api=hub)


class UnreachableHub:
    def repo_info(self, repo_id, revision=None):
        raise RuntimeError("[Errno -2] Name or service not known")  # no OSError, as of httpx


def test_a_hub_that_is_not_reached_is_an_error_with_the_repository():
    with pytest.raises(SharingError) as info:
        download_run("me/model", None, api=UnreachableHub())
    assert info.value.value == "me/model"
