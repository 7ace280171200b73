"""Questions about words."""

import numpy as np
import pandas as pd
import pytest
from explained_runs import FAST, WORDS, make_tables, write_run

from depmm.config import dump_config, load_config, load_experiment
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.ask import ask
from depmm.interpret.query.explained_by import ONE_ORDER
from depmm.interpret.query.references import (
    ALL_STEPS,
    TO_OTHER_WORDS,
    TO_TRAINING,
    list_reference_notes,
    read_all_steps,
)


def test_words_by_label_counts_subjects(run):
    result = ask(run, "words-by-label", valence="negative", top="1", **FAST)
    assert result["word"].tolist() == ["grief", ALL_STEPS]
    assert result["n_positive"].tolist() == [6, 6]  # subjects, not seeds
    assert result["q"].max() < 0.05
    whole = ask(run, "words-by-label", **FAST)
    assert sorted(whole["word"][:-1]) == WORDS
    assert whole["q"][0] == pytest.approx(result["q"][0])  # of all words that were tested
    stratified = ask(run, "words-by-label", stratify_by="gender", **FAST)  # from the predictions
    assert "stratified by gender" in stratified.attrs["title"]
    assert stratified["effect"][0] != pytest.approx(whole["effect"][0], rel=1e-3)
    rates = ask(run, "words-by-label", rank_by="selected_face", **FAST)
    assert rates["difference"][0] == pytest.approx(0.25)
    assert sorted(rates["word"]) == WORDS  # no selection without steps


def test_all_steps_removed_are_a_test_of_their_own(run):
    sessions = make_tables()["session_attributions"]
    subjects = sessions.groupby(["label", "subject"])[["all_steps", "all_steps_face"]].mean()
    means = subjects.groupby("label").mean()
    for measure, column in (("occlusion", "all_steps"), ("occlusion_face", "all_steps_face")):
        row = ask(run, "words-by-label", rank_by=measure, **FAST).iloc[-1]
        assert row["word"] == ALL_STEPS
        assert row["mean_positive"] == pytest.approx(means.loc[1, column])
        assert row["mean_negative"] == pytest.approx(means.loc[0, column])
    stratified = ask(run, "words-by-label", stratify_by="gender", **FAST).iloc[-1]
    assert stratified["q"] == stratified["p"] == pytest.approx(0.01)


def test_all_steps_of_a_modality_whose_name_has_underscores(tmp_path):
    names = {"all_steps_face": "all_steps_near_audio"}
    sessions = make_tables()["session_attributions"].rename(columns=names)
    sessions["all_steps_audio"] += 1
    run = write_run(tmp_path / "run", {"session_attributions": sessions})
    for suffix in ("", "_audio", "_near_audio"):
        values = read_all_steps(run, f"integrated_gradients{suffix}")["value"]
        assert values.tolist() == sessions[f"all_steps{suffix}"].tolist()


def test_titles_say_what_attributions_are_relative_to(run, tmp_path):
    for question in ("words-by-label", "words-by-valence", "stability", "misclassified"):
        assert TO_TRAINING in ask(run, question).attrs["title"]
    assert TO_TRAINING in ask(run, "session", subject="p3").attrs["title"]
    tables = make_tables()
    steps = tables["attributions"].assign(permutation=0.5)
    relative = write_run(
        tmp_path / "relative", tables | {"attributions": steps.assign(reference="session mean")}
    )
    for question in ("words-by-label", "words-by-valence", "stability", "misclassified"):
        result = ask(relative, question)
        assert TO_OTHER_WORDS in result.attrs["title"]
    assert any(TO_OTHER_WORDS in note for note in ask(relative, "words-by-label").attrs["notes"])
    advice = "--reference training"  # which the occlusion of classical models does not have
    assert any(advice in note for note in list_reference_notes(relative, "occlusion"))
    (relative / "config.yaml").write_text(dump_config(load_experiment("classical_demo")))
    assert not any(advice in note for note in list_reference_notes(relative, "occlusion"))
    assert TO_OTHER_WORDS not in ask(relative, "words-by-encoder").attrs["title"]
    # permutation replaces a step by steps of the same session in any case
    permuted = write_run(tmp_path / "permuted", tables | {"attributions": steps})
    result = ask(permuted, "words-by-label", rank_by="permutation", **FAST)
    assert TO_OTHER_WORDS in result.attrs["title"]
    assert ALL_STEPS not in result["word"].tolist()


def test_rare_words_and_centred_models_are_notes(tmp_path):
    tables = make_tables()
    steps = tables["attributions"]
    steps.loc[steps["word"].isin(WORDS[:2]), "reference"] = "training steps"
    folder = write_run(tmp_path / "rare", tables)
    note, *common = ask(folder, "words-by-label", **FAST).attrs["notes"]
    assert len(common) == 2  # models, order
    assert note.startswith("2 words were read by fewer than 3 training subjects")
    for centred, count in ((True, 2), (False, 1)):
        override = f"model.subtract_session_mean={str(centred).lower()}"
        (folder / "config.yaml").write_text(dump_config(load_config("demo", [override])))
        assert len(ask(folder, "words-by-label", **FAST).attrs["notes"]) == count + len(common)


def test_uneven_gender_gives_a_note(run, tmp_path):
    usual = ask(run, "words-by-label", **FAST).attrs["notes"]  # 3 women of 6 with each label
    assert usual == ["2 models explained 12 subjects, 12 subjects each.", ONE_ORDER]
    tables = make_tables()
    subjects = tables["predictions"]
    tested = subjects["split"] == "test"
    gender = subjects.loc[tested, "y_true"].map({1: "female", 0: "male"})
    subjects.loc[tested, "gender"] = gender
    subjects.loc[subjects["subject"] == "p1", "gender"] = "male"
    uneven = write_run(tmp_path / "uneven", tables)
    for question in ("words-by-label", "words-by-valence", "words-by-encoder", "gates"):
        (note,) = set(ask(uneven, question).attrs["notes"]) - set(usual)
        assert note.startswith("5 of 6 subjects with label 1 and 0 of 6 with label 0 are female")
        assert "p = 0.015" in note
        stratified = ask(uneven, question, stratify_by="gender").attrs["notes"]
        assert not any("Fisher" in note for note in stratified)
    all_uneven = subjects.assign(gender=np.where(subjects["y_true"] == 1, "female", "male"))
    apart = write_run(tmp_path / "apart", tables | {"predictions": all_uneven})
    with pytest.raises(QuestionError) as info:
        ask(apart, "words-by-label", stratify_by="gender", **FAST)
    assert (info.value.setting, info.value.value) == ("stratify_by", "gender")


def test_words_are_ranked_by_shapley_values_if_computed(run, tmp_path):
    assert "by occlusion" in ask(run, "words-by-label", **FAST).attrs["title"]
    tables = make_tables()
    steps = tables["attributions"]
    tables["attributions"] = steps.assign(shapley=steps["occlusion_face"])
    richer = write_run(tmp_path / "shapley", tables)
    for question in ("words-by-label", "words-by-valence", "stability"):
        assert "by shapley" in ask(richer, question).attrs["title"]
        default, explicit = ask(richer, question), ask(richer, question, rank_by="shapley")
        pd.testing.assert_frame_equal(default, explicit)
        assert not default.equals(ask(richer, question, rank_by="occlusion"))


def test_words_by_valence_and_encoder(run):
    valence = ask(run, "words-by-valence", **FAST).set_index("valence")["n_words"]
    assert valence.to_dict() == {"negative": 2, "neutral": 1, "positive": 1}
    encoder = ask(run, "words-by-encoder", **FAST)
    assert encoder["encoder"].tolist() == ["face"] * 4
    assert encoder["word"][0] == "grief"


def test_agreement_and_stability(run):
    agreement = ask(run, "agreement")
    assert agreement["over"].tolist() == ["words", "steps", "steps", "steps"]
    stable = ask(run, "stability")
    assert stable[["compared", "n_pairs"]].to_numpy().tolist() == [["same subjects", 1]]
    pairs = ask(run, "stability", pairs="yes")["spearman"].item()
    assert stable["spearman"].item() == pytest.approx(pairs)
    assert pairs > 0.9
