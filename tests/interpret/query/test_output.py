"""Results as text, CSV and JSON, and the choice of the format."""

import json

import pytest
from explained_runs import make_result

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.output import choose_format, format_result, write_result


def test_formats_of_a_result():
    result = make_result()
    lines = format_result(result, "table").splitlines()
    assert lines[0] == "a title"
    assert lines[2].split() == ["grief", "negative", "1.500", "0.500", "2.500", "0.010"]
    rows = format_result(result, "csv").splitlines()
    assert rows[0] == "word,valence,effect,ci_low,ci_high,q"
    assert rows[2] == "悲伤,,inf,,,"
    records = json.loads(format_result(result, "json"))
    assert records[0]["effect"] == 1.5
    assert records[1] == {
        "word": "悲伤", "valence": None, "effect": None, "ci_low": None, "ci_high": None, "q": None
    }  # fmt: skip


def test_format_follows_the_suffix(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    assert choose_format(None, None, run) == "table"
    assert choose_format(None, tmp_path / "a.png", run) == "figure"
    assert choose_format("json", run / "new.json", run) == "json"
    for form, out, setting in (
        ("figure", None, "out"),
        (None, "a.pdf", "out"),
        ("csv", "a.json", "format"),
        (None, "no/a.csv", "out"),
        (None, "run/config.json", "out"),
        (None, "run/../run/config.json", "out"),
    ):
        with pytest.raises(QuestionError) as info:
            choose_format(form, tmp_path / out if out else None, run)
        assert info.value.setting == setting


def test_result_is_written_atomically(tmp_path):
    result = make_result()
    assert write_result(result, "csv", tmp_path / "a.csv") == []
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == format_result(result, "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
