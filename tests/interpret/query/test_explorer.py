"""The explorer: its numbers, and the text of its page."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from explorer_tables import FEW, HOSTILE, MEASURES, make_attributions, make_predictions
from nearly import nearly
from scipy.stats import bootstrap

from depmm.interpret.errors import QuestionError
from depmm.interpret.query import explorer
from depmm.interpret.query.explorer import build_content, write_explorer
from depmm.interpret.query.word_effects import compare_words


def get_row(content, measure, word):
    index = [entry["word"] for entry in content["words"]].index(word)
    return next(row for row in content["statistics"][measure] if row["word"] == index)


def test_subject_counts_once_in_a_mean():
    steps = make_attributions(seeds=2)
    content = build_content(steps, **FEW)
    row = get_row(content, "occlusion", "joy")
    joy = steps[(steps["word"] == "joy") & (steps["label"] == 0)]
    subjects = joy.groupby("subject")["occlusion"].mean()
    label1, label0 = row["groups"]
    assert [label1["label"], label0["label"]] == [1, 0]
    assert label0["mean"] == pytest.approx(subjects.mean(), rel=1e-3)
    assert label0["n_subjects"] == 6
    assert label0["mean"] != pytest.approx(joy["occlusion"].mean(), rel=1e-3)


def test_intervals_equal_those_of_scipy():
    steps = make_attributions(subjects=40)
    row = get_row(build_content(steps, draws=4000, permutations=9), "occlusion", "table")
    read = steps[(steps["word"] == "table") & (steps["label"] == 1)]["occlusion"].to_numpy()
    expected = bootstrap((read,), np.mean, n_resamples=4000, method="BCa", rng=0)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    group = row["groups"][0]
    bounds = [group["ci_low"], group["ci_high"]]
    assert bounds == pytest.approx(expected.confidence_interval, abs=0.05 * width)


def test_effects_and_tests_equal_those_of_the_question():
    steps = make_attributions()
    content = build_content(steps, **FEW)
    for measure in (*MEASURES, "selected_face"):
        expected = compare_words(steps, measure, permutations=99)
        rows = pd.DataFrame(content["statistics"][measure])
        words = [content["words"][index]["word"] for index in rows["word"]]
        assert words == expected["word"].tolist()
        for column in ("effect", "p", "q"):
            np.testing.assert_allclose(rows[column], expected[column], rtol=1e-3)


def test_word_with_few_readers_is_not_compared():
    steps = make_attributions()
    steps.loc[
        (steps["word"] == "joy") & (steps["subject"] != "p01") & (steps["label"] == 1), "word"
    ] = "table"
    content = build_content(steps, **FEW)
    assert (content["counts"]["words"], content["counts"]["rare"]) == (3, 1)
    assert len(content["statistics"]["occlusion"]) == 2


def test_scores_have_no_test():
    steps = make_attributions().rename(columns={"y_prob": "score_pred"}).assign(label=pd.NA)
    content = build_content(steps.astype({"label": "Int8"}), **FEW)
    row = get_row(content, "occlusion", "joy")
    assert (content["binary"], row["p"], len(row["groups"])) == (False, None, 1)
    assert row["groups"][0]["n_subjects"] == 12
    assert content["sessions"][3]["prediction"] == pytest.approx(4 / 16)


def test_one_label_or_no_words_have_no_test():
    steps = make_attributions()
    alone = build_content(steps[steps["label"] == 1], **FEW)
    assert [len(row["groups"]) for row in alone["statistics"]["occlusion"]] == [1, 1, 1]
    wordless = build_content(steps.assign(word=None, valence=None), **FEW)
    assert wordless["words"] == wordless["statistics"]["occlusion"] == []
    assert wordless["sessions"][1]["word"] == [None, None, None]


def test_one_modality_has_one_column_of_occlusion():
    steps = make_attributions(measures=("occlusion", "occlusion_audio")).assign(
        occlusion_face=np.nan
    )
    content = build_content(steps, **FEW)
    assert [measure["name"] for measure in content["measures"]] == ["occlusion"]


def test_large_run_lists_a_sample_and_computes_from_all_sessions(monkeypatch):
    steps = make_attributions()
    everything = build_content(steps, **FEW)
    monkeypatch.setattr(explorer, "MAX_SESSIONS", 5)
    content = build_content(steps, **FEW)
    assert len(content["sessions"]) == content["counts"]["listed"] == 5
    assert content["counts"]["sessions"] == 12
    assert content["statistics"] == nearly(everything["statistics"], rel=1e-3)


def test_run_must_be_explained(tmp_path):
    with pytest.raises(QuestionError) as info:
        write_explorer(tmp_path)
    assert info.value.file == tmp_path / "attributions.parquet"


def test_words_are_data_and_never_html(tmp_path):
    steps = make_attributions()
    steps.to_parquet(tmp_path / "attributions.parquet")
    html = write_explorer(tmp_path).read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script") == 2
    assert "alert(1)</script" not in html
    assert "<b>" not in html
    data = re.search(r'<script type="application/json" id="content">(.*?)</script>', html)[1]
    assert HOSTILE in [entry["word"] for entry in json.loads(data)["words"]]


def test_uneven_gender_gives_a_caution_on_the_page(tmp_path):
    steps = make_attributions()
    steps.to_parquet(tmp_path / "attributions.parquet")
    subjects = make_predictions(steps)
    subjects.to_parquet(tmp_path / "predictions.parquet")
    caution = "5 of 6 subjects with label 1 and 0 of 6 with label 0 are female"
    assert caution in write_explorer(tmp_path).read_text(encoding="utf-8")
    subjects.assign(gender="female").to_parquet(tmp_path / "predictions.parquet")
    assert "not independent" not in write_explorer(tmp_path).read_text(encoding="utf-8")
    subjects.drop(columns="gender").to_parquet(tmp_path / "predictions.parquet")
    assert "not independent" not in write_explorer(tmp_path).read_text(encoding="utf-8")
