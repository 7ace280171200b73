"""Sampling of simulated participants, and the shared checks of arguments."""

from collections import Counter

import numpy as np
import pytest

from depmm.simulation.participants import (
    BDI_II,
    Scale,
    SimulationError,
    check_arguments,
    run_jobs,
    sample_traits,
)


@pytest.mark.parametrize("diagnosis", ["healthy", "depressed"])
@pytest.mark.parametrize("scale", [BDI_II, Scale(0, 10, 24)])
def test_scores_agree_with_the_diagnosis(diagnosis: str, scale: Scale) -> None:
    traits = sample_traits(np.random.default_rng(0), diagnosis, 200, scale)
    scores = {one.score for one in traits}
    assert {one.diagnosis for one in traits} == {diagnosis}
    assert scale.lowest <= min(scores) < max(scores) <= scale.highest
    assert {score >= scale.cut_off for score in scores} == {diagnosis == "depressed"}
    assert 18 <= min(one.age for one in traits) < max(one.age for one in traits) <= 65


@pytest.mark.parametrize("size", [1, 2, 3, 10, 11])
def test_genders_are_balanced_and_every_split_is_used(size: int) -> None:
    traits = sample_traits(np.random.default_rng(0), "depressed", size)
    genders = Counter(one.gender for one in traits)
    assert genders["female"] - genders["male"] == size % 2
    assert len({one.split for one in traits}) == min(size, 3)


@pytest.mark.parametrize(
    ("name", "value"), [("subjects", 1), ("steps", 2), ("seed", -1), ("workers", 0)]
)
def test_whole_numbers_out_of_range_are_errors(name: str, value: int) -> None:
    lowest = {"subjects": 2, "steps": 3, "seed": 0, "workers": 1}
    check_arguments({name: (None, lowest[name])}, effect=0.0)
    check_arguments({name: (lowest[name], lowest[name])}, effect=0.0)
    with pytest.raises(SimulationError) as info:
        check_arguments({name: (value, lowest[name])}, effect=0.0)
    assert (info.value.setting, info.value.value) == (name, value)


@pytest.mark.parametrize("effect", [float("nan"), float("inf"), -1.0])
def test_effects_out_of_range_are_errors(effect: float) -> None:
    with pytest.raises(SimulationError) as info:
        check_arguments({}, effect)
    assert info.value.setting == "effect"


def test_results_keep_the_order_of_the_jobs() -> None:
    assert run_jobs(abs, [-3, 2, -1], 1) == run_jobs(abs, [-3, 2, -1], 2) == [3, 2, 1]
