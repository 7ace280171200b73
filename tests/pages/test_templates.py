"""Filters and environments of the templates."""

from depmm.pages.templates import markdown_text, number, p_value, templates


def test_numbers_have_a_minus_sign_and_a_dash_for_undefined():
    assert number(-0.12345) == "\N{MINUS SIGN}0.123"
    assert number(-0.0004) == "0.000"
    assert number(2.0, 0) == "2"
    assert number(0.5, 1) == "0.5"
    assert number(None) == "\N{EN DASH}"


def test_small_p_values_are_not_zero():
    assert (p_value(0.0004), p_value(0.0005), p_value(None)) == ("<0.001", "0.001", "\N{EN DASH}")


def test_markdown_and_html_are_escaped():
    assert markdown_text("a_b\n<i> $x$ & c") == "a\\_b &lt;i&gt; \\$x\\$ &amp; c"


def test_html_is_escaped_and_markdown_is_not():
    environment = templates("depmm.evaluation.reports")
    assert environment.autoescape("report.html.jinja")
    assert not environment.autoescape("model_card.md.jinja")
