"""Rendering of reports, and JSON values."""

import numpy as np
import pytest

from depmm.evaluation.reports.rendering import flatten, render, to_json_values


def test_nested_values_become_rows():
    rows = flatten({"a": {"b": 1}, "c": ["x", "y"]})
    assert rows == [("a.b", "1"), ("c", "x, y")]


def test_numpy_values_become_json_values():
    value = {1: np.float64(0.5), "nan": float("nan"), "inf": np.inf, "list": (np.int64(2), True)}
    assert to_json_values(value) == {"1": 0.5, "nan": None, "inf": None, "list": [2, True]}


def test_an_undefined_variable_of_a_template_is_an_error():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("report.html.jinja", m={"bootstrap": {}})
