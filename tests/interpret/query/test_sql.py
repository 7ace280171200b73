"""SQL reads the tables of a run and nothing else."""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from explained_runs import write_run

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.sql import TABLES, connect, run_sql
from depmm.schemas.explanations import EXPLANATIONS

RUN_IN_CHILD = """
import resource, sys
from pathlib import Path
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.sql import run_sql
try:
    run_sql(Path(sys.argv[1]), sys.argv[2], seconds=5)
except QuestionError as error:
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(error.setting, "remedy" if error.remedy else "none", largest)
"""


@pytest.fixture
def untouched(run):
    """A run; no file in its folder, or around it, changes while a test queries it."""

    def read_files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}

    before = read_files()
    yield run
    assert read_files() == before


def test_sql_reads_the_tables(untouched):
    result = run_sql(
        untouched,
        "WITH mean AS (SELECT word, avg(occlusion) AS x FROM attributions WHERE label = 1 "
        "GROUP BY word) SELECT word FROM mean JOIN branches ON true GROUP BY word, x "
        "ORDER BY x DESC; -- done",
    )
    assert result["word"][0] == "grief"
    assert "notes" not in result.attrs
    assert run_sql(untouched, "SHOW TABLES")["name"].tolist() == [
        "attributions", "branches", "modalities", "predictions", "session_attributions"
    ]  # fmt: skip
    assert len(run_sql(untouched, "DESCRIBE branches")) == 11
    assert len(run_sql(untouched, "SUMMARIZE predictions")) == 9
    cut = run_sql(untouched, "FROM attributions ORDER BY subject DESC", rows=5)
    assert len(cut) == 5
    assert cut["subject"].tolist() == ["p9"] * 5
    assert len(cut.attrs["notes"]) == 1


def test_every_table_of_a_run_can_be_queried(tmp_path):
    """The names of the tables are those of the schemas."""
    tables = {name: pd.DataFrame({"a": [1]}) for name in TABLES}
    run = write_run(tmp_path / "run", tables)
    assert {*EXPLANATIONS, "predictions", "history"} == {*TABLES}
    for name in TABLES:
        assert run_sql(run, f"FROM {name}")["a"].tolist() == [1]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY attributions TO '{out}/copy.csv'",
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO attributions VALUES (1)",
        "SET enable_external_access = true",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT 1; DROP VIEW attributions",
        "  ",
        "SELEC 1",
        "SELECT wrd FROM attributions",
        "SELECT * FROM gates",
    ],
)
def test_sql_that_is_rejected(untouched, text):
    text = text.format(out=untouched.parent / "outside")
    with pytest.raises(QuestionError) as info:
        run_sql(untouched, text)
    assert (info.value.setting, info.value.value) == ("sql", text)


def test_errors_list_the_tables(untouched):
    for text in ("SELECT * FROM gates", "SELECT * FROM read_csv('/etc/passwd')"):
        with pytest.raises(QuestionError) as info:
            run_sql(untouched, text)
        assert (
            "attributions, session_attributions, modalities, branches, predictions"
            in info.value.remedy
        )


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("SELECT count(*) FROM range(1000000000000)", {"seconds"}),
        ("SELECT list(a) FROM range(1000000000) t(a)", {"seconds", "memory_limit"}),
    ],
)
def test_expensive_sql_is_stopped(untouched, text, settings):
    with pytest.raises(QuestionError) as info:
        run_sql(untouched, text, seconds=0.2)
    assert info.value.setting in settings


@pytest.mark.parametrize(
    "text",
    [
        "SELECT length(repeat('x', 4000000000))",
        pytest.param("SELECT repeat('x', 1000000000)", marks=pytest.mark.slow),
        pytest.param("SELECT list_aggregate(range(1000000000), 'sum')", marks=pytest.mark.slow),
        pytest.param("SELECT generate_series(1, 1000000000)", marks=pytest.mark.slow),
        pytest.param("SELECT repeat('x', 1000000) FROM range(10000)", marks=pytest.mark.slow),
        pytest.param("SELECT md5(repeat('a', 1000000000))", marks=pytest.mark.slow),
        pytest.param("SELECT lpad('x', 2000000000, 'y')", marks=pytest.mark.slow),
        pytest.param("SELECT printf('%1000000000d', 1)", marks=pytest.mark.slow),
        pytest.param(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_one_huge_value_is_refused_within_two_gigabytes(untouched, text):
    """DuckDB applies neither memory_limit nor interrupts to a single value."""
    began = time.monotonic()
    # a process of its own: the largest memory is that of all children of a process so far
    output = subprocess.run(
        [sys.executable, "-c", RUN_IN_CHILD, untouched, text],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert output[0] in {"memory_limit", "seconds"}
    assert output[1] == "remedy"
    assert int(output[2]) * 1024 < 2 * 2**30
    assert time.monotonic() - began < 60


def test_values_keep_their_types_between_the_processes(untouched):
    table = run_sql(
        untouched,
        "SELECT 1 AS a, 1.5::DOUBLE AS b, 'é' AS c, true AS d, NULL AS e, [1, 2] AS f, "
        "DATE '2020-01-02' AS g, 7 AS a",
    )
    row = table.iloc[0].tolist()
    assert row[:4] == [1, 1.5, "é", True]
    assert list(row[5]) == [1, 2]
    assert (str(row[6])[:10], row[7]) == ("2020-01-02", 7)


def test_modules_of_the_working_directory_are_not_imported(untouched, tmp_path, monkeypatch):
    (tmp_path / "duckdb.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert run_sql(untouched, "SELECT 1 AS a")["a"].tolist() == [1]


def test_connection_is_locked(untouched):
    """Even if a statement were mistaken for a SELECT, DuckDB can read the files of the run only."""
    import duckdb

    frame = pd.DataFrame({"a": [1]})
    folder = str(untouched).replace("'", "''")
    refused = [
        "SELECT * FROM frame",  # a Python variable
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '{out}/other.csv'",
        "SELECT * FROM read_csv('{out}/other.csv')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_json('{out}/other.csv')",
        "SELECT * FROM sniff_csv('{out}/other.csv')",
        "SELECT * FROM read_parquet('{out}/other.parquet')",
        "SELECT * FROM read_parquet('{out}/*.parquet')",
        "SELECT * FROM read_parquet('{run}/../outside/other.parquet')",
        "SELECT * FROM parquet_metadata('{out}/other.parquet')",
        "SELECT * FROM read_parquet('http://localhost:1/x.parquet')",
        "SELECT * FROM glob('{out}/*')",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = '{out}/log')",
        "SELECT * FROM enable_profiling(save_location = '{out}/p.json')",
        "COPY attributions TO '{out}/copy.csv'",
        "COPY attributions TO '{run}/attributions.parquet'",
        "EXPORT DATABASE '{out}/all'",
        "ATTACH '{out}/new.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{out}/evil.so'",
        "CREATE PERSISTENT SECRET (TYPE s3)",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET temp_directory = '{out}'",
        "RESET lock_configuration",
        "PRAGMA enable_profiling = 'json'",
    ]
    with connect(untouched, ["attributions"]) as connection:
        for text in refused:
            with pytest.raises(duckdb.Error):
                connection.execute(
                    text.format(out=untouched.parent / "outside", run=folder)
                ).fetchall()
        assert connection.execute("SELECT count(*) FROM attributions").fetchone() == (96,)
    assert len(frame) == 1
