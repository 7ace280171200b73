"""Names from tables, configs and command lines are text on the pages, not markup."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import depmm
from depmm.evaluation.reports.rendering import render

TRAP = "<img src=x onerror=alert(1)>\"'&"
# drawn by matplotlib or written by depmm itself
SAFE = {"roc", "svg", "script", "generator", "group.figure", '"&lt; 0.001"'}

CROSS_CORPUS = {
    "m": {
        "bootstrap": {"confidence": 0.95}, "unit": TRAP, "labels": [TRAP], "notes": [TRAP],
        "audits": {TRAP: TRAP}, "cells": [], "differences": [],
    },
    "title": TRAP, "names": [], "train_sets": [TRAP], "test_corpora": [TRAP],
    "command": TRAP,
}  # fmt: skip
ENTRY = {
    "classes": [TRAP], "balanced_accuracy": 0.5, "ci_low": 0.4, "ci_high": 0.6, "chance": 0.5,
    "subjects": 3, "protocol": "within",
    "nonlinear": {"balanced_accuracy": 0.5, "ci_low": 0.4, "ci_high": 0.6},
}  # fmt: skip
PROBE = {"m": {"probe": {"splits": [TRAP], "nuisance": {TRAP: ENTRY}}}}
ROW = {
    "measure": TRAP, "unit": TRAP, "stratum": f"task = {TRAP}", "n": 3, "missing": 0,
    "estimate": None, "p": None, "p_adjusted": None,
}  # fmt: skip
MEASURE = {"name": TRAP, "unit": TRAP, "description": TRAP}
MEASURES = {
    "title": TRAP, "manifest": TRAP, "n_subjects": 1, "n_sessions": 1, "n_steps": 1,
    "n_measures": 1, "n_not_stored": 0, "notes": [TRAP], "verdict": TRAP, "significant": 0,
    "compared": True, "design": "score", "effect": TRAP, "n_compared": 1, "n_tests": 1,
    "target": SimpleNamespace(column=TRAP, positive=[TRAP], negative=[TRAP]), "alpha": 0.05,
    "groups": [{
        "name": TRAP, "measures": {TRAP: MEASURE}, "rows": [ROW], "strata": [ROW], "figure": "",
        "n_in_strata": 0,
    }],
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "content"),
    [
        ("cross_corpus.html.jinja", CROSS_CORPUS),
        ("probe.html.jinja", PROBE),
        ("measures.html.jinja", MEASURES),
    ],
)
def test_names_are_escaped(template, content):
    page = render(template, **content)
    assert "&lt;img" in page
    assert "<img" not in page
    assert TRAP[-3:] not in page


def test_only_own_content_is_not_escaped():
    templates = Path(depmm.__file__).parent.rglob("*.html.jinja")
    found = {
        expression.strip()
        for template in templates
        for expression in re.findall(r"\{\{([^{}]*?)\|\s*safe", template.read_text())
    }
    assert {name for name in found if not name.startswith("figures.")} == SAFE
