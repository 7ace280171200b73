"""Questions about sessions, branches, regions and misclassified sessions."""

import numpy as np
import pandas as pd
import pytest
from explained_runs import FAST, WORDS, make_tables, write_run

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.ask import QUESTIONS, ask
from depmm.interpret.query.references import SHARED_BRANCHES


def test_regions(run, tmp_path):
    with pytest.raises(QuestionError) as info:
        ask(run, "regions")
    assert info.value.file == run / "region_attributions.parquet"
    tables = make_tables()
    steps = tables["attributions"].drop(columns=["occlusion", "selected"])
    rng = np.random.default_rng(0)
    mouth = np.clip(0.2 + 0.2 * steps["label"] + 0.05 * rng.normal(size=len(steps)), 0, 1)
    mouth[steps["step"] == 3] = np.nan
    regions = pd.concat(
        [
            steps.assign(modality="face", region=region, share=share.astype(float), area=area)
            for region, share, area in (("mouth", mouth, 0.1), ("eyes", 1 - mouth, 0.9))
        ]
    )
    mapped = write_run(tmp_path / "mapped", tables | {"region_attributions": regions})
    result = ask(mapped, "regions", **FAST)
    assert result["region"].tolist() == ["mouth", "eyes"]
    assert result["uniform_share"].tolist() == pytest.approx([0.1, 0.9])
    assert result["share"].tolist() == pytest.approx([mouth.mean(), 1 - mouth.mean()])
    assert result["n_positive"].tolist() == [6, 6]  # subjects, not steps
    assert result["effect"][0] > 1.5
    assert result["effect"][0] == pytest.approx(-result["effect"][1])
    _, note = result.attrs["notes"]
    assert note.startswith("24 of 96 maps")
    unknown = regions.assign(label=pd.array([pd.NA] * len(regions), "Int8"))
    scores = write_run(tmp_path / "scores", tables | {"region_attributions": unknown})
    assert "effect" not in ask(scores, "regions")
    zero = write_run(
        tmp_path / "zero", tables | {"region_attributions": regions.assign(share=np.nan)}
    )
    with pytest.raises(QuestionError) as info:
        ask(zero, "regions")
    assert info.value.column == "share"


def test_session_lists_steps_in_order(run):
    result = ask(run, "session", subject="p3")
    assert result["word"].tolist() == WORDS
    assert result["n_models"].tolist() == [2] * 4
    steps = make_tables()["attributions"].query("subject == 'p3'")
    assert result["occlusion"].tolist() == pytest.approx(
        steps.groupby("step")["occlusion"].mean().tolist()
    )
    with pytest.raises(QuestionError) as info:
        ask(run, "session", subject="p33")
    assert (info.value.column, info.value.value) == ("subject", "p33")
    assert "p3" in info.value.remedy
    with pytest.raises(QuestionError) as info:
        ask(run, "session", subject="p3", session="p3_2")
    assert (info.value.subject, info.value.value) == ("p3", "p3_2")


def test_subject_id_in_two_corpora(tmp_path):
    table = make_tables(seeds=1)["attributions"]
    both = pd.concat([table, table.assign(corpus="d")])
    run = write_run(tmp_path / "run", {"attributions": both})
    with pytest.raises(QuestionError) as info:
        ask(run, "session", subject="p3")
    assert (info.value.subject, info.value.setting) == ("p3", "corpus")
    result = ask(run, "session", subject="p3", corpus="d")
    assert result["corpus"].tolist() == ["d"] * 4
    assert "n_models" not in result


def test_gates(run, tmp_path):
    result = ask(run, "gates").set_index("branch")
    assert result["gate"].to_dict() == {"audio": 0.25, "face": 0.75}
    assert (result["effect"] > 2).all()
    assert result["n_positive"].tolist() == [6, 6]
    branches = make_tables()["branches"]
    scores = {"branches": branches.assign(label=pd.array([None] * len(branches), "Int8"))}
    result = ask(write_run(tmp_path / "scores", scores), "gates")
    assert result.columns.tolist() == ["branch", "gate", "n_sessions", "logit"]
    assert result["n_sessions"].tolist() == [24, 24]


def test_misclassified(run):
    result = ask(run, "misclassified", words=1)
    # p1 with label 1 at .21 and p2 with label 0 at .8, threshold .5 by the validation sessions
    assert result["subject"].tolist() == ["p2", "p1"]
    assert result["threshold"].tolist() == pytest.approx([0.5, 0.5])
    assert result["n_misclassified"].tolist() == [2, 2]
    first = result.set_index("subject").loc["p1"]
    assert first["word"] == "joy"
    table = make_tables()["attributions"].query("word == 'joy' and label == 1")
    others = table[table["subject"] != "p1"].groupby("subject")["occlusion"].mean()
    assert first["occlusion_of_others"] == pytest.approx(others.mean())
    assert len(ask(run, "misclassified", top=1, words=2)["subject"].unique()) == 1


def test_no_session_is_misclassified(tmp_path):
    tables = make_tables()
    prob = tables["predictions"]["y_true"] * 0.8 + 0.1
    tables["predictions"] = tables["predictions"].assign(y_prob=prob)
    result = ask(write_run(tmp_path / "run", tables), "misclassified")
    assert result.empty
    assert len(result.attrs["notes"]) == 1


def test_modalities_by_hand_and_before_branches(run):
    result = ask(run, "modalities", **FAST)
    table = make_tables()["modalities"]
    assert result["modality"].tolist() == ["audio", "face"]
    means = table.groupby("modality")["shapley"].mean()
    assert result["shapley"].tolist() == pytest.approx(means.tolist())
    assert result["n_sessions"].tolist() == [24, 24]
    assert result["n_positive"].tolist() == [6, 6]
    face = table[table["modality"] == "face"].groupby(["label", "subject"])["shapley"].mean()
    difference = face.groupby("label").mean().diff()[1]
    assert result["difference"][1] == pytest.approx(difference)
    assert list(QUESTIONS).index("modalities") < list(QUESTIONS).index("gates")


def test_branches_that_share_attention_are_a_note(run, tmp_path):
    (models,) = ask(run, "gates").attrs["notes"]
    attention = make_tables()["branches"].assign(shared_selected=pd.array([True] * 48, "boolean"))
    for shared in (True, False):
        if not shared:
            attention["shared_selected"] = pd.array([None] * 48, "boolean")
        folder = write_run(tmp_path / str(shared), make_tables() | {"attention": attention})
        assert ask(folder, "gates").attrs["notes"] == [SHARED_BRANCHES] * shared + [models]
