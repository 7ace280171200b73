"""Runs whose data, or which themselves, were moved."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from trained_runs import AUDIO, train_tiny

from depmm.config import ConfigError, load_config
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.experiment_data import load_experiment_data
from depmm.inference.trained_run import read_trained_run
from depmm.interpret.attribution.explain import explain
from depmm.runs.folder import RunError
from depmm.runs.moved import check_locations, split_locations
from depmm.store.errors import StoreError


@pytest.fixture(scope="module")
def moved(corpus, tmp_path_factory) -> tuple[Path, list[str]]:
    """Run, manifest and store in other places than at the training, and the overrides."""
    folder = tmp_path_factory.mktemp("moved")
    for name, source in (("manifest", corpus.folder), ("store", corpus.store)):
        shutil.copytree(source, folder / name)
    places = [f"data.{name}={folder / name}" for name in ("manifest", "store")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        train_tiny(corpus, folder / "run", *AUDIO, *places)
    for name in ("run", "manifest", "store"):
        (folder / name).rename(folder / f"new {name}")
    return folder / "new run", [f"data.{n}={folder / f'new {n}'}" for n in ("manifest", "store")]


def test_a_moved_run_is_explained_with_the_new_places(moved, depmm):
    run, places = moved
    code, _, err = depmm("explain", run)
    assert code == 2
    assert "data.manifest=FOLDER" in err
    code, _, err = depmm("explain", run, *places)
    assert code == 0, err
    assert len(pd.read_parquet(run / "attributions.parquet"))


def test_a_manifest_with_other_columns_is_named(moved, tmp_path, depmm, caplog):
    run, places = moved
    manifest, changed = read_manifest(Path(places[0].partition("=")[2])), tmp_path / "changed"
    write_manifest(replace(manifest, sessions=manifest.sessions.assign(age=30.0)), changed)
    for command in (["explain", run], ["probe", run, "--nuisance", "gender", "--split", "test"]):
        for manifest_of_now, n_warnings in ((places[0], 0), (f"data.manifest={changed}", 1)):
            caplog.clear()
            depmm(*command, manifest_of_now, places[1])
            assert caplog.text.count("has changed since the training") == n_warnings


def test_a_run_without_facts_is_measured_from_its_data(moved, tmp_path):
    run, places = moved
    early = shutil.copytree(run, tmp_path / "early")
    (early / "inference.json").unlink()
    with pytest.raises(RunError) as info:
        read_trained_run(early)
    assert info.value.setting == "data.manifest"
    assert read_trained_run(early, overrides=places).facts == read_trained_run(run).facts


def test_only_places_can_be_overridden(moved, tmp_path):
    run, _ = moved
    with pytest.raises(ConfigError) as info:
        explain(run, overrides=["data.max_audio_s=9"])
    assert info.value.setting == "data.max_audio_s"
    assert check_locations(None) == []
    odd = tmp_path / "data.x=1"
    odd.touch()
    files, places = split_locations([odd, Path("a.wav"), Path("data.store=b")])
    assert (files, places) == ([odd, Path("a.wav")], ["data.store=b"])


def test_a_store_with_other_settings_names_the_difference(corpus):
    overrides = ["extract.face.frames_per_second=8", "extract.audio.silence_db=-30"]
    with pytest.raises(StoreError) as info:
        load_experiment_data(load_config(corpus.config, overrides))
    text = str(info.value)
    assert info.value.setting in ("extract.face.frames_per_second", "extract.audio.silence_db")
    assert "extract.face.frames_per_second 5 in the store, 8 in the config" in text
    assert str(corpus.store) in text


def test_an_early_value_of_cross_attention_has_a_remedy(corpus, tmp_path):
    values = yaml.safe_load(corpus.config.read_text())
    values["model"]["fusion"]["cross_attention"] = "face_query"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as info:
        load_config(tmp_path / "config.yaml")
    assert info.value.setting == "model.fusion.cross_attention"
    assert "[face, audio]" in info.value.remedy
