"""Fixtures of the tests of training."""

import logging
from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState
from interrupted_runs import LONG
from trained_runs import train_run

from depmm.runs.folder import RunFolder


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture the log of depmm at level INFO and above."""
    caplog.set_level(logging.INFO, logger="depmm")
    return caplog


@pytest.fixture
def new_accelerator_state() -> Iterator[None]:
    """Reset the state of Accelerate, which keeps its precision for the lifetime of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory) -> RunFolder:
    """Train a run without interruption."""
    return train_run(corpus, tmp_path_factory.mktemp("uninterrupted"), *LONG)
