"""The folder of a run: created once, with its config, environment and audit."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from depmm.config import ConfigError, load_config, load_experiment
from depmm.corpora.manifest import write_manifest
from depmm.runs.contents import read_run
from depmm.runs.folder import RunError, RunFolder, find_model_folders, list_model_folders


def test_a_new_run_contains_config_environment_and_state_of_the_audit(corpus, tmp_path):
    run = RunFolder(tmp_path / "run")
    config = load_config(corpus.config)
    run.open(config)
    assert load_experiment(run.config) == config
    environment = json.loads(run.environment.read_text())
    assert environment["audit"].startswith("missing")
    assert not run.audit.exists()
    assert not run.finished


def test_a_run_of_another_config_is_refused(corpus, tmp_path):
    run = RunFolder(tmp_path)
    run.open(load_config(corpus.config))
    before = run.config.read_bytes()
    run.open(load_config(corpus.config))
    with pytest.raises(ConfigError) as info:
        run.open(load_config(corpus.config, ["seed=1"]))
    assert (info.value.setting, info.value.file) == ("name", run.config)
    assert run.config.read_bytes() == before


def test_a_setting_that_is_not_in_the_config_of_a_run_has_its_default(corpus, tmp_path):
    run = RunFolder(tmp_path)
    run.open(load_config(corpus.config))
    values = yaml.safe_load(run.config.read_text())
    del values["training"]["monitor"]
    run.config.with_name("SHA256SUMS").unlink()  # changed on purpose
    run.config.write_text(yaml.safe_dump(values))
    run.open(load_config(corpus.config))
    with pytest.raises(ConfigError):
        run.open(load_config(corpus.config, ["training.monitor=auroc"]))


def test_models_are_those_of_the_run_or_of_its_folds(tmp_path):
    assert list_model_folders(tmp_path) == []
    with pytest.raises(RunError) as info:
        find_model_folders(tmp_path)
    assert info.value.file == tmp_path
    for name in ("seed-1-fold-0", "seed-0-fold-1", "seed-0-fold-0", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    (tmp_path / "seed-0-fold-2").mkdir()  # not finished
    names = [folder.path.name for folder in find_model_folders(tmp_path)]
    assert names == ["seed-0-fold-0", "seed-0-fold-1", "seed-1-fold-0"]
    (tmp_path / "model.safetensors").touch()
    assert find_model_folders(tmp_path)[0].path == tmp_path


def test_a_run_is_not_continued_with_another_manifest(corpus, tmp_path):
    override = f"data.manifest={tmp_path / 'manifest'}"
    config = load_config(corpus.config, [override])
    write_manifest(corpus.manifest, tmp_path / "manifest")
    run = RunFolder(tmp_path / "run")
    run.open(config)
    run.open(config)
    sessions = corpus.manifest.sessions
    sessions = sessions.assign(label=1 - sessions["label"])
    write_manifest(replace(corpus.manifest, sessions=sessions), tmp_path / "manifest")
    with pytest.raises(RunError, match="has changed since this run was begun") as info:
        run.open(config)
    assert info.value.file == tmp_path / "manifest"


def test_an_interrupted_run_is_not_continued_with_another_split(tmp_path):
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    run.last_checkpoint.touch()
    names = ["train", "validation", "test"]
    split = pd.DataFrame({"corpus": "a", "subject": ["1", "2", "3"], "split": names})
    run.write_split(split)
    run.write_split(split)
    with pytest.raises(RunError) as info:
        run.write_split(split.assign(split=names[::-1]))
    assert info.value.file == run.split


def test_a_folder_belongs_to_one_command(tmp_path):
    marks = {
        "train": "split.csv", "cross-validate": "seed-0-fold-0",
        "cross-corpus": "manifests/train-a", "combine": "combination.json",
    }  # fmt: skip
    for owner, mark in marks.items():
        run = RunFolder(tmp_path / owner)
        run.check_command("train")  # does not exist yet
        (run.path / mark).mkdir(parents=True)
        for command in ("train", "cross-validate", "cross-corpus"):
            if command == owner:
                run.check_command(command)
                continue
            with pytest.raises(ConfigError) as info:
                run.check_command(command)
            assert (info.value.setting, info.value.value) == ("name", owner)


def test_the_folder_of_an_experiment_across_corpora_names_its_runs(tmp_path):
    (tmp_path / "manifests" / "train-eatd").mkdir(parents=True)
    for read in (find_model_folders, read_run):
        with pytest.raises(RunError) as info:
            read(tmp_path)
        assert str(tmp_path / "train-eatd") in info.value.remedy
