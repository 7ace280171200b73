"""The table of steps: its columns, what has no step, and the lines of a spec that read it."""

import pandas as pd
import pytest
import yaml

from depmm.schemas.steps import STEP_PROBLEMS, STEP_TABLE
from depmm.steps.table import (
    Step,
    StepProblem,
    StepsError,
    check_output,
    problems_path,
    spec_lines,
    write_steps,
)


def test_rows_are_sorted_and_columns_without_values_are_left_out(tmp_path):
    out = tmp_path / "steps.csv"
    steps = [Step("b.wav", 0.0, 1.0), Step("a.wav", 2.0, 3.00049, "word"), Step("a.wav", 1.0, 2.0)]
    assert write_steps(steps, [], out) == (["path", "start_s", "end_s", "text"], None)
    table = pd.read_csv(out)
    STEP_TABLE.check(table)
    assert table["path"].tolist() == ["a.wav", "a.wav", "b.wav"]
    assert table["end_s"].tolist() == [2.0, 3.0, 1.0]


def test_problems_are_a_table_of_their_own_that_a_better_run_removes(tmp_path):
    out = tmp_path / "steps.csv"
    problem = StepProblem("a.wav", "not in the dictionary", "=1+1")
    write_steps([Step("a.wav", 0.0, 1.0)], [problem], out)
    table = pd.read_csv(problems_path(out))
    STEP_PROBLEMS.check(table)
    assert table["text"].tolist() == ["'=1+1"]
    write_steps([Step("a.wav", 0.0, 1.0)], [], out)
    assert not problems_path(out).exists()


def test_a_table_that_was_corrected_by_hand_is_kept(tmp_path):
    out = tmp_path / "steps.csv"
    found = [Step("a.wav", 0.0, 1.0)]
    assert write_steps(found, [], out)[1] is None
    assert write_steps(found, [], out)[1] is None  # the same rows
    for number, end in ((1, "1.25"), (2, "1.5")):
        out.write_text(corrected := out.read_text().replace("1.0", end))
        kept = write_steps(found, [], out)[1]
        assert kept == tmp_path / f"steps.{number}.csv"
        assert kept.read_text() == corrected
        assert pd.read_csv(out)["end_s"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("start_s", "end_s", "confidence"), [(1.0, 1.0, None), (-0.1, 1.0, None), (0.0, 1.0, 1.1)]
)
def test_impossible_steps_are_refused(start_s, end_s, confidence):
    with pytest.raises(ValueError, match=r"a\.wav"):
        Step("a.wav", start_s, end_s, confidence=confidence)


def test_lines_of_a_spec(tmp_path):
    root = tmp_path / "root"
    (root / "tables").mkdir(parents=True)
    columns = ["path", "start_s", "end_s", "text", "speaker"]
    lines = spec_lines(root / "tables" / 'my "{steps}".csv', root, columns)
    assert yaml.safe_load(lines) == {
        "steps": {
            "table": {
                "file": "tables/my **steps**.csv",
                "join": {"path": "path"},
                "fields": {"start": "start_s", "end": "end_s", "text": "text"},
                "keep": {"speaker": ["participant"]},
                "other_turns": {"speaker": ["other"]},
            }
        }
    }
    assert str(root) in spec_lines(tmp_path / "steps.csv", root, ["path", "start_s", "end_s"])


def test_the_output_is_checked_before_the_recordings_are_read(tmp_path):
    for name in ("steps.xlsx", "missing/steps.csv"):
        with pytest.raises(StepsError):
            check_output(tmp_path / name)
