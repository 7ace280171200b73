"""Lists of failures and warnings for the terminal."""

import pandas as pd

from depmm.store.extraction_lists import list_failures, list_warnings


def _failures(causes: list[str]) -> pd.DataFrame:
    rows = [("c", f"P{k}", f"P{k}", "audio", f"{k}.wav", cause) for k, cause in enumerate(causes)]
    columns = ["corpus", "subject", "session", "stage", "file", "cause"]
    return pd.DataFrame(rows, columns=columns).assign(remedy="Copy it again.")


def test_equal_failures_are_one_line_with_the_first_files():
    lines = list(list_failures(_failures(["empty.", "broken.", *["empty."] * 300])))
    assert lines == [
        "  301 sessions audio: 301 files (0.wav, 2.wav, 3.wav, ...): empty. Copy it again.",
        "  P1/P1 audio: 1.wav: broken. Copy it again.",
    ]
    lines = list(list_failures(_failures([f"cause {k}." for k in range(12)])))
    assert len(lines) == 11
    assert lines[-1] == "  ... and 2 other causes"


def test_the_remedy_of_a_kind_of_warnings_is_told_once():
    problems = [f"{k} %." for k in (1, 1, 2, 3, 4)]
    table = _failures(problems).rename(columns={"cause": "problem"}).assign(name="clipping")
    assert list(list_warnings(table)) == [
        "  warning: clipping: 2 files (0.wav, 1.wav): 1 %.",
        "  warning: clipping: 2.wav: 2 %.",
        "  warning: clipping: 3.wav: 3 %.",
        "  warning: clipping: ... and 1 more. Copy it again.",
    ]
    assert list(list_warnings(table[:0])) == []
