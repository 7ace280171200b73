"""Cells: numbers, allowed values and codes."""

import pytest
from corpus_samples import TOY

from depmm.corpora.cells import check_allowed, parse_number, translate_codes
from depmm.corpora.errors import ManifestError
from depmm.corpora.spec import parse_spec


@pytest.mark.parametrize(("text", "value"), [("1.5", 1.5), (" 2 ", 2), ("-3e1", -30), (None, None)])
def test_numbers_are_read(text, value):
    assert parse_number(text, "age", "labels.csv") == value


@pytest.mark.parametrize("text", ["", "nan", "inf", "1,5", "x"])
def test_text_that_is_not_a_number_is_refused(text):
    with pytest.raises(ManifestError) as info:
        parse_number(text, "age", "labels.csv", "s1")
    assert (info.value.session, info.value.value) == ("s1", text)


def test_values_that_are_not_allowed_are_refused():
    check_allowed(None, ("a",), "gender", "gender")
    check_allowed("a", ("a",), "gender", "gender")
    with pytest.raises(ManifestError) as info:
        check_allowed("b", ("a",), "gender", "gender")
    assert (info.value.column, info.value.value) == ("gender", "b")


def test_codes_are_translated_and_unknown_ones_refused():
    spec = parse_spec(TOY, "toy.yaml")
    fields: dict[str, str | None] = {"gender": "F"}
    translate_codes(spec, fields, fields, "S1.wav")
    assert fields == {"gender": "female"}
    fields = {"gender": "?"}
    translate_codes(spec, fields, fields, "S1.wav")
    assert fields == {"gender": None}
    with pytest.raises(ManifestError) as info:
        translate_codes(spec, {"gender": "X"}, fields, "S1.wav")
    assert (info.value.setting, info.value.value) == ("codes.gender", "X")
