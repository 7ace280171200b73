"""YAML of data specs: ids stay text, keys are unique, tags are refused."""

import pytest
from corpus_samples import TOY, replace_text

from depmm.corpora.spec import SpecError, parse_spec
from depmm.corpora.strict_yaml import parse_yaml


def test_codes_and_on_are_not_converted():
    text = "names: {01: female, 2: male, no: null, on: male}\ndate: 2000-01-02"
    values, _, problems = parse_yaml(text)
    assert values == {
        "names": {"01": "female", 2: "male", "no": None, "on": "male"},
        "date": "2000-01-02",
    }
    assert problems == []


def test_codes_of_a_spec_are_text():
    old, new = '{F: female, M: male, "?": null}', "{01: female, 2: male, no: null, on: male}"
    spec = parse_spec(replace_text(TOY, (old, new)), "toy.yaml")
    names = {"01": "female", "2": "male", "no": None, "on": "male"}
    assert spec.codes["gender"].names == names


def test_lines_of_keys_and_items_are_recorded():
    _, lines, _ = parse_yaml("a:\n  - x\n  - {b: 1}\n")
    assert lines == {("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b"): 3}


def test_a_repeated_key_is_a_problem():
    _, _, problems = parse_yaml("a: {b: 1, c: 2, b: 3}")
    assert [location for location, _ in problems] == [("a", "b")]


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("&x t\nunverified: [*x]", 2),  # aliases can grow without bound
        ("!!python/name:os.system", 2),
        ("[", 4),
        ("a\x07", 2),
        ("[" * 500, 2),
        ("9" * 5000, 2),
    ],
)
def test_other_documents_than_plain_yaml_are_refused(title, line):
    with pytest.raises(SpecError) as info:
        parse_spec(replace_text(TOY, ("title: t", f"title: {title}")), "toy.yaml")
    assert str(info.value.file) == "toy.yaml"
    assert info.value.setting is None
    assert info.value.line == line


def test_a_spec_that_is_a_list_is_refused():
    with pytest.raises(SpecError):
        parse_spec("- 1", "toy.yaml")
