"""The documentation is true: its commands and options exist, and its data spec works."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from depmm.cli import app
from depmm.config import list_configs
from depmm.corpora.spec import list_specs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def documented_commands(page: Path) -> list[list[str]]:
    """Words of each line of a code block that calls depmm."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("depmm ")]


def test_pages_call_commands():
    assert sum(len(documented_commands(page)) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_options_and_names_exist(page):
    configs, specs = ({name for name, _ in listed()} for listed in (list_configs, list_specs))
    for _, command, *words in documented_commands(page):
        assert command in COMMANDS, command
        options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        for word in words:
            if word.startswith("--"):
                assert word in options, (command, word)
        first = words[0] if words else ""
        if command in ("train", "cross-validate") and re.fullmatch(r"[a-z_0-9]+", first):
            assert first in configs, first
        if command == "index" and re.fullmatch(r"[a-z_0-9]+", first):
            assert first in specs, first


def test_the_spec_of_the_how_to_page_works(tmp_path, depmm):
    page = (ROOT / "docs" / "how-to" / "own_corpus.md").read_text(encoding="utf-8")
    spec = tmp_path / "clinic.yaml"
    spec.write_text(re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)[0])
    trial = tmp_path / "trial"
    done = depmm("simulate", trial, "--spec", spec, "--subjects", "4", "--workers", "1")
    assert done.code == 0, done.err
    done = depmm("index", spec, trial, "--out", tmp_path / "manifest")
    assert done.code == 0, done.err + done.out
    assert depmm("audit", tmp_path / "manifest", "--root", trial).code in (0, 1)
