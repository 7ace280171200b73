"""The schematic face of the region map."""

import re

import pytest

from depmm.interpret.attribution.face_drawing import draw_face
from depmm.interpret.attribution.face_regions import REGIONS, THIRDS


@pytest.mark.parametrize("names", [REGIONS, THIRDS])
def test_a_region_is_coloured_by_its_share_relative_to_its_area(names):
    areas = dict.fromkeys(names, 0.1)
    ratios = [0.0, 1.0, 2.0, 3.0, 9.0, 1.5, 0.5][: len(names)]
    svg = draw_face({name: 0.1 * r for name, r in zip(names, ratios, strict=True)}, areas, '"<x>"')
    found = {
        name.replace(" ", "_"): float(opacity)
        for opacity, name in re.findall(r'fill-opacity="([\d.]+)"><title>([a-z ]+):', svg)
    }
    expected = [0.0, 0.0, 0.5, 1.0, 1.0, 0.25, 0.0]
    assert found == dict(zip(names, expected, strict=False))
    assert "<x>" not in svg


def test_unknown_regions_are_refused():
    with pytest.raises(ValueError, match="chin"):
        draw_face({"chin": 1.0}, {"chin": 1.0}, "x")
