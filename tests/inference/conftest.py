"""Trained runs and recordings for the tests of inference."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from trained_runs import AUDIO, train_tiny

from depmm.inference import Predictor
from depmm.inference.step_table import STEP_COLUMNS


@pytest.fixture(scope="session")
def run_folder(corpus, tmp_path_factory) -> Path:
    """A run with both modalities."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        return train_tiny(corpus, tmp_path_factory.mktemp("runs") / "both")


@pytest.fixture(scope="session")
def cross_validation_folder(corpus, tmp_path_factory) -> Path:
    """A cross-validation of two folds with the audio modality."""
    folder = tmp_path_factory.mktemp("runs") / "folds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        for fold in (0, 1):
            split = f"split={{kind: k_fold, folds: 2, validation: 0.4, fold: {fold}}}"
            train_tiny(corpus, folder / f"seed-0-fold-{fold}", *AUDIO, split)
    return folder


@pytest.fixture(scope="session")
def predictor(run_folder) -> Predictor:
    return Predictor(run_folder)


@pytest.fixture(scope="session")
def audio_predictor(cross_validation_folder) -> Predictor:
    return Predictor(cross_validation_folder)


@pytest.fixture
def recording(corpus, tmp_path) -> Callable[[str], tuple[Path, Path]]:
    """Return the recording of a session and write its steps as a table."""

    def write(session: str) -> tuple[Path, Path]:
        steps: pd.DataFrame = corpus.manifest.steps
        rows = steps[steps["session"] == session]
        rows[list(STEP_COLUMNS)].to_csv(tmp_path / f"{session}.csv", index=False)
        return corpus.recordings / rows["face"].iloc[0], tmp_path / f"{session}.csv"

    return write


@pytest.fixture
def temporary_files(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files, empty before a test."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"
