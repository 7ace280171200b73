"""Columns with scores, classes and traits; agreement of paths with columns."""

import pytest

from depmm.new_spec.contents import probe_content
from depmm.new_spec.labels import describe_unused, find_items, find_label, find_traits
from depmm.new_spec.spans import match_values


@pytest.mark.parametrize(
    ("column", "cells", "instrument"),
    [
        ("PHQ8_Score", ["3", "20"], "PHQ-8"),
        ("phq_total", ["3", "27"], "PHQ-9"),
        ("MADRS", ["0", "44"], "MADRS"),
        ("gds", ["4", "22"], "GDS-30"),
        ("ham_d", ["4", "22"], "HAMD-17"),
        ("CES-D", ["4", "22"], "CES-D [0 to 60; cut-off 16]"),
        ("score", ["3", "41"], "BDI-II"),
        ("bdi", ["3", "64"], None),  # outside of the range
        ("age", ["30", "41"], None),
        ("diagnosis", ["MDD", "HC"], "group"),
        ("Gruppe", ["depressiv", "gesund"], "group"),
        ("label", ["0", "1"], "group"),
        ("item", ["0", "1"], None),
    ],
)
def test_instruments_by_name_and_range(column, cells, instrument):
    found = find_label(column, cells)
    assert (found and found.instrument) == instrument


@pytest.mark.parametrize(
    ("column", "cells", "instrument", "missing"),
    [
        ("PHQ9", ["3", "999", "27"], "PHQ-9", ("999",)),
        ("bdi_total", ["-9", "3", "n/a", "41", "7"], "BDI-II", ("-9", "n/a")),
        ("SDS", ["54", "77", "-99"], "SDS", ("-99",)),
        ("score", ["3", "41", "NaN"], "BDI-II", ("NaN",)),
        ("PHQ8_Binary", ["0", "1", "-1"], "group", ("-1",)),
        ("PHQ9", ["3", "*", "5", "6", "7", "8"], "PHQ-9", ()),  # any text in drop:
        ("phq_group", ["HC", "MDD", "?"], "group", ("?",)),
        ("MADRS", ["-9", "-9", "3"], None, ()),  # more codes than scores
        ("phq_date", ["2024-03-05", "2024-03-06"], None, ()),
        ("score", ["3", "41", "-9"], None, ()),  # no instrument, and no range
    ],
)
def test_codes_of_unknown_scores(column, cells, instrument, missing):
    found = find_label(column, cells)
    assert (found and found.instrument) == instrument
    assert found is None or found.missing == missing
    assert (describe_unused(column, cells) is None) == (column == "score")


def test_a_few_values_outside_of_the_range_are_named():
    found = find_label("bdi", [*map(str, range(10)), "64", "mild"])
    assert (found.instrument, found.missing) == ("BDI-II", ())
    assert "64 in 1 row, mild in 1 row" in found.comment
    assert "depmm index will stop" in found.comment
    assert "64 in 1 row" in describe_unused("bdi", ["3", "64"])


def test_items_of_an_instrument_are_no_scores():
    items = {f"PHQ8_{n}": ["0", "3", "999"] for n in range(1, 9)}
    totals = {"PHQ8_sum": ["0", "6"], "PHQ8": ["0", "5"], "PHQ8_Binary": ["0", "1"]}
    assert find_items(items | totals | {"id": ["1", "2"]}) == {"PHQ-8": tuple(items)}
    visits = {f"BDI_{n}": ["0", "13"] for n in range(1, 4)}  # totals of three visits
    assert find_items(visits) == {}
    assert find_items({"BDI_pre": ["0", "5"], "BDI_post": ["1", "2"]}) == {}


def test_traits():
    assert find_traits("Age", ["31", "999", "n/a"])[0] == "age"
    assert find_traits("Age", ["31", "old"]) is None
    assert find_traits("Sex", ["m", "f"])[:2] == ("gender", {"f": "female", "m": "male"})
    assert "GUESS" in find_traits("gender", ["0", "1"])[2]
    assert find_traits("fold", ["train", "dev"])[1] == {"dev": "validation", "train": "train"}
    assert find_traits("fold", ["1", "2"]) is None


@pytest.mark.parametrize(
    ("text", "decimal", "cells"),
    [
        ("id;bdi\nP1;3,5\nP2;4\nP3;n/a\nP4;7\nP5;8\n", ",", ["3.5", "4", "n/a", "7", "8"]),
        ("id;bdi\nP1;3.5\nP2;4,5\n", None, ["3.5", "4,5"]),
        ("id;bdi\nP1;3\nP2;4\n", None, ["3", "4"]),
        ("id\tbdi\nP1\t3,5\nP2\t4\n", ",", ["3.5", "4"]),
    ],
)
def test_decimal_commas_are_those_of_a_whole_table(tmp_path, text, decimal, cells):
    (tmp_path / "a.csv").write_text(text)
    content = probe_content(tmp_path / "a.csv")
    assert content.settings.get("decimal") == decimal
    assert content.columns["bdi"] == cells


@pytest.mark.parametrize(
    ("texts", "cells", "expected"),
    [
        (["007", "012"], ["007", "012"], ("", False)),
        (["007", "012"], ["7", "12"], ("", True)),
        (["007", "012"], ["P007", "P012"], ("P", False)),
        (["007", "012"], ["P7", "P12"], ("P", True)),
    ],
)
def test_ids_agree_with_leading_zeros_and_prefixes(texts, cells, expected):
    match = match_values(texts, cells)
    assert (match.prefix, match.integer) == expected
    assert match.share == 1


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.csv", "id,phq\nP1,3\nP2,9\n", "table"),
        ("a.txt", "38\n", "score"),
        ("a.txt", "I went home and slept.\n", "transcript"),
        ("a.align", "0 23750 sil\n23750 29500 bin\n", "steps"),
        ("a.csv", "start,end,speaker,text\n0,1.5,A,hello\n", "steps"),
        ("a.csv", "1.0,2.0,3.0,4.0,5.0\n1.5,2,3,4,5\n", "features"),
        ("a.json", '{"P1": {"phq": 3}}', "table"),
        ("a.csv", "", "unknown"),
        ("a.json", "[[", "unknown"),
        ("a.npy", "\\x93NUMPY", "unknown"),
    ],
)
def test_content_by_header_and_rows(tmp_path, name, text, kind):
    (tmp_path / name).write_text(text)
    assert probe_content(tmp_path / name).kind == kind
