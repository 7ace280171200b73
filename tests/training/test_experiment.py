"""Experiments: the public function ``train``, and devices."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from trained_runs import AUDIO

import depmm
from depmm.config import ConfigError, load_config
from depmm.training.experiment import build_accelerator


@pytest.mark.parametrize("kind", ["path", "text", "config"])
def test_a_config_is_given_as_path_text_or_object(corpus, tmp_path, kind):
    overrides = [*AUDIO, "training.epochs=1", f"out={tmp_path}"]
    config = {"path": corpus.config, "text": str(corpus.config)}.get(kind)
    run = depmm.train(config or load_config(corpus.config, AUDIO), overrides)
    assert run == tmp_path / "tiny"
    assert len(pd.read_parquet(run / "predictions.parquet")) == 12


def test_overrides_of_an_object_are_checked(corpus):
    with pytest.raises(ConfigError) as info:
        depmm.train(load_config(corpus.config), ["training.epoch=1"])
    assert info.value.setting == "training.epoch"


def test_train_refuses_a_classical_baseline(tmp_path):
    with pytest.raises(ConfigError) as info:
        depmm.train("classical_svm", [f"out={tmp_path}"])
    assert info.value.setting == "classical"
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.usefixtures("new_accelerator_state")
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes in fp16")
def test_a_precision_that_the_device_does_not_support_is_refused(corpus):
    with pytest.raises(ConfigError) as info:
        build_accelerator(load_config(corpus.config, ["training.mixed_precision=fp16"]))
    assert (info.value.setting, info.value.value) == ("training.mixed_precision", "fp16")
