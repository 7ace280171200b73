"""The fields of a layout: what determines them, and which splits and values it can express."""

import pytest
from simulated_layouts import AUDIO_SPEC, shipped_spec

from depmm.corpora.spec import parse_spec
from depmm.simulation.layout_fields import Layout
from depmm.simulation.layout_units import LayoutError


def test_path_fields_are_assigned_to_subject_and_session():
    layout = Layout(parse_spec(AUDIO_SPEC, "toy"))
    assert layout.id_names == {"subject"}
    assert layout.session_names == {"visit"}
    assert layout.unit_names == set()
    assert layout.splits == ("train", "validation", "test")


def test_layouts_without_official_split_have_no_splits():
    assert Layout(shipped_spec("ravdess")).splits == ()


def test_stated_fields_of_an_id_are_translated():
    stated = Layout(shipped_spec("emodb")).stated_fields({"subject": "03"})
    assert (stated["gender"], stated["age"]) == ("male", "31")


def test_a_code_without_translation_is_an_error():
    layout = Layout(parse_spec(AUDIO_SPEC, "toy"))
    fields = {"part": "xx"}
    layout.translate(fields, strict=False)
    assert fields == {"part": "xx"}
    with pytest.raises(LayoutError) as info:
        layout.translate(fields)
    assert (info.value.setting, info.value.value) == ("codes.split", "xx")
