"""Questions by name: options, errors, and runs without the needed tables."""

import pandas as pd
import pytest
from explained_runs import make_tables, write_run

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.ask import QUESTIONS, ask, describe_questions, parse_options
from depmm.interpret.query.sql import run_sql


@pytest.mark.parametrize(
    ("question", "options", "setting", "value", "remedy"),
    [
        ("words-by-lable", {}, "question", "words-by-lable", "words-by-label"),
        ("words-by-label", {"tpo": 3}, "tpo", None, "top"),
        ("words-by-label", {"top": "many"}, "top", "many", None),
        ("words-by-label", {"top": 0}, "top", 0, None),
        ("words-by-label", {"valence": "sad"}, "valence", "sad", None),
        ("words-by-label", {"rank_by": "step"}, "rank_by", "step", "occlusion"),
        ("words-by-label", {"stratify_by": "gendr"}, "stratify_by", "gendr", "gender"),
        ("session", {}, "subject", None, None),
    ],
)
def test_wrong_questions_and_options(run, question, options, setting, value, remedy):
    with pytest.raises(QuestionError) as info:
        ask(run, question, **options)
    assert (info.value.setting, info.value.value) == (setting, value)
    assert remedy is None or remedy in info.value.remedy


def test_run_may_be_given_as_text(run):
    pd.testing.assert_frame_equal(ask(str(run), "gates"), ask(run, "gates"))


def test_options_of_a_command_line():
    options = parse_options("words-by-label", ["top=3", "rank_by=a=b"])
    assert options == {"top": "3", "rank_by": "a=b"}
    assert parse_options("session", ["S1", "corpus=c"]) == {"subject": "S1", "corpus": "c"}
    with pytest.raises(QuestionError) as info:
        parse_options("words-by-label", ["3"])
    assert info.value.value == "3"
    with pytest.raises(QuestionError) as info:
        parse_options("session", ["S1", "subject=S2"])
    assert (info.value.setting, info.value.value) == ("subject", "S2")


def test_every_question_is_described():
    assert "session SUBJECT [session=]" in describe_questions()
    assert all(name in describe_questions() for name in QUESTIONS)


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(QuestionError) as info:
        ask(tmp_path, "words-by-label")
    assert info.value.file == tmp_path / "attributions.parquet"
    with pytest.raises(QuestionError) as info:
        run_sql(tmp_path, "SELECT 1")
    assert info.value.file == tmp_path
    tables = make_tables(seeds=1)
    wordless = write_run(
        tmp_path / "wordless",
        {**tables, "attributions": tables["attributions"].assign(word=None, valence=None)},
    )
    for question in ("words-by-label", "words-by-valence", "agreement"):
        with pytest.raises(QuestionError) as info:
            ask(wordless, question)
        assert info.value.column == "word"
    one = write_run(tmp_path / "one", tables)
    with pytest.raises(QuestionError) as info:
        ask(one, "stability")
    assert info.value.value == 1
    (one / "predictions.parquet").unlink()
    with pytest.raises(QuestionError) as info:
        ask(one, "misclassified")
    assert info.value.file == one / "predictions.parquet"
    other = {"attributions": tables["attributions"].drop(columns="label")}
    with pytest.raises(QuestionError) as info:
        ask(write_run(tmp_path / "other", other), "words-by-label")
    assert info.value.file == tmp_path / "other" / "attributions.parquet"


@pytest.mark.parametrize("damage", ["cut", "empty", "footer", "page", "text"])
def test_damaged_file_is_named(tmp_path, damage):
    table = make_tables()["attributions"]
    run = write_run(tmp_path / "run", {"attributions": pd.concat([table] * 50)})
    path = run / "attributions.parquet"
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    bad = {
        "cut": good[: len(good) // 2],
        "empty": b"",
        "footer": good[:footer] + bytes(60) + good[footer + 60 :],
        "page": good[:4] + b"\xff" * 2000 + good[2004:],
        "text": b"not a table",
    }[damage]
    path.write_bytes(bad)
    with pytest.raises(QuestionError) as info:
        ask(run, "words-by-label")
    assert info.value.file == path
    with pytest.raises(QuestionError) as info:
        run_sql(run, "SELECT * FROM attributions")
    assert info.value.file == path
    assert path.read_bytes() == bad
    assert list(run.iterdir()) == [path]
