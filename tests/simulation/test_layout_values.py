"""Values of single fields: forms of path fields and translated codes."""

import pytest
from simulated_layouts import AUDIO_SPEC

from depmm.corpora.spec import parse_spec
from depmm.simulation.layout_units import LayoutError
from depmm.simulation.layout_values import (
    generate_values,
    matching_codes,
    normalise,
    source_field,
    translated_codes,
)

SPEC = parse_spec(AUDIO_SPEC, "toy")


def test_codes_are_found_by_their_meaning():
    assert matching_codes(SPEC, "gender", {"gender": ["female"]}) == ["1"]
    assert matching_codes(SPEC, "part", {"split": ["test"]}) == ["te"]
    assert matching_codes(SPEC, "part", {"gender": ["female"]}) is None


def test_a_meaning_without_code_is_an_error():
    with pytest.raises(LayoutError) as info:
        matching_codes(SPEC, "gender", {"gender": ["other"]})
    assert (info.value.setting, info.value.value) == ("codes.gender", "other")


def test_source_fields_and_their_codes():
    assert source_field(SPEC, "split") == "part"
    assert source_field(SPEC, "age") == "age"
    assert translated_codes(SPEC, "part") == ["tr", "va", "te"]
    assert translated_codes(SPEC, "age") == []


def test_generated_values_fit_the_form_of_the_field():
    assert list(generate_values("int", 3)) == ["1", "2", "3"]
    assert list(generate_values("1", 12)) == [str(k) for k in range(1, 10)]
    assert list(generate_values("3", 2)) == ["001", "002"]
    assert list(generate_values("", 2)) == ["1", "2"]
    assert list(generate_values("", 2, "S")) == ["S001", "S002"]


def test_leading_zeros_are_dropped_from_integers_only():
    assert normalise("int", "007") == "7"
    assert normalise("3", "007") == "007"
