"""A run that trains on single steps."""

import pandas as pd
import pytest
from trained_runs import AUDIO, read_history, train_run

from depmm.config import ConfigError, load_config


def test_sessions_are_predicted_from_all_of_their_steps(corpus, tmp_path):
    settings = ["training.unit=step", "training.batch_size=7", "training.weight_decay=0.0"]
    run = train_run(corpus, tmp_path / "run", *AUDIO, *settings, "training.epochs=3")
    losses = read_history(run)["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    table = pd.read_parquet(run.predictions)
    assert table["session"].tolist() == corpus.manifest.sessions["session"].tolist()


def test_a_fusion_that_relates_steps_is_refused(corpus):
    with pytest.raises(ConfigError) as info:
        load_config(corpus.config, ["training.unit=step"])
    assert info.value.setting == "training.unit"
