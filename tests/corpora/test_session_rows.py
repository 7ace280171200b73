"""Rows of sessions: labels, scores and cut-offs."""

import layouts
import pandas as pd
from corpus_samples import TOY, TOY_FILES, make_step_table, replace_text

from depmm.audit.checks import label_score_mismatch
from depmm.audit.findings import AuditInput
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import Manifest
from depmm.corpora.spec import parse_spec


def test_labels_follow_the_cut_off_and_codes_are_translated(tmp_path):
    manifest, report = index_corpus(parse_spec(TOY, "toy.yaml"), layouts.write(tmp_path, TOY_FILES))
    sessions = manifest.sessions.set_index("session")
    assert list(sessions.index) == ["S1_1", "S1_2", "S2_1"]
    assert list(sessions["label"]) == [0, 1, 1]
    assert list(sessions["score"]) == [13, 14, 63]
    assert list(sessions["gender"]) == ["female", "female", "male"]
    assert set(sessions["instrument"]) == {"BDI-II"}
    assert set(sessions["cut_off"]) == {14.0}
    assert list(manifest.steps["audio"]) == ["S1_1.wav", "S1_2.wav", "S2_1.wav"]
    assert manifest.steps["face"].isna().all()
    assert (manifest.steps["start_s"] == 0).all()
    assert manifest.steps["end_s"].isna().all()
    assert report.complete
    assert report.counts == {
        "subjects": 2, "sessions": 3, "steps": 3, "positive": 2, "negative": 1, "unlabelled": 0,
        "scores": 3, "steps_with_audio": 3, "steps_with_face": 0,
    }  # fmt: skip
    assert not report.unused
    assert not report.unrelated_folders


def test_classes_of_the_corpus_take_precedence_over_the_cut_off(tmp_path):
    text = replace_text(
        TOY,
        ("gender: gender}", "gender: gender, binary: score2}"),
        ("score: bdi}", "score: bdi, field: binary, positive: [1], negative: [0]}"),
    )
    table = "subject,visit,score,gender,score2\nS1,1,13,F,1\nS1,2,14,?,\nS2,1,63,M,0\n"
    root = layouts.write(tmp_path, {**TOY_FILES, "labels.csv": table})
    sessions = index_corpus(parse_spec(text, "toy.yaml"), root)[0].sessions
    assert sessions["label"].tolist() == [1, pd.NA, 0]
    assert sessions["score"].tolist() == [13, 14, 63]
    assert sessions["gender"].isna().tolist() == [False, True, False]
    (finding,) = label_score_mismatch(AuditInput(Manifest(sessions, make_step_table(sessions))))
    assert finding.sessions == (("toy", "S1", "S1_1"), ("toy", "S2", "S2_1"))
