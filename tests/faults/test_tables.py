"""100 mutated tables of labels, transcripts and features: index, extract and audit."""

import pytest
from faults.table_checks import TableCheck
from faults.table_mutations import N_TABLES, table_cases

PARTS = 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_tables_are_read_or_reported(part, try_cases):
    cases = table_cases()
    assert len(cases) == N_TABLES
    try_cases(f"tables {part + 1} of {PARTS}", TableCheck(), cases[part::PARTS])
