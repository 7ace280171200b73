"""Data specs on real recordings."""

import csv
from collections import Counter
from pathlib import Path

import pandas as pd

from depmm.corpora.index import index_corpus
from depmm.corpora.spec import load_spec


def real_table(real_data: Path) -> dict[str, dict[str, str]]:
    with open(real_data / "manifest.csv", encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_real_grid(real_data):
    manifest, report = index_corpus(load_spec("grid"), real_data)
    table = real_table(real_data)
    assert report.complete
    assert not report.unused
    assert report.counts["sessions"] == 41
    assert report.counts["subjects"] == 10
    files = manifest.steps.drop_duplicates("audio")
    assert set(files["audio"]) == {path for path in table if path.endswith(".mpg")}
    for row in files.itertuples():
        assert row.subject == table[row.audio]["speaker"]
        assert row.face == row.audio
    # the one clip of grid_10spk by the speaker of grid_s1
    same = manifest.sessions.query("subject == 'grid_A(s1)'")
    assert len(same) == 31
    assert "grid_10spk-bbaf2n" in set(same["session"])
    counts = manifest.steps.groupby("session").size()
    assert (counts[counts.index.str.startswith("grid_s1")] == 6).all()
    assert (counts[counts.index.str.startswith("grid_10spk")] == 1).all()
    assert manifest.steps["end_s"].max() <= 3.0
    assert manifest.steps["text"].isin(["sil", "sp"]).sum() == 0
    spoken = manifest.steps[manifest.steps["end_s"].notna()].groupby("session")["text"].agg(list)
    named = manifest.sessions.set_index("session").loc[spoken.index]
    for session, words in spoken.items():
        row = named.loc[session]
        parts = ["command", "colour", "preposition", "letter", "digit", "adverb"]
        assert words == [row[part] for part in parts]


def test_real_ravdess(real_data):
    spec = load_spec("ravdess")
    report = index_corpus(spec, real_data)[1]
    assert report.complete
    assert not report.unused
    assert [item.files for item in report.patterns] == [7, 0, 0, 448]
    assert len(report.superseded) == 4  # actor 01, neutral: as video and as sound
    assert report.counts["steps"] == 7 + 448 - 4
    assert report.counts["steps_with_face"] == 7
    assert report.counts["subjects"] == 16
    speech, _ = index_corpus(spec, real_data / "ravdess_speech")
    assert len(speech.sessions) == 64
    assert Counter(speech.sessions["emotion"]) == dict.fromkeys(
        ["neutral", "calm", "happy", "sad"], 16
    )
    assert (speech.sessions["gender"] == "male").sum() == 32
    assert set(speech.steps.groupby("session").size()) == {4, 8}
    assert speech.steps["audio"].str.contains("^Actor_").all()
    only_video, _ = index_corpus(spec, real_data / "ravdess_actor01")
    assert Counter(only_video.sessions["emotion"]) == {"neutral": 1, "surprised": 1}


def test_real_emodb(real_data):
    spec = load_spec("emodb")
    manifest, report = index_corpus(spec, real_data)
    table = real_table(real_data)
    assert report.complete
    assert not report.unused
    assert report.counts["sessions"] == 339
    merged = manifest.sessions.merge(manifest.steps, on=["corpus", "subject", "session"])
    for row in merged.itertuples():
        assert f"emodb_{row.subject}" == table[row.audio]["speaker"]
        assert row.emotion == table[row.audio]["label"]
    assert Counter(manifest.sessions["emotion"]) == {
        "anger": 127, "neutral": 79, "happiness": 71, "sadness": 62,
    }  # fmt: skip
    subjects = manifest.sessions.drop_duplicates("subject")
    assert Counter(subjects["gender"]) == {"male": 5, "female": 5}
    inner, _ = index_corpus(spec, real_data / "emodb_4emo")
    pd.testing.assert_frame_equal(inner.sessions, manifest.sessions)
    assert ("emodb_4emo/" + inner.steps["audio"]).tolist() == manifest.steps["audio"].tolist()
