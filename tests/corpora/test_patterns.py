"""Patterns of file names, templates, and the natural order."""

import pytest

from depmm.corpora.patterns import (
    PatternError,
    compile_pattern,
    expand_ranges,
    fill_template,
    is_kept,
    natural_sort_key,
    template_fields,
)


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{a}_{b}.wav", "S1_2_3.wav", {"a": "S1", "b": "2_3"}),
        ("{a}_{b}.wav", "x/S1_2.wav", None),
        ("{a}_{b}.wav", "S1_2.WAV", {"a": "S1", "b": "2"}),  # the extension has any case
        ("S{a}.wav", "s1.wav", None),
        ("**/{a}.wav", "x.wav", {"a": "x"}),
        ("**/{a}.wav", "p/q/x.wav", {"a": "x"}),
        ("v/**/{a}.wav", "v/p/q/x.wav", {"a": "x"}),
        ("v/**/{a}.wav", "w/x.wav", None),
        ("*/{a}.wav", "p/q/x.wav", None),
        ("{a:2}{b:3}{c:1}{d:1}.wav", "03a01Fa.wav", {"a": "03", "b": "a01", "c": "F", "d": "a"}),
        ("{a:2}.wav", "x/.wav", None),
        ("P{a:int}.wav", "P007.wav", {"a": "7"}),
        ("P{a:int}.wav", "P7b.wav", None),
        ("{t}/{s}_{t}.mp4", "North/1_North.mp4", {"t": "North", "s": "1"}),
        ("{t}/{s}_{t}.mp4", "North/1_South.mp4", None),
        ("a.b(c)+[d].wav", "a.b(c)+[d].wav", {}),
        ("a.wav", "abwav", None),
        ("{a}.wav", "zwei Wörter.wav", {"a": "zwei Wörter"}),
    ],
)
def test_patterns_read_fields(pattern, path, fields):
    assert compile_pattern(pattern).match(path) == fields


@pytest.mark.parametrize(
    "pattern",
    ["", "/x", "../x", "a/../b", "a\\b", "{a", "a}", "{A}", "{a:0}", "{a:x}", "a**", "**"],
)
def test_bad_patterns_are_refused(pattern):
    with pytest.raises(PatternError) as info:
        compile_pattern(pattern)
    assert info.value.value == pattern


def test_templates_are_filled_from_known_fields():
    assert fill_template("{a}-{b}!", {"a": "1", "b": "2"}) == "1-2!"
    assert fill_template("{a}-{b}", {"a": "1", "b": None}) is None


@pytest.mark.parametrize("template", ["{a.b}", "{a", "{a:2}"])
def test_bad_templates_are_refused(template):
    with pytest.raises(PatternError) as info:
        template_fields(template)
    assert info.value.value == template


def test_ranges_of_names_are_expanded():
    assert expand_ranges(["a", "x{0-2}_r"]) == ["a", "x0_r", "x1_r", "x2_r"]


def test_keep_and_drop_take_wildcards_and_the_empty_text():
    assert is_kept({"a": "grid_x.mpg"}, {"a": ["grid_*.mpg"]}, {})
    assert not is_kept({"a": "xgrid_x.mpg"}, {"a": ["grid_*.mpg"]}, {})
    assert not is_kept({"a": None}, {}, {"a": [""]})
    assert is_kept({"a": "b"}, {}, {"a": ["", "bb"]})


def test_natural_order_puts_2_before_10():
    assert sorted(["w10", "w2", "w1", "v3"], key=natural_sort_key) == ["v3", "w1", "w2", "w10"]
    assert sorted(["10", "9", "a", "1.5"], key=natural_sort_key) == ["1.5", "9", "10", "a"]


def test_natural_order_compares_numbers_by_value():
    """A transcript's times: 64.9 s is later than 64.84 s."""
    times = ["64.9", "64.84", "-3", "64", "-10.5", "100.25", ".5", "1e-3", "+3", "-2", "5.", "2E2"]
    assert sorted(times, key=natural_sort_key) == sorted(times, key=float)


def test_natural_order_is_total_for_texts_that_python_cannot_convert():
    digits = "9" * 5000
    assert sorted([digits, "x10", f"x{digits}", "1e999"], key=natural_sort_key)[-2:] == [
        "x10", f"x{digits}",
    ]  # fmt: skip


@pytest.mark.parametrize("digits", ["007", "0" * 5000 + "7", "7"])
def test_leading_zeros_are_dropped(digits):
    assert compile_pattern("P{a:int}.wav").match(f"P{digits}.wav") == {"a": "7"}
