"""Targets of sessions, and sessions without one."""

import pandas as pd
import pytest
from session_data import tiny_config

from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.data.targets import labelled_sessions


def test_sessions_without_a_target_are_counted(corpus):
    config = tiny_config(corpus, "target={column: gender, positive: [female], negative: [male]}")
    sessions = corpus.manifest.sessions.copy()
    sessions.loc[:2, "gender"] = None
    labelled, excluded = labelled_sessions(sessions, config.target, corpus.folder)
    assert (len(labelled), excluded) == (
        9,
        {"gender is missing or in neither target.positive nor target.negative": 3},
    )
    assert labelled["target"].tolist() == (sessions["gender"][3:] == "female").tolist()
    sessions.loc[:4, "label"] = pd.NA
    labelled, excluded = labelled_sessions(sessions, tiny_config(corpus).target, corpus.folder)
    assert (len(labelled), excluded) == (7, {"label is missing": 5})


def test_a_column_without_any_value_is_an_error(corpus, tmp_path):
    manifest = read_manifest(corpus.folder)
    manifest.sessions["label"] = pd.Series(pd.NA, manifest.sessions.index, dtype="Int8")
    write_manifest(manifest, tmp_path)
    with pytest.raises(DataError) as info:
        load_experiment_data(tiny_config(corpus, f"data.manifest={tmp_path}"))
    assert (info.value.setting, info.value.column) == ("target.column", "label")
