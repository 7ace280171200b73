"""Statistics of the training sessions."""

from pathlib import Path

import pandas as pd
import pytest

from depmm.inference.training_reference import TrainingReference, measure_training_reference
from depmm.store.sessions import SessionStore


@pytest.fixture
def train(run_folder) -> pd.DataFrame:
    return pd.read_parquet(run_folder / "predictions.parquet").query("split == 'train'")


def test_the_manifest_gives_the_steps(corpus, train, predictor):
    steps = corpus.manifest.steps
    steps = steps[steps["session"].isin(train["session"])]
    reference = predictor.trained_run.reference
    assert reference.step_s == pytest.approx((steps["end_s"] - steps["start_s"]).median())
    assert (reference.min_steps, reference.aligned) == (4, True)
    assert reference.low_speech_s > 0


def test_a_store_without_a_manifest_gives_the_steps(corpus, train, predictor):
    run = predictor.trained_run
    store = SessionStore(corpus.store, run.config.extract)
    reference = measure_training_reference(train, Path("no manifest"), store)
    assert reference.step_s == pytest.approx(run.reference.step_s, rel=0.3)
    assert reference.low_speech_s == pytest.approx(run.reference.low_speech_s)


def test_without_manifest_and_store_nothing_is_known(train, predictor):
    store = SessionStore("no store", predictor.trained_run.config.extract)
    assert measure_training_reference(train, Path("no"), store) == TrainingReference()
