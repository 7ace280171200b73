"""Fixtures of the tests of training."""

import logging
from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of depmm, from level INFO on."""
    caplog.set_level(logging.INFO, logger="depmm")
    return caplog


@pytest.fixture
def new_accelerator_state() -> Iterator[None]:
    """A new state of the accelerator for another precision: a process has one, and keeps it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
