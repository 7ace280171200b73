"""40 flipped bits in each kind of file that depmm writes."""

import pytest
from faults.flip_checks import FILES, N_FLIPS, FlipCase, FlipCheck


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_flipped_bit_is_found_or_changes_nothing(kind, workspace, try_cases):
    cases = [FlipCase(kind, seed) for seed in range(N_FLIPS)]
    try_cases(f"bit flips in {kind}", FlipCheck(workspace), cases)
