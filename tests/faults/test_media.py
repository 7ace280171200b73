"""200 mutated recordings: index, extract, audit and predict."""

import pytest
from faults.media_checks import MediaCheck
from faults.media_mutations import N_MEDIA, media_cases

PARTS = 4  # so that two processes of pytest share the work


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_recordings_are_read_or_reported(part, samples, trained_run, try_cases):
    cases = media_cases()
    assert len(cases) == N_MEDIA
    try_cases(f"media {part + 1} of {PARTS}", MediaCheck(samples, trained_run), cases[part::PARTS])
