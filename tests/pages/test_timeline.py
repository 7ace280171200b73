"""Drawings of recordings: positions, sizes, alternative texts, escaped text and bounded size."""

import re

import numpy as np
import pytest

from depmm.pages.timeline import MAX_SHAPES, Picture, Span, Timeline, format_time


def rectangles(html: str) -> list[tuple[float, float, float, float]]:
    pattern = r'<rect class="\w+" x="([\d.]+)" y="(\d+)" width="([\d.]+)" height="(\d+)"'
    return [tuple(map(float, found)) for found in re.findall(pattern, html)]


def test_spans_are_at_their_times_and_inside_of_the_axis():
    timeline = Timeline(10.0)
    timeline.add_spans("Steps", [Span(1.0, 2.0), Span(2.0, 2.5), Span(9.0, 12.0)], "step")
    boxes = rectangles(timeline.render("x"))
    assert boxes == [(100, 0, 100, 100), (200, 0, 50, 100), (900, 0, 100, 100)]


def test_overlapping_spans_are_in_different_lines_and_short_ones_are_visible():
    timeline = Timeline(10.0)
    timeline.add_spans("Steps", [Span(0, 2), Span(1, 3), Span(2, 4), Span(10, 10)], "step")
    boxes = rectangles(timeline.render("x"))
    assert [(x, y) for x, y, _, _ in boxes] == [(0, 0), (100, 50), (200, 0), (999, 0)]
    assert boxes[3][2] == 1


def test_the_waveform_is_relative_to_its_loudest_part_and_marks_speech():
    timeline = Timeline(4.0)
    timeline.add_waveform([0.25, 0.5, np.nan, 0.0], speech=[Span(1.0, 2.0)])
    html = timeline.render("x")
    other, speech = re.findall(r'<path class="[a-z-]+-sound" d="([^"]*)"', html)
    assert other == "M0.5 50v100M3.5 99v2"
    assert speech == "M1.5 0v200"
    assert "loudest -6 dB of full scale" in html


@pytest.mark.parametrize("peaks", [[], [np.nan], [0.0, 0.0]])
def test_a_recording_without_sound_or_of_silence_is_drawn(peaks):
    timeline = Timeline(0.0)
    timeline.add_waveform(peaks)
    assert ("silence" if 0.0 in peaks else "no sound") in timeline.render("x")


def test_bars_have_the_sign_and_proportion_of_their_values():
    timeline = Timeline(4.0)
    spans = [Span(0, 1, value=2.0), Span(1, 2, value=-1.0), Span(2, 3), Span(3, 4, value=np.nan)]
    timeline.add_bars("Attribution", spans)
    html = timeline.render("x")
    assert 'class="positive" d="M0 100h250v-95h-250z"' in html
    assert 'class="negative" d="M250 100h250v47.5h-250z"' in html
    assert "2 values, the largest absolute value is 2.000" in html


def test_text_is_escaped_everywhere():
    bad = '"><script>x</script>'
    timeline = Timeline(1.0)
    timeline.add_spans(bad, [Span(0, 1, bad)], "step")
    timeline.add_bars(bad, [Span(0, 1, bad, 1.0)])
    timeline.add_pictures(bad, [Picture(0, 0.5, None, bad), Picture(0.5, 1, b"x", bad)])
    html = timeline.render(bad)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 12


def test_many_spans_have_a_bounded_size():
    spans = [Span(i, i + 1, "word " * 20, value=1.0) for i in range(20 * MAX_SHAPES)]
    timeline = Timeline(len(spans))
    timeline.add_spans("Steps", spans, "step")
    timeline.add_bars("Attribution", spans)
    html = timeline.render("x")
    assert "word" not in html
    assert len(html) < 60 * len(spans)


def test_pictures_have_alternative_texts_and_places():
    timeline = Timeline(4.0)
    timeline.add_pictures(
        "Face", [Picture(0, 2, b"\xff\xd8", "face at 1 s"), Picture(2, 4, None, "no face")]
    )
    html = timeline.render("x")
    assert '<img src="data:image/jpeg;base64,/9g=" alt="face at 1 s"' in html
    assert 'style="left:50%;width:50%"' in html
    assert 'role="img" aria-label="no face"' in html


def test_the_axis_has_few_ticks_at_round_times():
    for duration_s in (0.001, 0.7, 3, 61, 119, 599, 5000, 86400, 1e7):
        html = Timeline(duration_s).render("x")
        assert 1 <= len(re.findall(r'class="(?:major|minor)"', html)) <= 10 * 9
    ticks = re.findall(r'left:([\d.]+)%">([^<]*)<', Timeline(60).render("x"))
    assert ticks[:3] == [("0", "0 s"), ("16.67", "10 s"), ("33.33", "20 s")]
    assert format_time(3723, 4000) == "1:02:03"
    assert format_time(0.5, 3) == "0.5 s"
