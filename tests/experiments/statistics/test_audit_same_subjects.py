"""The check for the same subjects in two corpora: small versions."""

from experiments.benchmarks.statistics.audit_same_subjects import asks


def test_different_subjects_with_running_numbers_are_not_asked_about():
    n_asked = sum(asks(seed, n_subjects=(12, 30, 60)[seed % 3]) for seed in range(50))
    assert n_asked == 0


def test_the_same_subjects_are_asked_about():
    assert sum(asks(seed, n_subjects=30, same=0.7) for seed in range(20)) >= 18
