"""Sessions at each stage, from the corpus to the run."""

from dataclasses import replace

import pandas as pd
import pytest
from trained_runs import AUDIO

from depmm.config import load_config
from depmm.data.data_flow import _recorded_sessions, measure_data_flow
from depmm.data.experiment_data import load_experiment_data


def test_losses_are_counted_with_their_reasons(corpus, tmp_path, monkeypatch):
    # the store has the sound that the manifest no longer names
    monkeypatch.setattr("depmm.data.experiment_data.check_stored_steps", lambda *tables: None)
    sessions, steps = corpus.manifest.sessions.copy(), corpus.manifest.steps.copy()
    sessions["label"] = sessions["label"].astype("Int64")
    sessions.loc[0, "label"] = pd.NA
    names = sessions["subject"].tolist()
    steps.loc[steps["subject"] == names[1], "audio"] = None
    (tmp_path / "manifest").mkdir()
    sessions.to_parquet(tmp_path / "manifest" / "sessions.parquet")
    steps.to_parquet(tmp_path / "manifest" / "steps.parquet")
    settings = [*AUDIO, f"data.manifest={tmp_path / 'manifest'}"]
    config = load_config(corpus.config, settings)
    flow = measure_data_flow(config, load_experiment_data(config))
    stages = {stage.name: stage for stage in flow.stages}
    assert stages["found"].sessions == len(sessions)
    assert stages["labelled"].lost == {"label is missing": 1}
    assert stages["recorded"].lost == {"no file of audio": 1}
    assert stages["recorded"].sessions == len(sessions) - 2
    assert stages["extracted"].lost == {}
    assert stages["recorded"].positive_sessions == int(sessions["label"][2:].sum())
    assert flow.not_indexed is None
    assert [(c.label, c.missing) for c in flow.modalities] == [(0, 0), (1, 0)]
    assert sum(c.sessions for c in flow.modalities) == len(sessions) - 1


@pytest.mark.parametrize(("stream", "track"), [("head_pose", "face"), ("voice", "audio")])
def test_a_derived_stream_is_recorded_where_its_track_is(corpus, stream, track):
    settings = [*AUDIO, f"data.features={{audio: {stream}}}", "model.encoders.audio=null",
                "model.encoders.audio={kind: feature_cnn, features: 6}"]  # fmt: skip
    config = load_config(corpus.config, settings)
    steps = corpus.manifest.steps.copy()
    missing = steps["subject"] == steps["subject"].iloc[0]
    steps.loc[missing, track] = None
    recorded = _recorded_sessions(replace(corpus.manifest, steps=steps), config)
    assert len(recorded) == corpus.manifest.sessions.shape[0] - 1
