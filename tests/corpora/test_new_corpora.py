"""CMDC with the missing and damaged files of its public issue, D3TEC and Indic-Bengali."""

from pathlib import Path

import layouts
import pandas as pd
import pytest
from corpus_samples import values_by_session
from simulated_layouts import shipped_spec, simulate_and_index

from depmm.config import ExtractConfig
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.store.extract import extract


def index(name: str, root: Path, files: layouts.Files) -> tuple[Manifest, IndexReport]:
    return index_corpus(shipped_spec(name), layouts.write(root, files), lambda path, stream: 7.5)


def test_cmdc_answers_have_transcripts_and_optional_scores(tmp_path):
    manifest, report = index("cmdc", tmp_path, layouts.cmdc())
    table = manifest.sessions
    assert values_by_session(table, "label") == {"HC42": 0, "MDD01": 1, "MDD02": 1}
    assert values_by_session(table, "score") == {"HC42": 2, "MDD01": 17, "MDD02": None}
    assert values_by_session(table, "hamd17") == {"HC42": None, "MDD01": "22", "MDD02": None}
    assert values_by_session(table, "gender") == {"HC42": "male", "MDD01": "female", "MDD02": None}
    assert set(table["instrument"]) == {"PHQ-9"}
    steps = manifest.steps[manifest.steps["session"] == "MDD01"]
    assert len(steps) == 12
    assert steps["audio"].iloc[9] == "MDD01/Q10.wav"
    assert set(steps["text"]) == {"我最近睡得不好"}
    assert set(manifest.features["subject"]) == {"MDD01"}
    assert report.ignored == 3 * 36 + 1


# the files that issue 4 of CMDC-corpus/CMDC-Baseline lists for MDD01, MDD17, HC42 and MDD11
@pytest.mark.parametrize(
    ("removed", "messages", "steps"),
    [
        (["MDD01/Q12.txt", "MDD01/Q12.wav.csv", "MDD01/vector_Q12.csv"], ["question=12"], 36),
        (["HC42/Q3.pkl", "HC42/Q3.wav.csv"], [], 36),
        ([f"MDD01/Q{number}.csv" for number in range(1, 13)], [], 36),
        (["MDD01/Q12.txt", "MDD01/Q12.wav", "MDD01/Q12.csv"], ["question=12"], 35),
        (["MDD02/Q9.wav"], ["no recording", "no file with question=9"], 35),
    ],
    ids=["transcript", "ignored features", "face of a subject", "answer", "sound"],
)
def test_missing_files_of_cmdc_are_reported_and_the_other_answers_are_used(
    removed, messages, steps, tmp_path
):
    files = layouts.cmdc()
    for path in removed:
        del files[path]
    manifest, report = index("cmdc", tmp_path, files)
    assert len(manifest.sessions) == 3
    assert len(manifest.steps) == steps
    assert report.failures == ()
    found = sorted(item.message for item in report.missing)
    assert len(found) == len(messages)
    for message in messages:
        assert any(message in text for text in found), found


@pytest.mark.slow
def test_damaged_features_of_cmdc_are_failures_of_one_stream(tmp_path):
    spec = shipped_spec("cmdc")
    _, manifest, _ = simulate_and_index(spec, tmp_path / "c", subjects=2, words=1)
    first, second = sorted(set(manifest.sessions["session"]))
    damaged = tmp_path / "c" / first / "Q5.csv"
    lines = damaged.read_text(encoding="utf-8").splitlines()
    cells = lines[3].split(",")
    damaged.write_text("\n".join([*lines[:3], ",".join([*cells[:-1], "-0.4253258.1"]), *lines[4:]]))
    (tmp_path / "c" / second / "Q7.wav").write_bytes(b"RIFF")
    report = extract(manifest, tmp_path / "c", tmp_path / "s", ExtractConfig(), workers=0)
    assert report.extracted == 2
    failures = report.failures[["session", "stage", "file"]].to_numpy().tolist()
    assert sorted(failures) == sorted(
        [[first, "openface", f"{first}/Q5.csv"], [second, "audio", f"{second}/Q7.wav"]]
    )


def test_d3tec_microphones_are_sessions_of_one_subject(tmp_path):
    manifest, report = index("d3tec", tmp_path, layouts.d3tec())
    table = manifest.sessions
    assert values_by_session(table, "device") == {
        "1_SM-27": "SM-27", "1_iPhoneSE2020": "iPhoneSE2020",
        "2_SM-27": "SM-27", "2_iPhoneSE2020": "iPhoneSE2020",
    }  # fmt: skip
    assert table.drop_duplicates("subject")["label"].tolist() == [1, 0]
    assert table.drop_duplicates("subject")["gender"].tolist() == ["female", "male"]
    steps = manifest.steps[manifest.steps["session"] == "2_iPhoneSE2020"]["audio"].tolist()
    assert steps[0] == "iPhoneSE2020/002_cel.wav"
    assert steps[10] == "iPhoneSE2020/002_cel_10.wav"
    assert len(steps) == 27
    assert report.complete


def test_indic_bengali_files_with_one_number_can_be_kept_together(tmp_path):
    table = index("indic_bengali", tmp_path, layouts.indic_bengali())[0].sessions
    assert values_by_session(table, "label") == {"10_DM_10": 1, "10_DM_11": 1, "10_NF_10": 0}
    assert values_by_session(table, "same_number")["10_DM_11"] == "10_D"
    assert pd.Series(table["gender"]).tolist() == ["male", "male", "female"]
