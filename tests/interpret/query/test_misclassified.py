"""Misclassified sessions by majority and by the threshold of each model."""

import pandas as pd
import pytest
from explained_runs import make_tables

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.misclassified import find_misclassified


def test_majority_of_models_decides():
    tables = make_tables(seeds=3)
    predictions = tables["predictions"]
    # p3 with label 1 is misclassified by one model of three, p5 by two
    for subject, seeds in (("p3", [0]), ("p5", [0, 1])):
        rows = (predictions["subject"] == subject) & predictions["seed"].isin(seeds)
        predictions.loc[rows, "y_prob"] = 0.1
    result = find_misclassified(tables["attributions"], predictions, sessions=10, words=1)
    assert result.set_index("subject")["n_misclassified"].to_dict() == {"p2": 3, "p1": 3, "p5": 2}
    assert (result["n_models"] == 3).all()


def test_each_model_uses_its_own_threshold():
    tables = make_tables(seeds=1)
    predictions = tables["predictions"]
    low = predictions["split"] == "validation"
    predictions.loc[low, "y_prob"] = predictions.loc[low, "y_true"] * 0.02 + 0.18  # threshold .19
    result = find_misclassified(tables["attributions"], predictions, sessions=10, words=1)
    assert result["threshold"].unique().tolist() == pytest.approx([0.19])
    assert "p1" not in set(result["subject"])  # .21 is above the threshold


def test_a_set_threshold_is_that_of_all_models():
    tables = make_tables(seeds=1)
    # p1 with label 1 at .21 and p2 with label 0 at .8
    for threshold, subjects in ((0.2, {"p2"}), (0.5, {"p1", "p2"})):
        result = find_misclassified(
            tables["attributions"], tables["predictions"], 10, 1, threshold=threshold
        )
        assert result["threshold"].unique().tolist() == [threshold]
        assert set(result["subject"]) >= subjects
        assert ("p1" in set(result["subject"])) == ("p1" in subjects)


def test_sessions_and_words_are_limited():
    tables = make_tables()
    result = find_misclassified(tables["attributions"], tables["predictions"], sessions=1, words=2)
    assert result["subject"].unique().tolist() == ["p2"]
    assert len(result) <= 2


def test_scores_are_rejected():
    tables = make_tables()
    scores = tables["predictions"].assign(y_prob=float("nan"))
    with pytest.raises(QuestionError) as info:
        find_misclassified(tables["attributions"], scores, 1, 1)
    assert info.value.column == "y_prob"


def test_a_corpus_without_words_has_misclassified_sessions():
    tables = make_tables(seeds=3)
    expected = find_misclassified(tables["attributions"], tables["predictions"], 10, 1)
    wordless = tables["attributions"].assign(word=pd.NA)
    result = find_misclassified(wordless, tables["predictions"], 10, 1)
    assert result.columns.tolist() == expected.columns.tolist()
    assert result["subject"].tolist() == expected["subject"].tolist()
    assert result["word"].isna().all()
