"""Every stage after the extraction reads a store in an object store; folders stay local."""

import fsspec
import pandas as pd
import pytest

from depmm.cli.application import refuse_url
from depmm.config import ConfigError, load_config
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.store.errors import StoreError

SMALL = [
    "data.modalities=[prosody]", "data.features={prosody: voice}", "training.epochs=1",
    "model.encoders={audio: null, face: null, prosody: {kind: feature_cnn, features: 35, "
    "channels: [4], embed_dim: 4}}",
    "model.fusion={kind: mean_pool}", "evaluation.n_bootstrap=100",
]  # fmt: skip


@pytest.fixture
def url(corpus, tmp_path) -> str:
    """Copy the store of the small corpus to the object store in memory."""
    location = f"memory://{tmp_path.name}/bucket/store"
    fsspec.filesystem("memory").put(f"{corpus.store}/", location, recursive=True)
    return location


@pytest.mark.slow
def test_a_store_in_an_object_store_serves_all_stages(corpus, url, tmp_path, depmm, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("depmm.training.precompute.local_cores", lambda: 1)
    settings = [f"data.store={url}", "out=runs", "name=remote", *SMALL]
    commands = [
        ["precompute", corpus.config, *settings],
        ["train", corpus.config, *settings],
        ["explain", "runs/remote"],
        ["measures", corpus.folder, url, "--out", "measures", "--set", "timing",
         "--workers", "1"],
    ]  # fmt: skip
    for command in commands:
        result = depmm(*command)
        assert result.code == 0, (command[0], result.out, result.err)
    assert len(fsspec.filesystem("memory").glob(f"{url}/streams/voice-*/*/*/*")) == 12
    assert len(pd.read_parquet("runs/remote/predictions.parquet")) == 12
    assert load_config("runs/remote/config.yaml").data.store == url
    # a URL whose slashes were joined would be a folder here
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "measures"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["index", "ravdess", ".", "--out", "s3://bucket/manifest"], "out"),
        (["evaluate", "s3://bucket/run"], "runs"),
        (["explain", "memory://run"], "run"),
        (["measures", "memory://manifest", "memory://store", "--out", "m"], "manifest"),
    ],
)
def test_a_command_that_needs_a_folder_names_the_url(command, name, depmm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = depmm(*command)
    assert result.code == 2
    assert f"for {name}:" in result.err
    assert next(word for word in command if "://" in str(word)) in result.err
    assert not list(tmp_path.iterdir())


def test_settings_and_manifests_are_local(corpus):
    for setting in ("out", "data.manifest"):
        with pytest.raises(ConfigError) as info:
            load_config(corpus.config, [f"{setting}=s3://bucket/folder"])
        assert (info.value.setting, info.value.value) == (setting, "s3://bucket/folder")
    for call in (read_manifest, lambda url: write_manifest(corpus.manifest, url)):
        with pytest.raises(ManifestError) as error:
            call("s3://bucket/manifest")
        assert error.value.file == "s3://bucket/manifest"


def test_an_error_keeps_the_slashes_of_a_url():
    assert StoreError("damaged", file="s3://bucket/store").file == "s3://bucket/store"


@pytest.mark.parametrize("path", ["c:/data", "data/s3:/x", "runs", "/tmp/a:b"])
def test_local_paths_are_no_urls(path, tmp_path):
    refuse_url(type(tmp_path)(path), "out")
