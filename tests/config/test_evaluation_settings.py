"""Candidates of a tuning: the product of its grid."""

from depmm.config import TuningConfig


def test_candidates_are_listed_in_order_and_the_last_setting_changes_fastest():
    tuning = TuningConfig(
        metric="auroc", grid={"classical.n_mfcc": [2, 8], "classical.C": [0.1, 10.0]}
    )
    assert tuning.candidates == [
        {"classical.n_mfcc": n_mfcc, "classical.C": strength}
        for n_mfcc in (2, 8)
        for strength in (0.1, 10.0)
    ]
