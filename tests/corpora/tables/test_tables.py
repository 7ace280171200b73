"""Tables of a spec: JSON, whole files and Excel sheets, and sessions that must have a label."""

import io
import json
import zipfile
from pathlib import Path

import layouts
import pytest
from corpus_samples import values_by_session

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
    join: {subset: subset, participant: subject}
    fields: {phq: score, group: group}
    drop: {group: [pilot]}
label: {instrument: PHQ-9, score: phq}
"""
NAMED = SPEC.replace("format: json", "format: json\n    key: participant")
TRANSCRIPTS = """\
name: toy
title: t
citation: c
licence: l
access: a
recordings:
  - {pattern: "{subject}.wav", modalities: [audio]}
session: "{subject}"
tables:
  - file: "{subject}.txt"
    header: false
    columns: [spoken]
    whole_file: true
    join: {subject: subject}
    fields: {text: spoken}
"""
SHEET = TRANSCRIPTS[: TRANSCRIPTS.index("tables:")].replace(
    "{subject}.wav", "{subject:int}.wav"
) + (
    "columns: [group]\ntables:\n  - "
    "{file: subjects.xlsx, join: {id: subject}, integers: [id], fields: {group: type}}\n"
)


def write_corpus(root: Path, labels: object, subjects: tuple[int, ...] = (1, 2)) -> Path:
    (root / "young").mkdir(parents=True)
    for subject in subjects:
        (root / f"young/{subject:03d}.wav").touch()
    (root / "young/labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        (
            SPEC,
            [
                {"participant": 1, "score": 12, "group": True, "more": {"nested": [1]}},
                {"participant": 2, "score": 3.0},
                {"participant": 3, "group": "pilot"},
            ],
        ),
        (NAMED, {"1": {"score": "12", "group": "true"}, "2": {"score": 3, "group": None}}),
    ],
    ids=["list of objects", "objects by name"],
)
def test_objects_are_rows(spec, labels, tmp_path):
    manifest, report = index_corpus(parse_spec(spec, "toy"), write_corpus(tmp_path, labels))
    assert (report.missing, report.unused) == ((), ())
    sessions = manifest.sessions.set_index("session")
    assert sessions["score"].to_dict() == {"young-1": 12, "young-2": 3}
    assert sessions["label"].to_dict() == {"young-1": 1, "young-2": 0}
    assert sessions["group"].fillna("?").to_dict() == {"young-1": "true", "young-2": "?"}


@pytest.mark.parametrize(
    ("spec", "text", "attributes"),
    [
        (SPEC, "[{]", {}),
        (SPEC, "[" * 200_000, {}),
        (SPEC, '{"1": {"score": 3}}', {"setting": "key"}),
        (NAMED, '[{"participant": 1}]', {"setting": "key"}),
        (SPEC, "3", {"setting": "key"}),
        (SPEC, '[{"participant": 1, "score": [3], "group": 1}]', {"column": "score"}),
        (SPEC, "[7]", {"value": 7}),
        (SPEC, r'[{"participant": 1, "score": 3, "group": "\ud800"}]', {"column": "group"}),
        (SPEC, '[{"participant": "../1", "score": 3, "group": 1}]', {"value": "../1"}),
    ],
)
def test_bad_json_is_refused(spec, text, attributes, tmp_path):
    root = write_corpus(tmp_path, [])
    (root / "young/labels.json").write_text(text)
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(spec, "toy"), root)
    assert info.value.file == Path("young/labels.json")
    assert {name: getattr(info.value, name) for name in attributes} == attributes


def test_a_missing_member_is_a_missing_column(tmp_path):
    root = write_corpus(tmp_path, [{"participant": 1, "scores": 3, "group": 1}])
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(SPEC, "toy"), root)
    assert info.value.column == "score"
    assert "'scores'" in str(info.value)


def test_a_score_that_is_not_a_number_is_refused(tmp_path):
    root = write_corpus(tmp_path, [])
    (root / "young/labels.json").write_text('[{"participant": 1, "score": NaN, "group": 1}]')
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(SPEC, "toy"), root)
    assert (info.value.session, info.value.value) == ("young-1", "nan")


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ("format: json", "format: json\n    sep: ';'", "tables[0].format"),
        ("format: json", "key: participant", "tables[0].key"),
        ("format: json", "format: yaml", "tables[0].format"),
    ],
)
def test_keys_of_another_format_are_refused(old, new, setting):
    with pytest.raises(SpecError) as info:
        parse_spec(SPEC.replace(old, new), "toy.yaml")
    assert info.value.setting == setting


def test_a_missing_required_label_is_reported(tmp_path):
    labels = [{"participant": 1, "score": 12, "group": "a"}]
    root = write_corpus(tmp_path, labels)
    required = SPEC.replace("score: phq}", "score: phq, required: true}")
    required = required.replace("    drop:", "    required: false\n    drop:")
    _, report = index_corpus(parse_spec(required, "toy"), root)
    assert [(item.where, item.message) for item in report.missing] == [
        ("young/002.wav", "session young-2: no phq in {subset}/labels.json")
    ]
    assert report.counts["unlabelled"] == 1
    _, report = index_corpus(parse_spec(required.replace(", required: true", ""), "toy"), root)
    assert report.missing == ()
    misspelt = required.replace("labels.json", "label.json")
    (root / "old").mkdir(exist_ok=True)
    _, report = index_corpus(parse_spec(misspelt, "toy"), root)
    assert [item.kind for item in report.missing] == ["table"]  # and not each session
    assert "did you mean" in report.missing[0].message
    assert "no session has phq" in report.missing[0].message


def test_a_whole_file_is_one_cell(tmp_path):
    text = 'Well, "yes";\tand\n\n  no.\n'
    root = layouts.write(tmp_path, {"A.wav": "", "A.txt": text, "B.wav": "", "B.txt": ""})
    manifest, report = index_corpus(parse_spec(TRANSCRIPTS, "toy.yaml"), root)
    assert values_by_session(manifest.steps, "text") == {"A": 'Well, "yes"; and no.', "B": None}
    assert report.complete


@pytest.mark.parametrize("columns", ["columns: [spoken, by]", "columns: []"])
def test_a_whole_file_needs_one_column(columns):
    text = TRANSCRIPTS.replace("columns: [spoken]", columns)
    with pytest.raises(SpecError) as info:
        parse_spec(text, "toy.yaml")
    assert "tables[0].whole_file" in str(info.value)


def test_integers_are_columns_of_the_table():
    text = TRANSCRIPTS.replace("whole_file: true", "integers: [sid]")
    with pytest.raises(SpecError) as info:
        parse_spec(text, "toy.yaml")
    assert info.value.setting == "tables[0].integers"


def test_a_sheet_is_read_as_text(tmp_path):
    rows: list[list[object]] = [[None, "id", "type"], ["remark", 7.0, 1], [None, "008", True]]
    files: layouts.Files = {"007.wav": "", "8.wav": "", "subjects.xlsx": layouts.workbook(rows)}
    manifest, report = index_corpus(parse_spec(SHEET, "s.yaml"), layouts.write(tmp_path, files))
    assert values_by_session(manifest.sessions, "group") == {"7": "1", "8": "true"}
    assert report.complete


def test_a_sheet_with_wrong_dimensions_is_read_whole(tmp_path):
    files: layouts.Files = {"7.wav": "", "8.wav": ""}
    whole = layouts.workbook([["id", "type"], [7, "a"], [8, "b"]])
    cut = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(cut, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'ref="A1:B3"', b'ref="A1"'))
    assert b"A1:B3" in zipfile.ZipFile(io.BytesIO(whole)).read("xl/worksheets/sheet1.xml")
    root = layouts.write(tmp_path, {**files, "subjects.xlsx": cut.getvalue()})
    manifest, _ = index_corpus(parse_spec(SHEET, "s.yaml"), root)
    assert values_by_session(manifest.sessions, "group") == {"7": "a", "8": "b"}


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"id,type\n", None, None),
        (layouts.workbook([]), None, None),
        (layouts.workbook([["id", "tpye"]]), 1, "type"),
        (layouts.workbook([["id", "type"], ["7b", "x"]]), 2, "id"),
    ],
)
def test_a_bad_sheet_is_refused(content, line, column, tmp_path):
    root = layouts.write(tmp_path, {"7.wav": "", "subjects.xlsx": content})
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(SHEET, "s.yaml"), root)
    assert str(info.value.file) == "subjects.xlsx"
    assert (info.value.line, info.value.column) == (line, column)


@pytest.mark.parametrize(
    ("spec", "text", "column", "value"),
    [
        (SPEC, '[{"participant": 1, "score": 3, "score": 13, "group": 1}]', "score", None),
        (NAMED, '{"1": {"score": 3}, "1": {"score": 13}}', "participant", "1"),
        (NAMED, '{"1": {"participant": 2, "score": 3, "group": 1}}', "participant", None),
        (
            SPEC,
            '[{"participant": 1, "score": 3, "group": 1}, {"participant": 2, "scores": 3}]',
            "score",
            "scores",
        ),
    ],
)
def test_members_that_stand_twice_or_are_misspelt_are_refused(spec, text, column, value, tmp_path):
    root = write_corpus(tmp_path, [])
    (root / "young/labels.json").write_text(text)
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(spec, "toy"), root)
    assert (info.value.column, info.value.value) == (column, value)
    assert info.value.remedy


def test_members_that_are_not_used_may_stand_twice(tmp_path):
    root = write_corpus(tmp_path, [], subjects=(1,))
    text = '[{"participant": 1, "note": "a", "note": "b", "score": 12, "group": 1}]'
    (root / "young/labels.json").write_text(text)
    manifest, _ = index_corpus(parse_spec(SPEC, "toy"), root)
    assert manifest.sessions["score"].tolist() == [12]


@pytest.mark.parametrize(
    ("recording", "row"), [("007", "7"), ("7", "007"), ("7", "7.0"), ("P7", "p7"), ("P7", "P-07")]
)
def test_a_row_whose_id_is_written_differently_is_named(recording, row, tmp_path):
    spec = TRANSCRIPTS[: TRANSCRIPTS.index("tables:")] + (
        "columns: [group]\ntables:\n  - {file: t.csv, join: {id: subject}, fields: {group: type}}\n"
    )
    (tmp_path / f"{recording}.wav").touch()
    (tmp_path / "t.csv").write_text(f"id,type\n{row},a\nQ1,b\n")
    manifest, report = index_corpus(parse_spec(spec, "toy"), tmp_path)
    assert manifest.sessions["group"].isna().all()  # ids are never guessed
    missing = [item.message for item in report.missing if item.kind == "row"]
    assert len(missing) == 1
    assert f"the table has id={row}" in missing[0]
