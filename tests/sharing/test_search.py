"""Search of files and text for ids and paths."""

import json
import zipfile

import pandas as pd
import pytest
from safetensors.torch import save_file
from torch import zeros

from depmm.data.training_reference import TrainingReference
from depmm.evaluation.fitted_calibration import (
    ConformalLimit,
    FittedCalibration,
    IntervalMap,
    LogisticMap,
)
from depmm.runs.inference_facts import InferenceFacts
from depmm.sharing.filters import (
    name_of,
    share_encoders,
    share_environment,
    share_facts,
    share_metrics,
)
from depmm.sharing.ids import SubjectIds
from depmm.sharing.own_words import own_words
from depmm.sharing.search import search_folder

IDS = SubjectIds(frozenset({"P017", "215_2", "03", "7", "Zo\u00eb", "Anna_B", "of"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("session P017 has no face", ["P017"]),
        ("the file p017_1.wav is short", ["p017"]),
        ("P0171 and XP017 are others", []),
        ("215_2 (3 of 412 frames)", ["215_2"]),
        ("7 subjects, 0.7 and 7 sessions", []),
        ("2026-03-07, 03 h", []),
        ("subjects 12, 7 and 14", ["7"]),
        ("Subject: 7.", ["7"]),
        ("recordings/03/a.wav", ["03"]),
        ("see ravdess/7", ["7"]),
        ("seed-7-fold-03/model", []),
        ("python train.py /home/ann/data", ["/home/ann/data"]),
        (r"C:\Users\ann", [r"C:\Users\ann"]),
        ("https://example.org/a/b and 3 m/s", []),
        ("file:///home/ann/data", ["file:///home/ann/data"]),
        ("~ann/data/x.wav", ["~ann/data/x.wav"]),
        (r"at \\server\lab\data", [r"\\server\lab\data"]),
        ("7 subjects (7 sessions), of 7 of them", []),
        ("3 subjects (7 models)", []),
        ("the sessions 7, 03", ["7", "03"]),
        ("sessions of Zoe\u0308", ["Zo\u00eb"]),
        ("Anna-B is short, 215-2 is a number", ["Anna-B"]),
        ("subjects of a study, ids of subjects", []),
        ("subject: of", ["of"]),
    ],
)
def test_ids_and_paths_in_text(text, expected):
    assert [found.value for found in IDS.search(text)] == expected


def test_digits_are_ids_where_a_key_says_so():
    assert [found.value for found in IDS.search("7", "subject")] == ["7"]
    assert [found.value for found in IDS.search("7", "seed")] == []
    assert [found.value for found in IDS.search("7", "session_id")] == ["7"]


def write_json(path, value):
    path.with_suffix(".json").write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("name", "write", "place"),
    [
        ("a.json", lambda p: write_json(p, {"by": {"P017": 1}}), "key of by"),
        ("a.json", lambda p: write_json(p, {"subjects": ["3", "7"]}), "subjects[1]"),
        (
            "a.json",
            lambda p: write_json(p, {"encoders": {"a": {"architecture": {"network": "P017"}}}}),
            "encoders.a.architecture.network",
        ),
        ("a.json", lambda p: write_json(p, {"m": '{"words": ["P017"]}'}), "m.words[0]"),
        ("a.html", lambda p: p.write_text("<p>\n<b>P&#48;17</b></p>"), "line 2"),
        ("a.html", lambda p: p.write_text('<rect title="P017">'), "tag, line 1"),
        ("a.md", lambda p: p.write_text("a\nP017"), "line 2"),
        ("a.md", lambda p: p.write_text(r"of 215\_2"), "line 1"),
        ("a.yaml", lambda p: p.write_text("name: P017_run"), "name"),
        ("a.safetensors", lambda p: save_file({"P017": zeros(1)}, p), "key of the file"),
        ("a.parquet", lambda p: pd.DataFrame({"x": ["P017"]}).to_parquet(p), "column x"),
        ("P017.md", lambda p: p.write_text(""), "name of the file"),
    ],
)
def test_ids_in_files(name, write, place, tmp_path):
    write(tmp_path / name)
    findings = search_folder(tmp_path, IDS)
    assert {(f.file, f.place, f.kind) for f in findings if f.kind == "id"} == {(name, place, "id")}


def test_what_cannot_be_searched_is_a_finding(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.md").symlink_to(tmp_path / "a.bin")
    with zipfile.ZipFile(tmp_path / "d.skops", "w") as file:
        file.writestr("other", "")
    assert {f.file for f in search_folder(tmp_path, IDS) if f.kind == "format"} == {
        *("a.bin", "b.json", "c.md", "d.skops")
    }


def test_commands_and_sources_lose_their_paths(tmp_path):
    shared = share_environment({"command": "/a/b/train.py train /data/x.yaml", "audit": "at /a/b"})
    assert shared == {}
    assert share_environment({"command": "depmm train demo"}) == {"command": "depmm train"}
    assert name_of("facebook/hubert-base-ls960") == "facebook/hubert-base-ls960"
    assert name_of("/models/hubert") == name_of(r"C:\models\hubert") == "hubert"


def test_small_groups_and_texts_with_ids_are_left_out():
    groups = {"female": {"subjects": 3}, "male": {"subjects": 9}}
    three = {"a": {"subjects": 5}, "b": {"subjects": 6}, "c": {"subjects": 7}}
    content = {
        "metrics": {"auroc": {"value": 0.5, "per_seed": {"0": 0.5}}},
        "bootstrap": {"confidence": 0.95, "subjects_by_stratum": {"1": 2}},
        "subgroups": {"gender": groups, "task": three},
        "warnings": ["few subjects", "session 215_2 is short"],
        "coverage": {"excluded": [{"sessions": ["P017"]}]},
    }
    shared, left_out = share_metrics(content, IDS)
    assert shared["subgroups"] == {"task": three}  # men alone would give away the women
    assert shared["warnings"] == ["few subjects"]
    assert shared["metrics"] == {"auroc": {"value": 0.5}}
    assert shared["bootstrap"] == {"confidence": 0.95}
    assert {"subgroups.gender.female", "subgroups.gender", "warnings", "coverage"} == set(left_out)


def test_words_of_depmm_are_ids_only_where_the_context_says_so():
    assert {"f1", "may", "audio"} <= own_words()
    assert not {"p017", "anna", "215"} & own_words()  # of docstrings and tests
    ids = SubjectIds(frozenset({"F1", "may"}), frozenset({"F1", "may"}))
    texts = ["F1, positive class", "subjects may", "subject F1", "recordings/may/a.wav"]
    assert [[item.value for item in ids.search(text)] for text in texts] == [
        [],
        [],
        ["F1"],
        ["may"],
    ]


def test_names_of_classes_of_a_pre_trained_network_are_replaced():
    network = {"id2label": {"0": "Anna", "1": "Ben"}, "label2id": {"Anna": 0, "Ben": 1}, "d": 3}
    shared = share_encoders({"audio": {"source": "x/y", "architecture": {"network": network}}})
    assert shared["audio"]["architecture"]["network"] == {
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
        "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        "d": 3,
    }


def test_values_of_single_sessions_are_rounded():
    interval = IntervalMap(edges=[0.1234, 0.1266], low=[0, 0.25, 0.5], high=[0.5, 0.75, 1])
    labels = {
        "0": ConformalLimit(value=0.8123, subjects=9, min_subjects=9),
        "1": ConformalLimit(value=None, subjects=1, min_subjects=9),
    }
    calibration = FittedCalibration(
        validation_subjects=10,
        logistic=LogisticMap(slope=1, intercept=0, source=""),
        interval=interval,
        labels=labels,
    )
    facts = InferenceFacts(
        format_version=1,
        fold=0,
        seed=0,
        corpora=["a"],
        instrument=None,
        training_subjects=20,
        reference=TrainingReference(low_speech_s=1.8407),
        calibration=calibration,
    )
    shared = share_facts(facts)
    assert shared.calibration.interval.edges == [0.12, 0.13]
    assert shared.calibration.interval.interval(0.5) == (0.5, 1)
    assert shared.calibration.labels["0"].value == 0.82
    assert shared.calibration.labels["1"].value is None
    assert shared.reference.low_speech_s == 1.8
