"""Mistakes in a data spec: each is reported with its setting and line."""

import pytest
from corpus_samples import TOY, replace_text

from depmm.corpora.spec import SpecError, parse_spec

TIMES = """\
steps:
  table:
    file: w.csv
    join: {s: subject}
    fields: {start: a}
    times:"""


@pytest.mark.parametrize(
    ("old", "new", "setting", "line"),
    [
        ("session:", "sesion:", "sesion", 9),
        ('session: "{subject}_{visit}"\n', "", "session", 1),
        ('"{subject}_{visit}.wav"', '"{visit}.wav"', "recordings[0].pattern", 7),
        ('"{subject}_{visit}"', '"{subject}_{vist}"', "recordings[0].pattern", 7),
        ("{subject}_{visit}.wav", "{subject_{visit}.wav", "recordings[0].pattern", 7),
        ("[audio]", "[Voice]", "recordings[0].modalities[0]", 8),
        ("score: bdi}", "score: bid}", "label.score", 16),
        ("score: bdi}", "score: bdi, cut_off: 64}", "label.cut_off", 16),
        ("score: bdi}", "score: bdi, cut_off: 0}", "label.cut_off", 16),
        ("BDI-II, score: bdi", "BDI-2, score: bdi", "label.instrument", 16),
        ("BDI-II, score: bdi", "group, score: bdi", "label", 16),
        ("BDI-II,", "{name: BDI-II, minimum: 0, maximum: 9},", "label.instrument.name", 16),
        ("BDI-II,", "{name: X, minimum: 9, maximum: 9},", "label.instrument.maximum", 16),
        (
            "BDI-II,",
            "{name: X, minimum: 0, maximum: 9, cut_off: 0},",
            "label.instrument.cut_off",
            16,
        ),
        (
            "BDI-II,",
            "{name: X, minimum: 0, maximum: 9, bands: {a: 1, b: 5}},",
            "label.instrument.bands",
            16,
        ),
        ("score: bdi}", "field: bdi}", "label", 16),
        ("score: bdi}", "field: bdi, positive: [1, 0], negative: [0]}", "label.positive", 16),
        ("join: {subject: subject", "join: {subject: subjct", "tables[0].join", 12),
        ("join: {subject: subject", 'join: {subject: "a b"', "tables[0].join.subject", 12),
        ("gender: {names", "gendr: {names", "codes.gendr", 15),
        ("gender: gender}", "gender_code: gender}", "codes.gender", 15),
        ("file: labels.csv", "file: /labels.csv", "tables[0].file", 11),
        ("file: labels.csv", "header: true", "tables[0]", 11),
        ("fields: {bdi", "header: false\n    fields: {bdi", "tables[0].columns", 11),
        ("name: toy", "name: to/y", "name", 1),
        ("name: toy", "name: toy\nname: toy", "name", 2),
        ("title: t", "title: 7", "title", 2),
        ("codes:", "columns: [subject]\ncodes:", "columns", 14),
        ("codes:", "columns: [cut_off]\ncodes:", "columns", 14),
        ("codes:", "steps: {order: [tsk]}\ncodes:", "steps.order", 14),
        ("codes:", "required_modalities: [face]\ncodes:", "required_modalities", 14),
        (
            "codes:",
            "steps:\n  table: {file: w.csv, join: {s: subject}, fields: {text: w}}\ncodes:",
            "steps.table.fields",
            15,
        ),
        ("file: labels.csv", "file: labels.csv\n    encoding: zip", "tables[0].encoding", 12),
        ("file: labels.csv", "file: labels.csv\n    decimal: ;", "tables[0].decimal", 12),
        ("codes:", f"{TIMES} minutes\ncodes:", "steps.table.times", 19),
        ("codes:", f"{TIMES} 0\ncodes:", "steps.table.times", 19),
        ("codes:", f"{TIMES} true\ncodes:", "steps.table.times", 19),
        (
            "title: t",
            "title: t\nrelated_corpora: [{corpus: x, same_id: true, reason: r}]",
            "related_corpora[0].same_id",
            3,
        ),
    ],
)
def test_a_mistake_is_reported_with_setting_and_line(old, new, setting, line):
    with pytest.raises(SpecError) as info:
        parse_spec(replace_text(TOY, (old, new)), "toy.yaml")
    assert (info.value.setting, info.value.line) == (setting, line)
    assert str(info.value.file) == "toy.yaml"


@pytest.mark.parametrize(
    ("old", "new", "suggestion"),
    [
        ("session:", "sesion:", "'session'"),
        ("score: bdi}", "score: bid}", "'bdi'"),
        ("join: {subject: subject", "join: {subject: subjct", "'subject'"),
        ("BDI-II, score", "BDI-2, score", "'BDI-II'"),
    ],
)
def test_the_error_of_a_misspelt_name_suggests_the_closest_one(old, new, suggestion):
    with pytest.raises(SpecError) as info:
        parse_spec(replace_text(TOY, (old, new)), "toy.yaml")
    assert f"Did you mean {suggestion}?" in str(info.value)


def test_all_problems_are_in_one_message():
    text = replace_text(TOY, ("title: t", "title: 7"), ("access: a", "access: 8"))
    with pytest.raises(SpecError) as info:
        parse_spec(text, "toy.yaml")
    assert [line.split(":")[0] for line in str(info.value).splitlines()] == [
        "toy.yaml, line 2", "toy.yaml, line 5",
    ]  # fmt: skip
