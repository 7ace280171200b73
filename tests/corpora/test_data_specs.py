"""Every data spec on a small folder in its layout."""

from collections.abc import Callable
from pathlib import Path

import layouts
import numpy as np
import pandas as pd
import pytest
from corpus_samples import values_by_session

from depmm.audit.checks import split_overlap
from depmm.audit.findings import AuditInput
from depmm.audit.label_checks import label_score_mismatch
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.corpora.spec import list_specs, load_spec

LAYOUTS: dict[str, Callable[[], layouts.Files]] = {
    "avec2013": layouts.avec2013,
    "avec2014": layouts.avec2014,
    "avec2014_clips": layouts.avec2014,
    "eatd": layouts.eatd,
    "modma": layouts.modma,
    "androids": layouts.androids,
    "ewre_raw": layouts.ewre_raw,
    "cmdc": layouts.cmdc,
    "d3tec": layouts.d3tec,
    "indic_bengali": layouts.indic_bengali,
}


def index_layout(
    name: str, root: Path, files: layouts.Files | None = None
) -> tuple[Manifest, IndexReport]:
    files = LAYOUTS[name]() if files is None else files
    return index_corpus(load_spec(name), layouts.write(root, files), lambda path, stream: 9.5)


def steps_of(manifest: Manifest, session: str) -> pd.DataFrame:
    return manifest.steps[manifest.steps["session"] == session]


@pytest.mark.parametrize("name", [name for name, _ in list_specs()])
def test_every_spec_is_valid_and_named_like_its_file(name):
    spec = load_spec(name)
    assert spec.name == name
    assert spec.citation
    assert spec.access


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_complete_folder_has_no_gap_and_no_unused_file(name, tmp_path):
    manifest, report = index_layout(name, tmp_path)
    assert report.missing == ()
    assert report.unused == ()
    assert report.superseded == ()
    assert report.excluded == ()
    assert report.unrelated_folders == {}
    assert report.counts["unlabelled"] == 0
    assert manifest.sessions["instrument"].notna().all()


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "ewre_raw"])
def test_a_corpus_may_be_in_a_subfolder_and_a_stray_file_is_reported(name, tmp_path):
    files = {f"download/{path}": content for path, content in LAYOUTS[name]().items()}
    first = next(path for path in files if path.endswith((".mp4", ".wav")))
    stray = f"{first.rpartition('/')[0]}/notes.md"
    report = index_layout(name, tmp_path, {**files, stray: ""})[1]
    assert report.missing == ()
    assert report.unused == (stray,)


def test_avec2013(tmp_path):
    manifest, _ = index_layout("avec2013", tmp_path)
    table = manifest.sessions
    assert values_by_session(table, "subject") == {
        "203_1": "203", "205_1": "205", "205_2": "205", "206_2": "206",
    }  # fmt: skip
    assert values_by_session(table, "score") == {"203_1": 13, "205_1": 14, "205_2": 45, "206_2": 0}
    assert values_by_session(table, "label") == {"203_1": 0, "205_1": 1, "205_2": 1, "206_2": 0}
    assert values_by_session(table, "split") == {
        "203_1": "train", "205_1": "train", "205_2": "test", "206_2": "validation",
    }  # fmt: skip
    assert set(table["instrument"]) == {"BDI-II"}
    assert (manifest.steps["audio"] == manifest.steps["face"]).all()
    assert list(steps_of(manifest, "205_1")["end_s"]) == [4, 8, 9.5]
    (finding,) = split_overlap(AuditInput(manifest))
    assert finding.subjects == (("avec2013", "205"),)


def test_avec2014_two_tasks_are_one_session_with_one_label(tmp_path):
    manifest, report = index_layout("avec2014", tmp_path)
    assert values_by_session(manifest.sessions, "score") == {"215_1": 3, "215_2": 27, "247_3": 14}
    assert values_by_session(manifest.sessions, "split") == {
        "215_1": "train", "215_2": "validation", "247_3": "test",
    }  # fmt: skip
    assert report.counts["subjects"] == 2
    steps = steps_of(manifest, "215_2")
    base = "AVEC2014_AudioVisual"
    assert list(steps["task"]) == ["Freeform"] * 3 + ["Northwind"] * 3
    assert list(steps["start_s"]) == [0, 4, 8] * 2
    assert list(steps["end_s"]) == [4, 8, 9.5] * 2
    assert list(steps["audio"]) == [
        f"{base}/Audio/Development/{task}/215_2_{task}_audio.wav" for task in steps["task"]
    ]
    assert list(steps["face"]) == [
        f"{base}/Video/Development/{task}/215_2_{task}_video.mp4" for task in steps["task"]
    ]


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("Final_Labels/Testing/247_3_Depression.csv", "for subject=247, visit=3"),
        ("Audio/Testing/Northwind/247_3_Northwind_audio.wav", "no audio file for this step"),
        ("247_3_Northwind_", "session 247_3: no file with task=Northwind"),
    ],
)
def test_avec2014_gaps_are_reported(removed, message, tmp_path):
    files = {path: text for path, text in layouts.avec2014().items() if removed not in path}
    manifest, report = index_layout("avec2014", tmp_path, files)
    assert [message in item.message for item in report.missing] == [True]
    labels = values_by_session(manifest.sessions, "label")
    assert labels == {"215_1": 0, "215_2": 1, "247_3": None if "Labels" in removed else 1}


@pytest.mark.parametrize("name", ["avec2013", "avec2014", "eatd", "modma"])
def test_a_missing_label_table_is_reported_once(name, tmp_path):
    labels = ("_Depression.csv", "new_label.txt", ".xlsx")
    files = {path: text for path, text in LAYOUTS[name]().items() if not path.endswith(labels)}
    report = index_layout(name, tmp_path, files)[1]
    assert [item.kind for item in report.missing] == ["table"]
    assert report.counts["unlabelled"] == report.counts["sessions"]


def test_eatd_answers_are_steps_with_valence_and_words(tmp_path):
    manifest, report = index_layout("eatd", tmp_path)
    table = manifest.sessions
    assert list(table["subject"]) == ["t_1", "t_12", "v_1"]  # t_1 and v_1 are two subjects
    assert values_by_session(table, "score") == {"t_1": 52.5, "t_12": 53, "v_1": 75}
    assert values_by_session(table, "label") == {"t_1": 0, "t_12": 1, "v_1": 1}
    assert values_by_session(table, "split") == {
        "t_1": "train",
        "t_12": "train",
        "v_1": "validation",
    }
    assert values_by_session(table, "sds_raw") == {"t_1": "42.0", "t_12": "42.4", "v_1": "60.0"}
    steps = steps_of(manifest, "t_12")
    assert list(steps["valence"]) == ["negative", "neutral", "positive"]
    assert list(steps["audio"]) == [f"t_12/{valence}.wav" for valence in steps["valence"]]
    texts = [None if pd.isna(text) else text for text in steps["text"]]
    assert texts == ["我觉得, negative 还有", None, "我觉得, positive 还有"]
    assert report.ignored == 9


def test_modma_joins_padded_ids_and_gives_tasks_by_file_number(tmp_path):
    manifest, report = index_layout("modma", tmp_path)
    table = manifest.sessions
    assert values_by_session(table, "label") == {"02010002": 1, "02010004": 1, "02020008": 0}
    assert values_by_session(table, "score") == {"02010002": 23, "02010004": 5, "02020008": 1}
    assert values_by_session(table, "age") == {"02010002": 18, "02010004": 44, "02020008": 31}
    assert values_by_session(table, "education_years")["02010004"] == "9"
    assert list(table["gender"]) == ["female", "male", "male"]
    assert list(label_score_mismatch(AuditInput(manifest))) == []
    steps = steps_of(manifest, "02010002")
    assert len(steps) == 29 * 3  # windows of 4 s
    steps = steps[steps["start_s"] == 0]
    tasks = ["interview"] * 18 + ["passage"] + ["words"] * 6 + ["picture"] * 4
    assert list(steps["task"]) == tasks
    assert steps["audio"].iloc[9].endswith("02010002/10.wav")
    valences = [None if pd.isna(valence) else valence for valence in steps["valence"]]
    order = ["positive", "neutral", "negative"]
    questions, words = np.repeat(order, 6).tolist(), np.repeat(order, 2).tolist()
    assert valences == [*questions, None, *words, *order, None]
    assert steps_of(manifest, "02010004")["audio"].nunique() == 24
    assert report.ignored == 5


def test_modma_a_file_that_was_not_downloaded_is_missing(tmp_path):
    files = layouts.modma()
    del files["audio_lanzhou_2015/02020008/19.wav"]
    report = index_layout("modma", tmp_path, files)[1]
    assert [item.message for item in report.missing] == [
        "session 02020008: no file with number_of_file=19"
    ]


def test_librispeech_speakers_have_a_gender_and_chapters_are_sessions(tmp_path):
    folder = "LibriSpeech/dev-clean"
    files: layouts.Files = {
        "LibriSpeech/speakers.txt": "84   | F \n174  | M \n",
        "LibriSpeech/SPEAKERS.TXT": "; a comment\n60 | M | x | 20.18 | |CBW|Simon\n",
        f"{folder}/84/121123/84-121123.trans.txt": "84-121123-0000 GO\n",
    }
    for speaker, chapter in (("84", "121123"), ("84", "121550"), ("174", "50561")):
        for number in ("0001", "0000"):
            files[f"{folder}/{speaker}/{chapter}/{speaker}-{chapter}-{number}.flac"] = ""
    root = layouts.write(tmp_path, files)
    manifest, report = index_corpus(load_spec("librispeech"), root, lambda path, stream: 9.5)
    genders = {"174-50561": "male", "84-121123": "female", "84-121550": "female"}
    assert values_by_session(manifest.sessions, "gender") == genders
    assert sorted(manifest.sessions["subject"]) == ["174", "84", "84"]
    assert steps_of(manifest, "84-121123")["audio"].iloc[0].endswith("0000.flac")
    assert (report.missing, report.unused) == ((), ())


def test_androids_subject_is_number_and_group_without_the_interviewer(tmp_path):
    manifest, report = index_layout("androids", tmp_path)
    table = manifest.sessions
    assert values_by_session(table, "label") == {"01_C": 0, "01_P": 1, "27_C": 0}
    assert values_by_session(table, "gender") == {
        "01_C": "male",
        "01_P": "female",
        "27_C": "female",
    }
    assert values_by_session(table, "age") == {"01_C": 30, "01_P": 41, "27_C": 25}
    assert values_by_session(table, "education") == {"01_C": "4", "01_P": "2", "27_C": None}
    steps = steps_of(manifest, "01_P")
    assert list(steps["task"]) == ["interview"] * 11 + ["reading"]
    assert steps["audio"].iloc[10].endswith("01_PF41_2_11.wav")
    assert list(steps_of(manifest, "27_C")["task"]) == ["reading"]
    assert not manifest.steps["audio"].str.contains("Interview-Task/audio/").any()
    assert report.ignored == 5


def test_ewre_raw_reads_the_group_from_the_eighth_character(tmp_path):
    manifest, _ = index_layout("ewre_raw", tmp_path)
    assert values_by_session(manifest.sessions, "label") == {"D012": 1, "H012": 0}
    assert all(path[-8] == "D" for path in steps_of(manifest, "D012")["face"])
    steps = steps_of(manifest, "D012")
    assert list(steps["text"]) == ["tragedy", "justice"]
    assert list(steps["valence"]) == ["negative", "positive"]
    assert list(steps["start_s"]) == [0.5, 2.5]


def test_ewre_raw_a_session_of_an_unknown_group_is_left_out(tmp_path):
    files = {**layouts.ewre_raw(), "videos/X012.mp4": ""}
    files["words.csv"] += "X012,0,0,1,grief,negative\n"
    _, report = index_layout("ewre_raw", tmp_path, files)
    assert report.counts["sessions"] == 2
    (failure,) = report.failures
    assert (failure.file, failure.left_out) == ("videos/X012.mp4", "session X012")


def test_ewre_simulated(tmp_path):
    words = "subject,session,step,start_s,end_s,word,valence\n"
    words += "".join(f"S001,1,{k},{k}.5,{k + 1}.25,w{k},neutral\n" for k in (10, 2, 0, 1))
    words += "S002,1,0,0.5,1.0,w0,negative\n"
    labels = "subject,session,score,gender,age,split\nS001,1,14,female,30,train\n"
    labels += "S002,1,13,male,41,test\n"
    files = {"videos/S001_1.mp4": "", "videos/S002_1.mp4": "", "words.csv": words}
    root = layouts.write(tmp_path, {**files, "labels.csv": labels, "truth.json": "{}"})
    manifest, report = index_corpus(load_spec("ewre_simulated"), root)
    assert report.complete
    assert not report.unused
    assert not report.excluded
    columns = ["subject", "session", "score", "label", "split", "gender", "age"]
    assert manifest.sessions[columns].to_numpy().tolist() == [
        ["S001", "S001_1", 14.0, 1, "train", "female", 30.0],
        ["S002", "S002_1", 13.0, 0, "test", "male", 41.0],
    ]
    first = manifest.steps[manifest.steps["subject"] == "S001"]
    assert first["text"].tolist() == ["w0", "w1", "w2", "w10"]
    assert first["start_s"].tolist() == [0.5, 1.5, 2.5, 10.5]
    assert first["end_s"].tolist() == [1.25, 2.25, 3.25, 11.25]
    assert set(first["audio"]) == set(first["face"]) == {"videos/S001_1.mp4"}
    assert manifest.steps["face_aligned"].all()


def test_grid_layout(tmp_path):
    align = "0 23750 sil\r\n23750 29500 bin\r\n29500 34000 blue\r\n34000 74500 sp\r\n"
    names = ["s1/bbaf2n.mpg", "s2/video/mpg_6000/swwp2s.mpg", "s21/lbbc2a.wav"]
    files = {**dict.fromkeys(names, ""), "s1/align/bbaf2n.align": align}
    manifest, report = index_corpus(load_spec("grid"), layouts.write(tmp_path, files))
    assert report.complete
    assert not report.unused
    assert not report.unrelated_folders
    steps = manifest.steps
    assert steps["subject"].tolist() == ["s1", "s1", "s2", "s21"]
    assert steps["start_s"].tolist() == [0.95, 1.18, 0, 0]
    assert steps["end_s"].tolist()[:2] == [1.18, 1.36]
    assert steps["text"].tolist()[:2] == ["bin", "blue"]
    assert steps["face"].notna().tolist() == [True, True, True, False]
    columns = ["command", "colour", "preposition", "letter", "digit", "adverb"]
    assert manifest.sessions[columns].to_numpy().tolist() == [
        ["bin", "blue", "at", "f", "two", "now"],
        ["set", "white", "with", "p", "two", "soon"],
        ["lay", "blue", "by", "c", "two", "again"],
    ]


def test_ravdess_layout(tmp_path):
    names = [
        "Actor_02/01-01-05-02-01-02-02.mp4",
        "Actor_02/02-01-05-02-01-02-02.mp4",
        "audio/Actor_02/03-01-05-02-01-02-02.wav",
        "audio/Actor_02/03-01-05-01-02-01-02.wav",
        "video_only/Actor_02/02-01-05-01-02-01-02.mp4",
        "song/Actor_02/03-02-05-01-01-01-02.wav",
    ]
    root = layouts.write(tmp_path, dict.fromkeys(names, ""))
    manifest, report = index_corpus(load_spec("ravdess"), root)
    assert manifest.sessions[["session", "emotion", "gender"]].to_numpy().tolist() == [
        ["02-angry", "angry", "female"]
    ]
    # normal before strong; the face of the silent 02 video is joined with the sound of 03
    assert manifest.steps[["task", "text", "audio", "face"]].to_numpy().tolist() == [
        ["normal", "Dogs are sitting by the door", names[3], names[4]],
        ["strong", "Kids are talking by the door", names[0], names[0]],
    ]
    assert report.superseded == ((names[1], names[0]), (names[2], names[0]))
    assert [path for path, _ in report.excluded] == [names[5]]


def test_emodb_layout(tmp_path):
    root = layouts.write(tmp_path, dict.fromkeys(["wav/03a01Fa.wav", "wav/16b10Lb.wav"], ""))
    manifest, report = index_corpus(load_spec("emodb"), root)
    columns = ["subject", "session", "gender", "age", "emotion", "sentence"]
    assert manifest.sessions[columns].to_numpy().tolist() == [
        ["03", "03a01Fa", "male", 31.0, "happiness", "a01"],
        ["16", "16b10Lb", "female", 31.0, "boredom", "b10"],
    ]
    assert report.complete
