"""Assignment of subjects to folds and samples, evenly over strata."""

from collections import Counter

from depmm.corpora.stratified_assignment import assign_folds, sample_evenly

STRATA = {("toy", f"{k:02}"): (str(k % 2), "fm"[k % 3 == 0]) for k in range(20)}


def test_every_subject_is_in_one_fold_and_strata_are_even():
    folds = assign_folds(STRATA, 3, (0,))
    assert sorted(subject for fold in folds for subject in fold) == sorted(STRATA)
    for depth in range(3):
        counts = [Counter(STRATA[subject][:depth] for subject in fold) for fold in folds]
        for values in set().union(*counts):
            sizes = [count[values] for count in counts]
            assert max(sizes) - min(sizes) <= 1


def test_the_assignment_depends_on_the_salt_and_not_on_the_order():
    reversed_strata = dict(reversed(STRATA.items()))
    assert assign_folds(reversed_strata, 3, (0,)) == assign_folds(STRATA, 3, (0,))
    assert assign_folds(STRATA, 3, (1,)) != assign_folds(STRATA, 3, (0,))


def test_a_sample_contains_a_proportional_part_of_every_stratum():
    sample = sample_evenly(STRATA, 10, (0,))
    assert len(set(sample)) == 10
    counts = Counter(STRATA[subject][0] for subject in sample)
    assert counts == {"0": 5, "1": 5}
