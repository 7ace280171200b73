"""Control characters in names and cells never reach a terminal."""

import json
import os
import warnings

import pandas as pd
import pytest
from cli_results import make_predictions, write_attributions

from depmm.errors import DepmmError
from depmm.terminal import escape_controls

HOSTILE = "a\x1b[2J\x1b]0;title\x07\rb\u202etxt\x9b31m\x7f\u2028c"
CONTROLS = "\x1b\x07\r\u202e\x9b\x7f\u2028\udcff"


def is_clean(text: str) -> bool:
    return not set(text) & set(CONTROLS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, 12 %", "plain text, 12 %"),
        ("Müller, 被试 one\n\ttwo", "Müller, 被试 one\n\ttwo"),
        ("a\x1b[2Jb\rc\x07", r"a\x1b[2Jb\rc\x07"),
        ("\x00\x7f\x85\x9b", r"\x00\x7f\x85\x9b"),
        ("\u202eexe.gnp\u2066\u200f\u061c", r"\u202eexe.gnp\u2066\u200f\u061c"),
        ("caf\udce9", r"caf\udce9"),  # a file name that is not UTF-8
        ("\u2028", r"\u2028"),
    ],
)
def test_controls_are_escaped_and_text_is_kept(text, expected):
    assert escape_controls(text) == expected
    assert escape_controls(expected) == expected
    escape_controls(text).encode("utf-8")


def test_line_breaks_are_escaped_on_request():
    assert escape_controls("a\nb", keep="") == r"a\nb"


@pytest.mark.parametrize("name", [HOSTILE, "caf\udce9", "one\nerror: none"])
def test_a_hostile_file_name_in_messages_of_commands(depmm, tmp_path, name, corpus):
    missing, table = tmp_path / f"{name}.parquet", tmp_path / f"{name}.csv"
    make_predictions().drop(columns="y_prob").to_csv(table, index=False)
    folder = tmp_path / name
    folder.mkdir()
    for arguments in (
        ("evaluate", missing),
        ("evaluate", table),
        ("evaluate", folder),
        ("audit", folder),
        ("train", tmp_path / f"{name}.yaml"),
        ("index", corpus.spec, folder / "no", "--out", tmp_path / "m"),
        ("predict", folder, missing, "--steps", tmp_path / f"{name}.txt"),
        ("ask", folder, "words-by-label"),
        (f"--{name}",),
    ):
        result = depmm(*arguments)
        assert result.code == 2
        assert is_clean(result.out + result.err), arguments
        assert "error: none" not in result.err.splitlines()
    make_predictions().to_csv(table, index=False)
    result = depmm("evaluate", table, "--out", folder)
    assert result.code == 0
    assert is_clean(result.out + result.err)


def test_hostile_cells_in_tables_and_notes(depmm, tmp_path):
    run = write_attributions(tmp_path / "run")
    table = pd.read_parquet(run / "attributions.parquet")
    table["word"] = table["word"].replace("joy", HOSTILE)
    table.to_parquet(run / "attributions.parquet")
    sql = ("ask", run, "--sql", "SELECT DISTINCT word FROM attributions ORDER BY word")
    shown = depmm(*sql)
    assert shown.code == 0
    assert is_clean(shown.out)
    assert r"\x1b[2J" in shown.out
    piped = depmm(*sql, "--format", "json")  # data for another program is not changed
    assert HOSTILE in {row["word"] for row in json.loads(piped.out)}
    failing = depmm("ask", run, "--sql", f"SELECT '{HOSTILE}' FROM nowhere")
    assert failing.code == 2
    assert is_clean(failing.err)


def test_python_warnings_are_escaped(depmm, monkeypatch, tmp_path):
    from depmm.audit import audit_folders

    def warn(folder: os.PathLike[str]) -> None:
        warnings.warn(HOSTILE, UserWarning, stacklevel=2)
        raise DepmmError("stopped")

    monkeypatch.setattr(audit_folders, "read_manifest", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = depmm("audit", tmp_path)
    assert "UserWarning" in result.err
    assert is_clean(result.err)
