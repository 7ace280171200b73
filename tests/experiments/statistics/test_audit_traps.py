"""The audit names planted traps, and is silent on clean corpora: small versions."""

import pytest

from experiments.benchmarks.statistics.audit_false_alarms import audit_clean_tables, count_alarms
from experiments.benchmarks.statistics.audit_traps import TRAPS, finds

FACE = {"face position", "face size"}  # need the face model
SLOW = {"resolution", "frame rate", "brightness"}  # more than 2 s each
ALIKE = {  # as another trap
    "copy with gain",
    "copy without 50 ms",
    "copy with noise",
    "copy, encoded again",
    "sample rate",
    "codec",
    "channels",
    "bit depth",
    "RMS level",
    "noise floor",
    "clipping",
    "leading silence",
    "suffix of file names",
    "site",
}


def test_names_of_traps_are_unique():
    assert len({trap.name for trap in TRAPS}) == len(TRAPS) >= 36


@pytest.mark.slow
@pytest.mark.parametrize(
    "trap", [t for t in TRAPS if t.name not in FACE | SLOW | ALIKE], ids=lambda trap: trap.name
)
def test_a_planted_trap_is_named(trap, tmp_path):
    found, findings = finds(trap, tmp_path)
    assert found, findings


@pytest.mark.slow
def test_clean_corpora_have_few_false_alarms():
    n_alarms, names = count_alarms(audit_clean_tables(seed) for seed in range(12))
    assert n_alarms <= 3, names  # at a rate of .05, P(more than 3) = .002
