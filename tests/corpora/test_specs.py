"""Every spec of a recorded corpus on a small folder in its layout: who, when, which label."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import layouts
import pandas as pd
import pytest

from depmm.audit.checks import label_score_mismatch, split_overlap
from depmm.audit.findings import AuditInput
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.corpora.spec import SpecError, load_spec, parse_spec
from depmm.corpora.spec_schema import Spec, json_schema

SPECS = Path(__file__).parents[2] / "data_specs"
LAYOUTS: dict[str, Callable[[], layouts.Files]] = {
    "avec2013": layouts.avec2013,
    "avec2014": layouts.avec2014,
    "eatd": layouts.eatd,
    "modma": layouts.modma,
    "androids": layouts.androids,
    "ewre_raw": layouts.ewre_raw,
}


def indexed(
    name: str, root: Path, files: layouts.Files | None = None
) -> tuple[Manifest, IndexReport]:
    files = LAYOUTS[name]() if files is None else files
    return index_corpus(load_spec(SPECS / f"{name}.yaml"), layouts.write(root, files))


def column(table: pd.DataFrame, name: str) -> dict[str, object]:
    """session -> value, None where it is unknown."""
    return {
        session: None if pd.isna(value) else value
        for session, value in zip(table["session"], table[name], strict=True)
    }


def steps_of(manifest: Manifest, session: str) -> pd.DataFrame:
    return manifest.steps[manifest.steps["session"] == session]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_complete_folder_leaves_nothing_missing_and_nothing_unused(name, tmp_path):
    manifest, report = indexed(name, tmp_path)
    assert report.missing == ()
    assert report.unused == ()
    assert report.superseded == ()
    assert report.excluded == ()
    assert report.unrelated_folders == {}
    assert report.counts["unlabelled"] == 0
    assert manifest.sessions["instrument"].notna().all()


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "ewre_raw"])
def test_a_corpus_may_lie_deeper_and_a_stray_file_is_named(name, tmp_path):
    files = {f"download/{path}": content for path, content in LAYOUTS[name]().items()}
    first = next(path for path in files if path.endswith((".mp4", ".wav")))
    stray = f"{first.rpartition('/')[0]}/notes.md"
    report = indexed(name, tmp_path, {**files, stray: ""})[1]
    assert report.missing == ()
    assert report.unused == (stray,)


def test_avec2013(tmp_path):
    manifest, _ = indexed("avec2013", tmp_path)
    table = manifest.sessions
    assert column(table, "subject") == {
        "203_1": "203", "205_1": "205", "205_2": "205", "206_2": "206",
    }  # fmt: skip
    assert column(table, "score") == {"203_1": 13, "205_1": 14, "205_2": 45, "206_2": 0}
    assert column(table, "label") == {"203_1": 0, "205_1": 1, "205_2": 1, "206_2": 0}
    assert column(table, "split") == {
        "203_1": "train", "205_1": "train", "205_2": "test", "206_2": "validation",
    }  # fmt: skip
    assert set(table["instrument"]) == {"BDI-II"}
    assert (manifest.steps["audio"] == manifest.steps["face"]).all()
    (finding,) = split_overlap(AuditInput(manifest))
    assert finding.subjects == (("avec2013", "205"),)


def test_avec2014_two_tasks_are_one_session_with_one_label(tmp_path):
    manifest, report = indexed("avec2014", tmp_path)
    assert column(manifest.sessions, "score") == {"215_1": 3, "215_2": 27, "247_3": 14}
    assert column(manifest.sessions, "split") == {
        "215_1": "train", "215_2": "validation", "247_3": "test",
    }  # fmt: skip
    assert report.counts["subjects"] == 2
    steps = steps_of(manifest, "215_2")
    base = "AVEC2014_AudioVisual"
    assert list(steps["task"]) == ["Freeform", "Northwind"]
    assert list(steps["audio"]) == [
        f"{base}/Audio/Development/{task}/215_2_{task}_audio.wav" for task in steps["task"]
    ]
    assert list(steps["face"]) == [
        f"{base}/Video/Development/{task}/215_2_{task}_video.mp4" for task in steps["task"]
    ]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("Final_Labels/Testing/247_3_Depression.csv", "for subject=247, visit=3"),
        ("Audio/Testing/Northwind/247_3_Northwind_audio.wav", "no audio file for this step"),
        ("247_3_Northwind_", "session 247_3: no file with task=Northwind"),
    ],
)
def test_avec2014_gaps_are_listed(lost, message, tmp_path):
    files = {path: text for path, text in layouts.avec2014().items() if lost not in path}
    manifest, report = indexed("avec2014", tmp_path, files)
    assert [message in item.message for item in report.missing] == [True]
    labels = column(manifest.sessions, "label")
    assert labels == {"215_1": 0, "215_2": 1, "247_3": None if "Labels" in lost else 1}


@pytest.mark.parametrize("name", ["avec2013", "avec2014", "eatd", "modma"])
def test_no_label_table_at_all_is_one_gap_each(name, tmp_path):
    labels = ("_Depression.csv", "new_label.txt", ".xlsx")
    files = {path: text for path, text in LAYOUTS[name]().items() if not path.endswith(labels)}
    report = indexed(name, tmp_path, files)[1]
    assert [item.kind for item in report.missing] == ["table"]
    assert report.counts["unlabelled"] == report.counts["sessions"]


def test_eatd_answers_are_steps_with_valence_and_words(tmp_path):
    manifest, report = indexed("eatd", tmp_path)
    table = manifest.sessions
    assert list(table["subject"]) == ["t_1", "t_12", "v_1"]  # t_1 and v_1 are two people
    assert column(table, "score") == {"t_1": 52.5, "t_12": 53, "v_1": 75}
    assert column(table, "label") == {"t_1": 0, "t_12": 1, "v_1": 1}
    assert column(table, "split") == {"t_1": "train", "t_12": "train", "v_1": "validation"}
    assert column(table, "sds_raw") == {"t_1": "42.0", "t_12": "42.4", "v_1": "60.0"}
    steps = steps_of(manifest, "t_12")
    assert list(steps["valence"]) == ["negative", "neutral", "positive"]
    assert list(steps["audio"]) == [f"t_12/{valence}.wav" for valence in steps["valence"]]
    texts = [None if pd.isna(text) else text for text in steps["text"]]
    assert texts == ["我觉得, negative 还有", None, "我觉得, positive 还有"]
    assert report.ignored == 9


def test_modma_joins_padded_ids_and_knows_the_task_of_a_number(tmp_path):
    manifest, report = indexed("modma", tmp_path)
    table = manifest.sessions
    assert column(table, "label") == {"02010002": 1, "02010004": 1, "02020008": 0}
    assert column(table, "score") == {"02010002": 23, "02010004": 5, "02020008": 1}
    assert column(table, "age") == {"02010002": 18, "02010004": 44, "02020008": 31}
    assert column(table, "education_years")["02010004"] == "9"
    assert list(table["gender"]) == ["female", "male", "male"]
    assert list(label_score_mismatch(AuditInput(manifest))) == []
    steps = steps_of(manifest, "02010002")
    tasks = ["interview"] * 18 + ["passage"] + ["words"] * 6 + ["picture"] * 4
    assert list(steps["task"]) == tasks
    assert steps["audio"].iloc[9].endswith("02010002/10.wav")
    assert steps["valence"].isna().all()  # nobody here has checked which file has which
    assert len(steps_of(manifest, "02010004")) == 24
    assert report.ignored == 5


def test_modma_a_file_that_was_not_downloaded_is_missing(tmp_path):
    files = layouts.modma()
    del files["audio_lanzhou_2015/02020008/19.wav"]
    report = indexed("modma", tmp_path, files)[1]
    assert [item.message for item in report.missing] == [
        "session 02020008: no file with number_of_file=19"
    ]


def test_androids_a_person_is_number_and_group_and_the_interviewer_stays_out(tmp_path):
    manifest, report = indexed("androids", tmp_path)
    table = manifest.sessions
    assert column(table, "label") == {"01_C": 0, "01_P": 1, "27_C": 0}
    assert column(table, "gender") == {"01_C": "male", "01_P": "female", "27_C": "female"}
    assert column(table, "age") == {"01_C": 30, "01_P": 41, "27_C": 25}
    assert column(table, "education") == {"01_C": "4", "01_P": "2", "27_C": None}
    steps = steps_of(manifest, "01_P")
    assert list(steps["task"]) == ["interview"] * 11 + ["reading"]
    assert steps["audio"].iloc[10].endswith("01_PF41_2_11.wav")
    assert list(steps_of(manifest, "27_C")["task"]) == ["reading"]
    assert not manifest.steps["audio"].str.contains("Interview-Task/audio/").any()
    assert report.ignored == 5


def test_ewre_raw_reads_the_group_from_the_eighth_character(tmp_path):
    manifest, _ = indexed("ewre_raw", tmp_path)
    assert column(manifest.sessions, "label") == {"D012": 1, "H012": 0}
    assert all(path[-8] == "D" for path in steps_of(manifest, "D012")["face"])
    steps = steps_of(manifest, "D012")
    assert list(steps["text"]) == ["tragedy", "justice"]
    assert list(steps["valence"]) == ["negative", "positive"]
    assert list(steps["start_s"]) == [0.5, 2.5]


def test_ewre_raw_an_unknown_group_is_refused(tmp_path):
    files = {**layouts.ewre_raw(), "videos/X012.mp4": ""}
    files["words.csv"] += "X012,0,0,1,grief,negative\n"
    with pytest.raises(ManifestError, match=r"X012: group is 'X', not one of D, H"):
        indexed("ewre_raw", tmp_path, files)


# ---- what these layouts need of the format ----------------------------------------------------

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
    columns: [said]
    whole_file: true
    join: {subject: subject}
    fields: {text: said}
"""
SHEET = TRANSCRIPTS[: TRANSCRIPTS.index("tables:")].replace(
    "{subject}.wav", "{subject:int}.wav"
) + (
    "columns: [group]\n"
    "tables:\n  - {file: people.xlsx, join: {id: subject}, integers: [id], fields: {group: type}}\n"
)


def test_a_whole_file_is_one_cell(tmp_path):
    text = 'Well, "yes";\tand\n\n  no.\n'
    root = layouts.write(tmp_path, {"A.wav": "", "A.txt": text, "B.wav": "", "B.txt": ""})
    manifest, report = index_corpus(parse_spec(TRANSCRIPTS, "toy.yaml"), root)
    assert column(manifest.steps, "text") == {"A": 'Well, "yes"; and no.', "B": None}
    assert report.complete


@pytest.mark.parametrize("columns", ["columns: [said, by]", "columns: []"])
def test_a_whole_file_needs_one_column(columns):
    text = TRANSCRIPTS.replace("columns: [said]", columns)
    with pytest.raises(SpecError, match=r"one cell a file: give file:.*one name"):
        parse_spec(text, "toy.yaml")


def test_integers_are_columns_of_the_table():
    text = TRANSCRIPTS.replace("whole_file: true", "integers: [sid]")
    with pytest.raises(SpecError, match=r"integers: 'sid' is not given by columns:.*'said'"):
        parse_spec(text, "toy.yaml")


def test_a_sheet_is_read_as_text(tmp_path):
    rows: list[list[object]] = [[None, "id", "type"], ["remark", 7.0, 1], [None, "008", True]]
    files: layouts.Files = {"007.wav": "", "8.wav": "", "people.xlsx": layouts.workbook(rows)}
    manifest, report = index_corpus(parse_spec(SHEET, "s.yaml"), layouts.write(tmp_path, files))
    assert column(manifest.sessions, "group") == {"7": "1", "8": "true"}
    assert report.complete


def test_a_sheet_with_wrong_dimensions_is_read_whole(tmp_path):
    files: layouts.Files = {"7.wav": "", "8.wav": ""}
    whole = layouts.workbook([["id", "type"], [7, "a"], [8, "b"]])
    cut = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(cut, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'ref="A1:B3"', b'ref="A1"'))
    assert b"A1:B3" in zipfile.ZipFile(io.BytesIO(whole)).read("xl/worksheets/sheet1.xml")
    root = layouts.write(tmp_path, {**files, "people.xlsx": cut.getvalue()})
    manifest, _ = index_corpus(parse_spec(SHEET, "s.yaml"), root)
    assert column(manifest.sessions, "group") == {"7": "a", "8": "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,type\n", r"people.xlsx: cannot be read as an Excel workbook.*save it as .csv"),
        (layouts.workbook([]), r"people.xlsx: the table is empty"),
        (layouts.workbook([["id", "tpye"]]), r"column 'type' is missing. Did you mean 'tpye'"),
        (
            layouts.workbook([["id", "type"], ["7b", "x"]]),
            r"line 2: id is '7b', which is no whole number.*integers:",
        ),
    ],
)
def test_a_bad_sheet_is_refused_with_a_remedy(content, message, tmp_path):
    root = layouts.write(tmp_path, {"7.wav": "", "people.xlsx": content})
    with pytest.raises(ManifestError, match=message):
        index_corpus(parse_spec(SHEET, "s.yaml"), root)


# ---- JSON Schema ------------------------------------------------------------------------------


def test_the_schema_is_current():
    written = (SPECS / "schema.json").read_text(encoding="utf-8")
    assert written == json_schema(), (
        "run: python -m depmm.corpora.spec_schema > data_specs/schema.json"
    )


def test_the_schema_explains_every_key_and_refuses_others():
    schema = json.loads(json_schema())
    assert set(schema["properties"]) == set(Spec.model_fields)
    assert schema["additionalProperties"] is False
    for name, part in schema["$defs"].items():
        if "properties" in part:
            assert part["additionalProperties"] is False, name
    assert schema["$defs"]["StepTable"]["properties"]["whole_file"]["description"]
