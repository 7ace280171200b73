"""The audit asks about one person with two ids, and two people with one id."""

import pytest

from experiments.benchmarks.statistics.identity_traps import CLEAN, TRAPS, reported_identities

QUICK = ("voice with two ids", "face with two ids", "two faces with one id", "clean: GRID")


@pytest.mark.slow
@pytest.mark.parametrize(
    "trap",
    [trap for trap in (*TRAPS, *CLEAN) if trap.name in QUICK],
    ids=lambda trap: trap.name,
)
def test_the_planted_subjects_are_named(trap, real_data, tmp_path):
    if trap.missing:
        pytest.skip(f"a model is missing: run {trap.missing}")
    expected = {trap.finding: trap.subjects} if trap.subjects else {}
    assert reported_identities(trap, real_data.resolve(), tmp_path) == expected
