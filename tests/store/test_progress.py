"""The progress bar of the extraction."""

from depmm.store.progress import extraction_progress


def test_the_bar_counts_sessions_and_those_with_failures(capsys):
    with extraction_progress(3) as advance:
        for failed in (False, True, True):
            advance(failed)
    output = capsys.readouterr().out
    assert "3/3" in output
    assert "2 with failures" in output
