"""Targets of sessions, and sessions without one."""

import pandas as pd
import pytest
from session_data import tiny_config

from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.data.targets import labelled_sessions, scale_target, stratification_classes


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


def test_levels_are_named_after_their_instrument(corpus):
    target = tiny_config(corpus, "target={kind: levels, column: score}").target
    sessions = corpus.manifest.sessions.head(4).assign(
        target=[0.0, 14.0, 20.0, 63.0], instrument="BDI-II"
    )
    levels, score_range = scale_target(sessions, target)
    assert levels["target"].tolist() == [0, 1, 2, 3]
    assert score_range == (0.0, 3.0)
    assert set(levels["instrument"]) == {"BDI-II level"}


def test_a_score_outside_of_the_range_is_an_error(corpus):
    target = tiny_config(corpus, "target={kind: severity, column: score}").target
    sessions = corpus.manifest.sessions.head(2).assign(target=[5.0, 64.0], instrument="BDI-II")
    with pytest.raises(DataError) as info:
        scale_target(sessions, target)
    assert (info.value.setting, info.value.value) == ("target.range", 64.0)
    assert info.value.session == sessions["session"].iloc[1]


@pytest.mark.parametrize("column", ["label", "age"])
def test_only_the_score_has_the_range_and_the_levels_of_the_instrument(corpus, column):
    sessions = corpus.manifest.sessions.head(2).assign(target=[0.0, 1.0], instrument="BDI-II")
    target = tiny_config(corpus, f"target={{kind: severity, column: {column}}}").target
    with pytest.raises(DataError) as info:
        scale_target(sessions, target)
    assert (info.value.setting, info.value.value) == ("target.range", column)
    ranged = target.model_copy(update={"range": [0.0, 99.0]})
    scaled, score_range = scale_target(sessions, ranged)
    assert score_range == (0.0, 99.0)
    assert set(scaled["instrument"]) == {column}


def test_folds_are_stratified_by_class_or_by_the_median_score(corpus):
    sessions = corpus.manifest.sessions.head(4).assign(target=[0.0, 1.0, 1.0, 0.0])
    binary = stratification_classes(sessions, tiny_config(corpus).target)
    assert binary.tolist() == [0, 1, 1, 0]
    severity = tiny_config(corpus, "target={kind: severity, column: score}").target
    scores = sessions.assign(target=[3.0, 20.0, 9.0, 30.0])
    assert stratification_classes(scores, severity).tolist() == [0, 1, 0, 1]
