"""Finished and evaluated runs for the tests of exports."""

from pathlib import Path

import pandas as pd
import pytest
from speech_sources import write_source
from trained_runs import AUDIO, train_tiny

from depmm.reporting import evaluate


@pytest.fixture(scope="session")
def evaluated_run(corpus, tmp_path_factory) -> Path:
    """A network on a pre-trained encoder with low-rank updates, with a report."""
    base = tmp_path_factory.mktemp("sharing")
    source = write_source(base / "hubert-tiny")
    encoder = f"{{kind: speech_transformer, source: {source}, embed_dim: 8, adaptation: lora}}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        run = train_tiny(
            corpus, base / "runs" / "lora", *AUDIO, f"model.encoders.audio={encoder}", "name=lora"
        )
    evaluate(run)
    return run


@pytest.fixture(scope="session")
def evaluated_folds(corpus, tmp_path_factory) -> Path:
    """A cross-validation of two folds, with a report."""
    run = tmp_path_factory.mktemp("sharing_folds") / "folds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        for fold in (0, 1):
            split = f"split={{kind: k_fold, folds: 2, validation: 0.4, fold: {fold}}}"
            train_tiny(corpus, run / f"seed-0-fold-{fold}", *AUDIO, split)
    tables = [pd.read_parquet(path) for path in sorted(run.glob("*/predictions.parquet"))]
    pd.concat(tables, ignore_index=True).to_parquet(run / "predictions.parquet")
    config = (run / "seed-0-fold-0" / "config.yaml").read_bytes()
    (run / "config.yaml").write_bytes(config)
    evaluate(run)
    return run
