"""Cross-validation: folds and seeds are trained once each, pooled, and resumed."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from trained_runs import AUDIO

import depmm
from depmm.config import ClassicalConfig, ConfigError, ExtractConfig, load_experiment
from depmm.runs.folder import RunError
from depmm.store.extract import extract

TWO_FOLDS = "split={kind: k_fold, folds: 2, validation: 0.4}"
CLASSICAL = [
    "data.modalities=[audio]",
    "model=null",
    "training=null",
    "classical={model: {kind: svm}, n_mfcc: 8, n_mels: 16}",
]


def test_every_subject_is_tested_once_per_seed_and_finished_folds_are_kept(corpus, tmp_path, log):
    overrides = [*AUDIO, "training.epochs=1", TWO_FOLDS, f"out={tmp_path}"]
    pooled = depmm.cross_validate(corpus.config, overrides, seeds=(0, 1))
    assert pooled == tmp_path / "tiny"
    assert sum(line.endswith("process on cpu") for line in log.messages) == 1
    assert sum(line.startswith("the model reads") for line in log.messages) == 1
    assert sum(line.startswith("test: ") for line in log.messages) == 4
    before = pd.read_parquet(pooled / "predictions.parquet")
    test = before[before["split"] == "test"]
    assert test.groupby("seed")["session"].nunique().tolist() == [12, 12]
    assert not test.duplicated(["seed", "session"]).any()
    assert set(before["fold"]) == {0, 1}
    history = pd.read_parquet(pooled / "history.parquet")
    assert history[["seed", "fold"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]

    shutil.rmtree(pooled / "seed-0-fold-1")
    models = [pooled / f"seed-{seed}-fold-0" / "model.safetensors" for seed in (0, 1)]
    times = [path.stat().st_mtime_ns for path in models]
    log.clear()
    depmm.cross_validate(corpus.config, overrides, seeds=(0, 1))
    assert sum(line.endswith("already finished") for line in log.messages) == 3
    assert [path.stat().st_mtime_ns for path in models] == times
    again = pd.read_parquet(pooled / "predictions.parquet")
    pd.testing.assert_frame_equal(again, before, atol=1e-5)  # one fold was trained again
    assert not [record for record in log.records if record.levelname == "WARNING"]
    depmm.cross_validate(corpus.config, overrides, seeds=(1,))
    assert set(pd.read_parquet(pooled / "predictions.parquet")["seed"]) == {1}
    [warning] = [record for record in log.records if record.levelname == "WARNING"]
    assert warning.args == (pooled, "0", "0,1")  # seed 0 is not pooled


@pytest.mark.parametrize(
    ("seeds", "setting"),
    [((), "seeds"), ((0, 1, 0), "seeds"), ((0, -1), "seed"), ((2**32,), "seed")],
)
def test_seeds_that_cannot_be_used_are_refused_before_the_first_training(
    corpus, tmp_path, seeds, setting
):
    with pytest.raises(ConfigError) as info:
        depmm.cross_validate(corpus.config, [*CLASSICAL, f"out={tmp_path}"], seeds=seeds)
    assert info.value.setting == setting
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [CLASSICAL, [*AUDIO, "training.epochs=1"]])
def test_folds_before_and_after_a_continued_extraction_are_not_pooled(corpus, tmp_path, settings):
    def extract_first(n_subjects: int) -> None:
        sessions, steps = corpus.manifest.sessions, corpus.manifest.steps
        chosen = sorted(sessions["subject"])[:n_subjects]
        manifest = replace(
            corpus.manifest,
            sessions=sessions[sessions["subject"].isin(chosen)],
            steps=steps[steps["subject"].isin(chosen)],
        )
        extract(manifest, corpus.recordings, tmp_path / "store", ExtractConfig(), workers=0)

    overrides = [*settings, TWO_FOLDS, f"out={tmp_path}", f"data.store={tmp_path / 'store'}"]
    extract_first(10)
    run = depmm.cross_validate(corpus.config, overrides)
    split = run / "seed-0-fold-0" / "split.csv"
    before = split.read_bytes()
    shutil.rmtree(run / "seed-0-fold-1")  # as if interrupted after the first fold
    extract_first(12)
    with pytest.raises(RunError) as info:
        depmm.cross_validate(corpus.config, overrides)
    assert info.value.file == split
    assert split.read_bytes() == before
    assert not (run / "seed-0-fold-1").exists()


@pytest.mark.parametrize("kind", ["path", "config"])
def test_a_classical_baseline_is_cross_validated(corpus, tmp_path, kind):
    overrides = [*CLASSICAL, TWO_FOLDS, f"out={tmp_path}"]
    if kind == "path":
        run = depmm.cross_validate(corpus.config, overrides)
    else:
        config = load_experiment(corpus.config, overrides)
        assert isinstance(config, ClassicalConfig)
        run = depmm.cross_validate(config)
    test = pd.read_parquet(run / "predictions.parquet").query("split == 'test'")
    assert sorted(test["subject"]) == sorted(corpus.manifest.sessions["subject"])
    assert not (run / "history.parquet").exists()
