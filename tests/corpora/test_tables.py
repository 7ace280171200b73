"""Tables of a spec that are JSON, and sessions that must have a label."""

import json
from pathlib import Path

import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import SpecError, parse_spec

SPEC = """
name: toy
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{subset}/{subject:int}.wav"
    modalities: [audio]
subject: "{subset}-{subject}"
session: "{subject}"
columns: [group]
tables:
  - file: "{subset}/labels.json"
    format: json
    join: {subset: subset, person: subject}
    fields: {phq: score, group: group}
    drop: {group: [pilot]}
label: {instrument: PHQ-9, score: phq}
"""
NAMED = SPEC.replace("format: json", "format: json\n    key: person")


def lay_out(root: Path, labels: object, people: tuple[int, ...] = (1, 2)) -> Path:
    (root / "young").mkdir(parents=True)
    for number in people:
        (root / f"young/{number:03d}.wav").touch()
    (root / "young/labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        (
            SPEC,
            [
                {"person": 1, "score": 12, "group": True, "more": {"nested": [1]}},
                {"person": 2, "score": 3.0},
                {"person": 3, "group": "pilot"},
            ],
        ),
        (NAMED, {"1": {"score": "12", "group": "true"}, "2": {"score": 3, "group": None}}),
    ],
    ids=["list of objects", "objects by name"],
)
def test_objects_are_rows(spec, labels, tmp_path):
    manifest, report = index_corpus(parse_spec(spec, "toy"), lay_out(tmp_path, labels))
    assert (report.missing, report.unused) == ((), ())
    sessions = manifest.sessions.set_index("session")
    assert sessions["score"].to_dict() == {"young-1": 12, "young-2": 3}
    assert sessions["label"].to_dict() == {"young-1": 1, "young-2": 0}
    assert sessions["group"].fillna("?").to_dict() == {"young-1": "true", "young-2": "?"}


@pytest.mark.parametrize(
    ("spec", "text", "parts"),
    [
        (SPEC, "[{]", ["not JSON"]),
        (SPEC, "[" * 200_000, ["not JSON"]),
        (SPEC, '{"1": {"score": 3}}', ["an object", "key:"]),
        (NAMED, '[{"person": 1}]', ["a list", "key:"]),
        (SPEC, "3", ["a int"]),
        (SPEC, '[{"person": 1, "scores": 3, "group": 1}]', ["'score' is missing", "'scores'"]),
        (SPEC, '[{"person": 1, "score": [3], "group": 1}]', ["entry 0", "'score'", "no single"]),
        (SPEC, "[7]", ["entry 0: 7", "subset, person", "ignore:"]),
        (SPEC, '[{"person": "../1", "score": 3, "group": 1}]', ["entry 0", "'../1'"]),
        (SPEC, '[{"person": 1, "score": NaN, "group": 1}]', ["'nan'", "not a number"]),
    ],
)
def test_what_cannot_be_read_is_named(spec, text, parts, tmp_path):
    root = lay_out(tmp_path, [])
    (root / "young/labels.json").write_text(text)
    with pytest.raises(ManifestError) as caught:
        index_corpus(parse_spec(spec, "toy"), root)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("format: json", "format: json\n    sep: ';'", ["tables[0].format", "sep:", "format text"]),
        ("format: json", "key: person", ["tables[0].key", "format json"]),
        ("format: json", "format: yaml", ["tables[0].format", "'yaml'"]),
    ],
)
def test_mistakes_in_a_spec_are_named(old, new, parts):
    with pytest.raises(SpecError) as caught:
        parse_spec(SPEC.replace(old, new), "toy.yaml")
    for part in parts:
        assert part in str(caught.value)


def test_a_required_label_is_missed(tmp_path):
    labels = [{"person": 1, "score": 12, "group": "a"}]
    root = lay_out(tmp_path, labels)
    needed = SPEC.replace("score: phq}", "score: phq, required: true}")
    needed = needed.replace("    drop:", "    required: false\n    drop:")
    _, report = index_corpus(parse_spec(needed, "toy"), root)
    assert [(item.where, item.message) for item in report.missing] == [
        ("young/002.wav", "session young-2: no phq in {subset}/labels.json")
    ]
    assert report.counts["unlabelled"] == 1
    _, report = index_corpus(parse_spec(needed.replace(", required: true", ""), "toy"), root)
    assert report.missing == ()
