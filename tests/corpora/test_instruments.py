"""Instruments: ranges, cut-offs and severity levels."""

import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.instruments import (
    INSTRUMENTS,
    check_score,
    define_instrument,
    find_scale,
    is_instrument,
    short_name,
)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_cut_off_and_levels_are_inside_the_range(name):
    scale = INSTRUMENTS[name]
    if scale.lowest is None or scale.highest is None:
        assert scale.cut_off is None
        assert scale.levels == ()
        return
    assert list(scale.levels) == sorted(set(scale.levels))
    for value in (*scale.levels, *([] if scale.cut_off is None else [scale.cut_off])):
        assert scale.lowest < value <= scale.highest
    assert len(scale.level_names) == (len(scale.levels) + 1 if scale.levels else 0)


@pytest.mark.parametrize(
    ("score", "instrument", "fits"),
    [(0, "BDI-II", True), (63, "BDI-II", True), (64, "BDI-II", False), (-1, "PHQ-8", False),
     (19, "SDS", False), (1, "group", False), (1, "unknown", False)],
)  # fmt: skip
def test_scores_outside_the_range_are_refused(score, instrument, fits):
    if fits:
        assert check_score(score, instrument, "session s1", "s1") == score
        return
    with pytest.raises(ManifestError) as info:
        check_score(score, instrument, "session s1", "s1")
    assert (info.value.column, info.value.session, info.value.value) == ("score", "s1", score)


def test_definition_of_an_instrument_is_read_from_its_text():
    text = define_instrument("CES-D", 0, 60, 16, {"none": 0, "mild": 16, "severe": 27})
    scale = find_scale(text)
    assert (scale.lowest, scale.highest, scale.cut_off, scale.levels) == (0, 60, 16, (16, 27))
    assert scale.level_names == ("none", "mild", "severe")
    assert short_name(text) == "CES-D"
    assert short_name(f"{text} level") == "CES-D level"
    assert find_scale(f"{text} level").levels == (0.5, 1.5)
    assert find_scale(define_instrument("VAS", -1.5, 10)).lowest == -1.5
    assert is_instrument(text)
    assert not is_instrument("CES-D")
    with pytest.raises(ManifestError):
        check_score(61, text, "session s1")


@pytest.mark.parametrize(
    ("instrument", "score", "level"),
    [("MADRS", 6, "none"), ("MADRS", 20, "moderate"), ("HAMD-17", 24, "severe"),
     ("GDS-15", 9, "moderate"), ("GDS-30", 10, "mild")],
)  # fmt: skip
def test_levels_begin_at_the_published_scores(instrument, score, level):
    scale = find_scale(instrument)
    assert scale.level_names[sum(edge <= score for edge in scale.levels)] == level
