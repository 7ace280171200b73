"""The page "Your own corpus" is run word by word on real recordings in a made-up layout."""

import json
import os
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from own_corpus import write_clinic

from depmm.steps.participant_choices import Choice, write_choices

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
FINAL = re.compile(r"\(exit status (\d)\)")


def commands(text):
    """Yield the command, the lines of output and the exit status of each command of a block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        status = FINAL.fullmatch(lines[-1]) if lines else None
        yield command, lines[: -1 if status else None], int(status[1]) if status else 0


def without_measured(text):
    """Replace numbers that another processor changes: those with decimals, but not times."""
    return re.sub(r"-?\d+\.\d+", "#", text)


def matches(shown, output):
    """Tell whether the lines are in the output in this order; ``...`` is any text."""
    parts = [re.escape(without_measured(part)) for part in "\n".join(shown).split("...")]
    return re.search(".*?".join(parts), without_measured(output), re.DOTALL) is not None


def processor_seconds():
    """Return the time of this process and of those that it waited for."""
    return sum(os.times()[:4])


def choose_participant(page, speaker):
    """Write the file that the listening page saves after a click."""
    text = page.read_text(encoding="utf-8")
    digests = [re.search(f'data-{name}="([^"]*)"', text) for name in ("recording", "file", "turns")]
    recording, file, turns = (digest[1] for digest in digests)
    write_choices([Choice(recording, speaker, file, turns)], page.with_name("participants.csv"))


@pytest.mark.slow
def test_the_page_runs_word_by_word(real_data, tmp_path, monkeypatch, depmm, record_property):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = real_data / "models" / "face_landmarker.task"
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(model))
    write_clinic(real_data, Path("clinic"))
    outputs, seconds = {}, {}
    for language, title, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "console":
            for command, shown, status in commands(text):
                if "--participant participants.csv" in command:
                    choose_participant(Path("turns.listen.html"), "channel_1")
                start = processor_seconds()
                result = depmm(*shlex.split(command)[1:])
                name = " ".join(command.split()[1:3])
                seconds[name] = seconds.get(name, 0) + processor_seconds() - start
                assert result.code == status, f"{command}\n{result.out}{result.err}"
                outputs[command] = result.out + result.err
                assert matches(shown, outputs[command]), f"{command}\n{outputs[command]}"
        elif title.endswith(", at the end"):
            with Path(title.removesuffix(", at the end")).open("a", encoding="utf-8") as file:
                file.write("\n" + text)
        elif title:
            Path(title).write_text(text, encoding="utf-8")
    record_property("seconds", seconds)
    print("\n".join(f"{name}: {value:.1f} s" for name, value in seconds.items()))
    of_run, of_export = [text for command, text in outputs.items() if " predict " in command]
    assert re.findall("probability .*", of_run) == re.findall("probability .*", of_export)
    assert not Path("turns.listen.html").exists()  # every recording has a participant
    turns = pd.read_csv("turns.csv")
    assert turns["speaker"].value_counts().to_dict() == {"participant": 172, "other": 76}
    differences = pd.read_csv("comparison/differences.csv")
    assert differences[["ci_low", "ci_high"]].abs().max().max() <= 1
    assert json.loads(Path("results/P30 intake.json").read_text(encoding="utf-8"))["warnings"]
