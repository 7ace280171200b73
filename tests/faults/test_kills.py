"""Commands that are killed: the same command repairs and gives the same bits."""

import sys
import time

import pytest
from faults.killed_commands import (
    COMMANDS,
    N_KILLS,
    arguments_of,
    judge_kill,
    kill_cases,
    result_of,
    run_and_kill,
)
from faults.oracle import Tally
from faults.workspace_copies import WorkspaceCopies

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.mark.slow
def test_a_killed_command_is_repaired_by_the_same_command(workspace, report_tally):
    tally, references = Tally("kills"), {}

    # at the path that the configs of its runs contain
    copy = WorkspaceCopies(workspace, workspace.with_name("data"))
    for command in COMMANDS:
        folder, begin = copy(command), time.monotonic()
        output = run_and_kill(arguments_of(command, folder), None, 0.0)
        assert output is not None
        assert output.code == 0, output.text
        references[command] = result_of(command, folder), time.monotonic() - begin
    cases = kill_cases()
    assert len(cases) == N_KILLS
    for case in cases:
        verdict = judge_kill(case, copy, *references[case.command])
        tally.add(str(case), "", verdict)
    report_tally(tally)
