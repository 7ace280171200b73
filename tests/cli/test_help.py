"""The list of commands: order of the work, and one line for each."""

import typer

from depmm.cli import PANELS, app


def test_commands_are_listed_in_the_order_of_the_work():
    commands = typer.main.get_command(app).commands
    assert list(commands) == [name for names in PANELS.values() for name in names]
    for panel, names in PANELS.items():
        assert {commands[name].rich_help_panel for name in names} == {panel}


def test_each_command_has_one_line_of_help():
    for name, command in typer.main.get_command(app).commands.items():
        first, *_ = command.help.split("\n\n")
        assert "\n" not in first, name
        assert first.endswith("."), name
        assert len(first) <= 60, name  # what 80 columns leave
