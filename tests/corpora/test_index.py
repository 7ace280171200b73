"""Indexing of a small folder: reported gaps and refused input."""

from pathlib import Path

import layouts
import pytest
from corpus_samples import TOY, TOY_FILES, replace_text

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec
from depmm.evaluation.stats.severity_metrics import severity_bands

HEADER = "subject,visit,score,gender\n"
SESSION = 'session: "{subject}_{visit}"'


def test_gaps_are_reported(tmp_path):
    files = {
        **TOY_FILES,
        "S3_1.wav": "",
        "labels.csv": TOY_FILES["labels.csv"] + "S4,1,20,F\n",
    }
    manifest, report = index_corpus(parse_spec(TOY, "toy.yaml"), layouts.write(tmp_path, files))
    assert {(item.kind, item.where) for item in report.missing} == {
        ("row", "S3_1.wav"),
        ("recording", "labels.csv"),
    }
    assert "no recording for subject=S4, visit=1" in report.summary()
    assert "no row in labels.csv for subject=S3, visit=1" in report.to_json()
    unlabelled = manifest.sessions[manifest.sessions["label"].isna()]
    assert list(unlabelled["session"]) == ["S3_1"]
    assert unlabelled["instrument"].isna().all()
    assert not report.complete


def test_a_missing_table_is_reported_once(tmp_path):
    files = {path: text for path, text in TOY_FILES.items() if path != "labels.csv"}
    report = index_corpus(parse_spec(TOY, "toy.yaml"), layouts.write(tmp_path, files))[1]
    assert [(item.kind, item.where) for item in report.missing] == [("table", "labels.csv")]


@pytest.mark.parametrize(
    ("files", "changes", "attributes"),
    [
        (
            {"labels.csv": "subject,visit,bdi,gender\n"},
            [],
            {"file": "labels.csv", "column": "score"},
        ),
        ({"labels.csv": ""}, [], {"file": "labels.csv"}),
        (
            {"labels.csv": f"{HEADER}S1,1,64,F\n"},
            [],
            {"file": "labels.csv", "line": 2, "value": 64},
        ),
        (
            {"labels.csv": f"{HEADER}S1,1,nan,F\n"},
            [],
            {"file": "labels.csv", "line": 2, "value": "nan"},
        ),
        (
            {"labels.csv": f"{HEADER}S1,1,9,X\n"},
            [],
            {"setting": "codes.gender", "file": "labels.csv", "line": 2, "value": "X"},
        ),
        (
            {"labels.csv": f"{HEADER}../S1,1,9,F\n"},
            [],
            {"file": "labels.csv", "line": 2, "value": "../S1"},
        ),
        ({"labels.csv": f"{HEADER}S1,1,9\n"}, [], {"file": "labels.csv", "line": 2}),
        (
            {"labels.csv": f"{HEADER}S1,1,9,F\nS1,1,8,F\n"},
            [],
            {"file": "labels.csv", "line": 3, "column": "bdi", "value": "8"},
        ),
        ({}, [(SESSION, 'session: "{visit}"')], {"subject": "S2", "session": "1"}),
        (
            {"labels.csv": f"{HEADER}S1,1,9,F\nS1,2,10,F\n"},
            [(SESSION, 'session: "{subject}"\nsteps: {order: [visit]}')],
            {"file": "labels.csv", "line": 3, "column": "bdi", "session": "S1", "value": "10"},
        ),
        (
            {"labels.csv": f"{HEADER}S1,1,9,F\n"},
            [('{F: female, M: male, "?": null}', "{F: woman, M: man}")],
            {"line": 2, "column": "gender", "session": "S1_1", "value": "woman"},
        ),
        (
            {},
            [("{subject}_{visit}.wav", "{subject}_{visit}.flac")],
            {"setting": "recordings", "file": ""},
        ),
    ],
)
def test_bad_input_is_refused(tmp_path, files, changes, attributes):
    root = layouts.write(tmp_path, {**TOY_FILES, **files})
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(replace_text(TOY, *changes), "toy.yaml"), root)
    if "file" in attributes:  # the folder itself, or a file by its path in it
        attributes = {**attributes, "file": Path(attributes["file"] or root)}
    assert {name: getattr(info.value, name) for name in attributes} == attributes


def test_text_in_another_encoding_is_refused(tmp_path):
    files = {**TOY_FILES, "labels.csv": f"{HEADER}Sé,1,2,F\n".encode("latin-1")}
    root = layouts.write(tmp_path, files)
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(TOY, "toy.yaml"), root)
    assert info.value.file == Path("labels.csv")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(TOY, "toy.yaml"), tmp_path / "missing")
    assert info.value.file == tmp_path / "missing"


def test_a_defined_instrument_gives_classes_and_levels(tmp_path):
    own = "{name: CES-D, minimum: 0, maximum: 60, cut_off: 16, bands: {low: 0, high: 16}}"
    spec = parse_spec(
        "name: own\nrecordings: [{pattern: '{subject}.wav', modalities: [audio]}]\n"
        "session: '{subject}'\ntables:\n  - rows: |\n      id,cesd\n      a,15\n      b,16\n"
        "    join: {id: subject}\n    fields: {cesd: cesd}\n"
        f"label: {{instrument: {own}, score: cesd}}\n",
        "own.yaml",
    )
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    manifest, _ = index_corpus(spec, tmp_path)
    assert manifest.sessions["label"].tolist() == [0, 1]
    assert manifest.sessions["cut_off"].tolist() == [16, 16]
    instrument = manifest.sessions["instrument"].iloc[0]
    assert severity_bands([15.9, 16], instrument).tolist() == [0, 1]
