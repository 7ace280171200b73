"""Random numbers for the tests of the evaluation."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a random generator with a fixed seed."""
    return np.random.default_rng(7)
