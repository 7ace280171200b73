"""Instruments: ranges, cut-offs and severity levels."""

import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.instruments import INSTRUMENTS, check_score


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
