"""Corpus and forms of ids: what is identified, and what is ambiguous."""

import pandas as pd
import pytest

from depmm.evaluation.alignment import AlignmentError, align_tables

KEY = ["corpus", "subject", "session"]


def table(subjects, sessions="1", **columns):
    return pd.DataFrame({"subject": subjects, "session": sessions, "y_prob": 0.5, **columns})


RUN = table(["007", "010"], ["a", "b"], corpus="c", emotion=["sad", "happy"])


@pytest.mark.parametrize(
    ("subjects", "sessions"),
    [
        (["007", "010"], ["a", "b"]),
        ([7, 10], ["a", "b"]),
        (["7.0", "10.0"], ["A", "B"]),
        (["0007", "10"], [" a", "b"]),
    ],
)
def test_forms_of_one_id_are_the_same_session(subjects, sessions):
    aligned, notes = align_tables({"theirs": table(subjects, sessions), "run": RUN}, ["emotion"])
    theirs = aligned["theirs"]
    assert theirs[KEY].equals(RUN[KEY].astype("str"))
    assert theirs["emotion"].tolist() == ["sad", "happy"]
    assert notes["run"] == []
    assert notes["theirs"][0] == "The corpus is taken from run: c."


def test_each_session_has_the_corpus_of_its_run():
    run = pd.concat([RUN, table(["7", "x1"], ["z", "a"], corpus="d")])
    theirs = align_tables({"run": run, "theirs": table(["x1", "7"], ["a", "a"])}).tables["theirs"]
    assert theirs[KEY].to_numpy().tolist() == [["d", "x1", "a"], ["c", "007", "a"]]


@pytest.mark.parametrize(
    ("run", "theirs", "column", "subject"),
    [
        # the subject 1 of both corpora has a session a
        (table(["1", "1"], "a", corpus=["c", "d"]), table(["1"], "a"), "corpus", "1"),
        (table(["1", "01"], "a", corpus="c"), table(["001"], "a"), "corpus", "001"),
        (RUN, table(["7", "07"], "a"), "session", "07"),
        (table(["1", "2"], "a", corpus=["c", "d"]), table(["3"], "a"), "corpus", "3"),
    ],
)
def test_ambiguous_ids_are_refused(run, theirs, column, subject):
    with pytest.raises(AlignmentError) as info:
        align_tables({"run": run, "theirs": theirs})
    assert (info.value.column, info.value.subject) == (column, subject)


def test_exact_ids_come_first():
    run = table(["1", "01"], "a", corpus="c")
    theirs = align_tables({"run": run, "theirs": table(["01", "1"], "a")}).tables["theirs"]
    assert theirs["subject"].tolist() == ["01", "1"]


def test_unknown_sessions_are_counted_and_explained():
    theirs = table(["7", "8"], ["a", "a"])
    aligned, notes = align_tables({"run": RUN, "theirs": theirs})
    assert aligned["theirs"]["corpus"].tolist() == ["c", "c"]
    assert "1 of 2 sessions" in notes["theirs"][-1]
    notes = align_tables({"run": RUN, "theirs": table(["7", "10"], "only")}).notes["theirs"]
    assert "subject 7 has the session only, and in the run the session a" in notes[-1]


def test_tables_without_corpus_are_of_one_corpus():
    aligned, notes = align_tables({"a": table(["01"]), "b": table([1])})
    assert list(aligned["b"]) == ["subject", "session", "y_prob"]
    assert aligned["b"]["subject"].tolist() == ["01"]
    assert len(notes["b"]) == 1
