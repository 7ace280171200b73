"""Sampling of values that a layout leaves open."""

import numpy as np

from depmm.simulation.layout_units import Participant, ValueSampler
from depmm.simulation.participants import Traits

VALUES = [str(k) for k in range(100)]


def test_a_field_keeps_its_value_within_a_session():
    sampler = ValueSampler(np.random.default_rng(0))
    first, second = (
        Participant(index, Traits("healthy", 3, "male", 30, "train"), 0, 3) for index in (1, 2)
    )
    value = sampler.sample_once(first, 0, "task", VALUES)
    assert sampler.sample_once(first, 0, "task", VALUES) == value
    others = {
        sampler.sample_once(first, 1, "task", VALUES),
        sampler.sample_once(second, 0, "task", VALUES),
        sampler.sample_once(first, 0, "room", VALUES),
    }
    assert len(others | {value}) > 2
