"""Cells: numbers, allowed values and codes."""

import pytest
from corpus_samples import TOY

from depmm.corpora.cells import (
    check_allowed,
    format_time,
    parse_number,
    parse_time,
    translate_codes,
)
from depmm.corpora.errors import ManifestError
from depmm.corpora.spec import parse_spec
from depmm.corpora.spec_schema import StepTable
from depmm.corpora.tables.table_files import Origin

LINE = Origin("labels.csv", 3)
COMMA = Origin("labels.csv", 3, None, ",")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), (" 2 ", 2), ("-3e1", -30), (".5", 0.5), ("+3", 3), ("5.", 5), (None, None)],
)
def test_numbers_are_read(text, value):
    assert parse_number(text, "age", LINE) == value


@pytest.mark.parametrize(
    "text",
    ["", "nan", "inf", "infinity", "1,5", "x", "1_0", "１０", "1e999", "0x10", "1 0", "−3"],  # noqa: RUF001
)
def test_text_that_is_not_a_number_is_refused(text):
    with pytest.raises(ManifestError) as info:
        parse_number(text, "age", LINE, "s1")
    error = info.value
    assert (str(error.file), error.line, error.column) == ("labels.csv", 3, "age")
    assert (error.session, error.value) == ("s1", text)
    assert error.remedy


def test_decimal_commas_are_read_where_the_table_has_them():
    assert parse_number("1,5", "age", COMMA) == 1.5
    assert parse_number("-2", "age", COMMA) == -2
    with pytest.raises(ManifestError) as info:  # 1.500 may be fifteen hundred
        parse_number("1.500", "age", COMMA)
    assert 'decimal: "."' in info.value.remedy
    with pytest.raises(ManifestError) as info:
        parse_number("1,5", "age", LINE)
    assert 'decimal: ","' in info.value.remedy


def step_table(times, decimal="."):
    return StepTable(
        file="{subject}.csv", join={"subject": "subject"}, fields={"start": "from"},
        times=times, decimal=decimal,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("times", "text", "seconds"),
    [
        ("seconds", "62.5", 62.5),
        ("milliseconds", "62500", 62.5),
        (25000, "1562500", 62.5),
        ("clock", "00:01:02.5", 62.5),
        ("clock", "1:02,5", 62.5),
        ("clock", "90:15", 5415),
        ("clock", "10:00:00", 36000),
        ("clock", None, None),
    ],
)
def test_times_are_read_in_the_unit_of_the_table(times, text, seconds):
    assert parse_time(text, "start", step_table(times), LINE) == seconds


@pytest.mark.parametrize("text", ["62.5", "1:60", "1:75:00", "-0:01", "0:01:02:12", "1:2:3 pm", ""])
def test_other_texts_are_not_clock_times(text):
    with pytest.raises(ManifestError) as info:
        parse_time(text, "start", step_table("clock"), LINE)
    assert (info.value.line, info.value.column, info.value.value) == (3, "start", text)


def test_a_clock_time_in_a_table_of_seconds_names_the_key():
    with pytest.raises(ManifestError) as info:
        parse_time("00:01:02", "end", step_table("seconds"), LINE)
    assert "times: clock" in info.value.remedy


@pytest.mark.parametrize("times", ["seconds", "milliseconds", "clock", 25000])
@pytest.mark.parametrize("decimal", [".", ","])
def test_times_are_written_as_they_are_read(times, decimal):
    table = step_table(times, decimal)
    for seconds in (0.0, 0.125, 59.999, 3723.5):
        origin = Origin("words.csv", 1, None, decimal)
        read = parse_time(format_time(seconds, table), "start", table, origin)
        assert read == pytest.approx(seconds, abs=5e-4)


def test_values_that_are_not_allowed_are_refused():
    check_allowed(None, ("a",), "gender", "gender", LINE)
    check_allowed("a", ("a",), "gender", "gender", LINE)
    with pytest.raises(ManifestError) as info:
        check_allowed("b", ("a",), "gender", "gender", LINE)
    assert (info.value.column, info.value.value, info.value.line) == ("gender", "b", 3)


@pytest.mark.parametrize(
    ("text", "known"),
    [("yes", "Yes"), ("Female", "female"), ("not depressed", "not-depressed"), ("Ｙｅｓ", "yes")],  # noqa: RUF001
)
def test_values_that_differ_in_case_or_blanks_get_a_suggestion(text, known):
    with pytest.raises(ManifestError) as info:
        check_allowed(text, (known, "something else"), "group", "group", LINE)
    assert f"Did you mean {known!r}?" in info.value.remedy


def test_codes_are_translated_and_unknown_ones_refused():
    spec = parse_spec(TOY, "toy.yaml")
    fields: dict[str, str | None] = {"gender": "F"}
    translate_codes(spec, fields, fields, {"": LINE})
    assert fields == {"gender": "female"}
    fields = {"gender": "?"}
    translate_codes(spec, fields, fields, {"": LINE})
    assert fields == {"gender": None}
    with pytest.raises(ManifestError) as info:
        translate_codes(spec, {"gender": "f"}, fields, {"": Origin("a"), "gender": LINE})
    assert (info.value.setting, info.value.value, info.value.line) == ("codes.gender", "f", 3)
    assert "Did you mean 'F'?" in info.value.remedy
