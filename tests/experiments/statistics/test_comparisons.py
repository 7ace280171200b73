"""Size and power of the comparison of runs: a small version of comparisons.py."""

import pytest

from experiments.benchmarks.statistics import comparisons


@pytest.mark.slow
def test_equal_runs_are_not_told_apart():
    size = comparisons.size_of_permutation_test(400, 40, sessions=2, seed=11)
    assert max(size.values()) <= 0.08  # the standard error of a share of .05 is .011


@pytest.mark.slow
def test_interval_and_p_value_agree():
    size = comparisons.size_of_equal_runs(15, 20, sessions=2, seed=13)
    assert size["disagree"].max() == 0


@pytest.mark.slow
def test_a_shift_of_the_logits_costs_no_power():
    assert comparisons.power_of_shifted_run(20, shift=2.0) == pytest.approx(
        comparisons.power_of_shifted_run(20, shift=0.0)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "other"), [(3, None), (5, 1)])
def test_equal_procedures_are_not_told_apart(seeds, other):
    assert comparisons.size_of_equal_procedures(60, seeds, other_seeds=other, seed=12) <= 0.12


def test_pooling_lowers_the_auroc_of_leave_one_out():
    pooled, within, below, above = comparisons.auroc_of_noise(100, 40)
    assert pooled < 0.48
    assert within != within
    assert below > 0.08 > above


def test_intervals_of_pooled_folds_exclude_chance_too_often():
    _, within, below, above = comparisons.auroc_of_noise(100, 5)
    assert within == pytest.approx(0.5, abs=0.03)
    assert 0.08 < below + above < 0.25  # documented; .05 if the subjects were independent


@pytest.mark.slow
def test_differences_across_folds_are_found_too_often():
    # documented: .11 to .14 of studies, .05 for models that were trained on other subjects
    assert comparisons.size_across_folds(60, 16, 4) > 0.06
