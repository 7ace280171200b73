"""Agreement of rankings: voice and face, folds and seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from word_tables import FAST, make_modalities

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.stability import correlate_modalities, correlate_models
from depmm.interpret.query.word_effects import compare_words


def test_correlation_of_voice_and_face():
    table = make_modalities()
    result = correlate_modalities(table, draws=200).set_index(["over", "subjects"])
    effects = [
        compare_words(table, name, **FAST).set_index("word")["effect"].sort_index()
        for name in ("occlusion_audio", "occlusion_face")
    ]
    words = result.loc[("words", "all")]
    assert words["correlation"] == pytest.approx(stats.spearmanr(*effects)[0])
    assert words["n"] == 6
    by_subject = table.groupby(["subject", "label"]).apply(
        lambda rows: stats.spearmanr(rows["occlusion_audio"], rows["occlusion_face"])[0]
    )
    assert result.loc[("steps", "all"), "correlation"] == pytest.approx(by_subject.mean())
    positive = by_subject[by_subject.index.get_level_values("label") == 1]
    assert result.loc[("steps", "positive"), "correlation"] == pytest.approx(positive.mean())
    assert result["n"].tolist() == [6, 12, 6, 6]
    assert (result["ci_low"] <= result["correlation"]).all()
    assert (result["correlation"] <= result["ci_high"]).all()
    assert (
        result.loc[("steps", "positive"), "ci_low"] > result.loc[("steps", "negative"), "ci_high"]
    )
    noise = np.random.default_rng(1).normal(size=len(table))
    seeds = [
        table.assign(seed=k, occlusion_face=table["occlusion_face"] + noise * (1 - 2 * k))
        for k in (0, 1)
    ]
    again = correlate_modalities(pd.concat(seeds), draws=20)["correlation"]
    assert again.tolist() == pytest.approx(result["correlation"].tolist())


def test_correlation_is_missing_if_little_can_be_ranked():
    table = make_modalities()
    two = correlate_modalities(table[table["step"] < 2], draws=20)
    assert two["correlation"].isna().all()
    flat = table.assign(occlusion_face=table["occlusion_face"].where(table["label"] == 1, 0.0))
    steps = correlate_modalities(flat, draws=20).set_index(["over", "subjects"]).loc["steps"]
    assert steps["n"].tolist() == [6, 6, 0]  # constant steps have no ranks
    with pytest.raises(QuestionError) as info:
        correlate_modalities(table.assign(occlusion_face=np.nan))
    assert info.value.value == ["audio"]


def test_correlation_of_folds_and_seeds():
    table = make_modalities(subjects=24, shared=2.0)
    table["fold"] = [int(name[1:]) // 2 % 2 for name in table["subject"]]
    rng = np.random.default_rng(0)
    other = table.assign(seed=1, occlusion=table["occlusion"] + rng.normal(size=len(table)) * 0.1)
    result = correlate_models(pd.concat([table, other]))
    assert result["compared"].value_counts().to_dict() == {
        "other subjects": 4, "same subjects": 2, "seeds": 1
    }  # fmt: skip
    seeds = result[result["compared"] == "seeds"].iloc[0]
    effects = [
        compare_words(part, **FAST).set_index("word")["effect"].sort_index()
        for part in (table, other)
    ]
    assert seeds["spearman"] == pytest.approx(stats.spearmanr(*effects)[0])
    assert seeds["kendall"] == pytest.approx(stats.kendalltau(*effects)[0])
    assert (seeds["first"], seeds["second"], seeds["n_subjects"]) == ("seed 0", "seed 1", 24)
    assert result[result["compared"] == "same subjects"]["n_subjects"].tolist() == [12, 12]
    assert result[result["compared"] == "other subjects"]["n_subjects"].tolist() == [0] * 4
    with pytest.raises(QuestionError) as info:
        correlate_models(table[table["fold"] == 0])
    assert info.value.value == 1
    with pytest.raises(QuestionError) as info:
        correlate_models(table[table["subject"].isin([f"p{k}" for k in range(8)])])
    assert info.value.value == 2


def test_leave_one_subject_out_compares_seeds():
    """A fold of one subject has no effects; two seeds of all folds have."""
    table = make_modalities(subjects=8)
    table["fold"] = [int(name[1:]) for name in table["subject"]]
    result = correlate_models(pd.concat([table, table.assign(seed=1)]))
    assert result[["compared", "spearman"]].to_numpy().tolist() == [["seeds", pytest.approx(1.0)]]
