"""The documentation is true: its commands and options exist, and its data spec works."""

import importlib
import re
import shlex
import sys
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


def docs_module(name: str) -> Any:
    """Import a module that generates pages."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def reference() -> Any:
    return docs_module("reference_pages")


def test_every_command_has_a_section_and_explains_its_status(reference):
    sections = reference.commands_page().split("\n## ")[1:]
    assert len(sections) == len(COMMANDS)
    status = [text for text in sections if "Exit status 1" in text]
    assert len(status) >= 7
    assert not [text for text in status if "Exit status 1: a problem is reported" in text]
    assert "`0`" in next(text for text in sections if text.startswith("depmm simulate"))


def test_settings_name_the_shipped_configs_that_contain_them(reference):
    uses = reference.config_uses()
    assert "demo" in uses["TrainingConfig", "learning_rate"]
    # the kind of the encoder is that of the base
    assert "demo" in uses["DataConfig", "max_audio_s"]
    rows = [line for line in reference.settings_page().splitlines() if "max_audio_s`" in line]
    (row,) = rows
    assert row.split("|")[4].strip() == "s"
    assert '<a id="DataConfig.max_audio_s"></a>' in row


def test_every_error_has_a_section_with_its_messages():
    pages = docs_module("error_pages")
    errors, messages = pages.all_errors(), pages.error_messages()
    assert len(errors) > 35
    assert errors["PairingError"].module == "depmm.evaluation.comparison"
    assert not [name for name, error in errors.items() if not error.summary]
    known = ["*path* is given twice.", "Give each run once."]
    assert known in messages["EvaluationError"]
    assert sum(map(len, messages.values())) > 400
    assert not {"ConfigError", "RunError", "DamagedFileError"} - set(messages)
