"""The paired permutation test against its definition, and its size by simulation."""

from itertools import product

import numpy as np
import pytest

from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.paired_tests import PermutationResult, paired_permutation_test
from depmm.evaluation.stats.weighted_sums import unit_weights


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_permutation_by_hand():
    # the runs differ on 4 subjects and a is right on all 4: |difference| is as large in 2 of 16
    y, a, b = [1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 1]
    result = paired_permutation_test("accuracy", y, a, b, np.arange(5))
    # no difference is rejected with 4 exchanges, so that the interval has the largest one
    assert result == PermutationResult(
        pytest.approx(0.8), pytest.approx(2 / 16), True, pytest.approx(0.8), 4
    )
    # as sessions of two subjects they are exchanged together: nothing but the sign can change
    result = paired_permutation_test("accuracy", y, a, b, [0, 0, 1, 1, 1])
    assert result.p == pytest.approx(2 / 4)
    assert paired_permutation_test("accuracy", y, a, a, np.arange(5)).p == 1


def test_exact_permutations_equal_their_definition(rng):
    y, subject = np.tile([0, 1], 6), np.repeat(np.arange(6), 2)
    # midranks of each run are exchanged, because AUROC depends on nothing else
    a, b = rng.permutation(12) + 1.0, rng.permutation(12) + 1.0
    one = unit_weights(12)

    def difference(swap):
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        return (auroc(y, first, one) - auroc(y, second, one))[0]

    values = [difference(np.array(swap)[subject]) for swap in product([False, True], repeat=6)]
    result = paired_permutation_test("auroc", y, a, b, subject)
    assert result.difference == pytest.approx(values[0])
    assert result.p == pytest.approx(np.mean(np.abs(values) >= abs(values[0]) - 1e-12))
    drawn = paired_permutation_test("auroc", y, a, b, subject, n_permutations=63)
    assert not drawn.exact
    assert drawn.p == pytest.approx(result.p, abs=0.25)
    # a second seed with the same predictions and the order of the runs have no effect
    twice = paired_permutation_test("auroc", y, [a, a], [b, b], subject)
    assert twice.p == pytest.approx(result.p)
    assert paired_permutation_test("auroc", y, b, a, subject).p == pytest.approx(result.p)


def test_permutation_test_of_an_undefined_metric_is_undefined():
    result = paired_permutation_test(
        "auroc", [1, 1, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0, 1, 2]
    )
    assert np.isnan(result.p)
    with pytest.raises(ValueError, match="same order"):
        paired_permutation_test("auroc", [1, 0], [0.1, 0.2], [0.1, 0.2, 0.3], [0, 1])


@pytest.mark.parametrize("name", ["auroc", "auprc", "spearman", "pearson", "brier", "mae"])
def test_a_metric_of_ranks_is_tested_on_ranks(name, rng):
    y = np.arange(40) % 2
    a, b = rng.random((2, 40)) * 0.5 + 0.2 * y
    plain = paired_permutation_test(name, y, a, b, np.arange(40), n_permutations=199)
    shifted = paired_permutation_test(name, y, a / 4 + 0.7, b, np.arange(40), n_permutations=199)
    bent = paired_permutation_test(name, y, a**5, b, np.arange(40), n_permutations=199)
    assert (shifted.p == plain.p) == (name not in ("brier", "mae"))
    assert (bent.p == plain.p) == (name in ("auroc", "auprc", "spearman"))


@pytest.mark.parametrize("n_permutations", [255, 600])
def test_the_interval_excludes_0_if_the_test_rejects(n_permutations, rng):
    outcomes = set()
    for _ in range(60):
        y = rng.normal(size=8)
        a, b = y + 0.3 * rng.normal(size=8), y + rng.normal(size=8)
        result = paired_permutation_test(
            "mae", y, a, b, np.arange(8), n_permutations=n_permutations
        )
        assert (abs(result.difference) > result.half_width + 1e-9) == (result.p <= 0.05)
        outcomes.add(result.p <= 0.05)
    assert outcomes == {False, True}


STUDIES = 600  # the standard error of a share of .05 is .009


def equal_runs(rng, subjects, sessions=1):
    """Two equally good runs whose errors are correlated within subjects and between runs."""
    y, subject = (
        np.repeat(np.arange(subjects) % 2, sessions),
        np.repeat(np.arange(subjects), sessions),
    )
    shared = rng.normal(size=subjects)[subject]
    specific = rng.normal(size=(2, subjects))[:, subject]
    a, b = y + 0.7 * shared + 0.7 * specific + 0.3 * rng.normal(size=(2, len(y)))
    return y, a, b, subject


def share_below(p, alpha=0.05):
    return float(np.mean(np.array(p) <= alpha))


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "least"), [("auroc", 0.03), ("balanced_accuracy", 0.01)])
def test_permutation_keeps_its_size(metric, least):
    """Balanced accuracy takes few values, so that its test is conservative."""
    rng = np.random.default_rng(2)
    p = []
    for study in range(STUDIES):
        y, a, b, subject = equal_runs(rng, 24, sessions=2)
        if metric == "balanced_accuracy":
            a, b = a > 0.5, b > 0.5
        p.append(
            paired_permutation_test(metric, y, a, b, subject, n_permutations=199, seed=study).p
        )
    assert least <= share_below(p) <= 0.07
