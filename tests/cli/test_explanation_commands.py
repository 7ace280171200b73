"""The command ``depmm ask``: tables, formats, files and SQL."""

from cli_results import WORDS, write_attributions

from depmm.interpret.query.ask import QUESTIONS


def test_ask_prints_a_table_or_csv(tmp_path, depmm):
    run = write_attributions(tmp_path / "run")
    result = depmm("ask", run, "words-by-label", "top=1", "permutations=99")
    assert result.code == 0
    assert result.out.splitlines()[-1].split()[:2] == ["joy", "neutral"]
    result = depmm("ask", run, "session", "p1", "--format", "csv")
    assert [line.split(",")[5] for line in result.out.splitlines()] == ["word", *WORDS]


def test_ask_writes_a_figure(tmp_path, depmm):
    run, out = write_attributions(tmp_path / "run"), tmp_path / "words.svg"
    result = depmm("ask", run, "words-by-label", "permutations=99", "--out", out)
    assert result.out == f"{out}: 3 rows\n"
    assert "joy" in out.read_text()


def test_ask_runs_sql(tmp_path, depmm):
    run = write_attributions(tmp_path / "run")
    sql = "SELECT word, count(*) AS n FROM attributions GROUP BY word ORDER BY word"
    result = depmm("ask", run, "--sql", sql)
    assert result.out.split() == ["word", "n", "grief", "6", "joy", "6", "table", "6"]


def test_the_help_of_ask_lists_every_question(depmm):
    text = depmm("ask", "--help").out
    assert all(name in text for name in QUESTIONS)
