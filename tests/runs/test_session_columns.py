"""Columns of a unit come from the manifest of a run where its predictions do not have them."""

from dataclasses import replace

import pandas as pd
import pytest

from depmm.config import load_config
from depmm.evaluation.prediction_checks import PredictionTableError
from depmm.files.checksums import write_table
from depmm.runs.contents import RunContents
from depmm.runs.session_columns import add_unit_columns


@pytest.fixture
def run(tmp_path) -> RunContents:
    keys = {"corpus": "c", "subject": ["1", "1", "2"], "session": ["a", "b", "a"]}
    sessions = pd.DataFrame({**keys, "emotion": ["sad", "happy", "sad"], "age": 30.0})
    (tmp_path / "manifest").mkdir()
    write_table(tmp_path / "manifest" / "sessions.parquet", sessions)
    predictions = pd.DataFrame({**keys, "y_prob": 0.5}).iloc[[1, 0, 2]]
    config = load_config("demo", [f"data.manifest={tmp_path / 'manifest'}"])
    return RunContents(tmp_path, "run", predictions, config=config)


def test_columns_are_joined_by_session(run):
    added = add_unit_columns(run, "subject,emotion")
    assert added["emotion"].tolist() == ["happy", "sad", "sad"]
    assert list(added) == [*run.predictions, "emotion"]
    for unit in ("session", "subject", "subject,emotoin"):
        assert list(add_unit_columns(run, unit)) == list(run.predictions)
    assert "emotion" not in add_unit_columns(replace(run, config=None), "subject,emotion")


def test_a_missing_manifest_is_named(run, tmp_path):
    (tmp_path / "manifest" / "sessions.parquet").unlink()
    with pytest.raises(PredictionTableError) as info:
        add_unit_columns(run, "subject,emotion")
    assert (info.value.column, info.value.setting) == ("emotion", "unit")
    assert info.value.file == tmp_path / "manifest" / "sessions.parquet"
