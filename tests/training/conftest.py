"""Fixtures of the tests of training."""

import logging

import pytest


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of depmm, from level INFO on."""
    caplog.set_level(logging.INFO, logger="depmm")
    return caplog
