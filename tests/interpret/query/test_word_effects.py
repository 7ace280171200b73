"""Effects of words: subjects as units, strata, valences, measures, and unusable tables."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from word_tables import FAST, get_by_subject, make_readings

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.word_effects import compare_measures, compare_valences, compare_words


def test_effect_by_hand():
    table = compare_words(
        make_readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0])
    )
    row = table.iloc[0]
    # means 5 and 2, variances 4 and 1, pooled deviation sqrt(2.5), df 4
    assert row["difference"] == pytest.approx(3)
    assert row["effect"] == pytest.approx(3 / np.sqrt(2.5) * (1 - 3 / 15))
    assert (row["mean_positive"], row["mean_negative"]) == pytest.approx((5, 2))
    assert (row["n_positive"], row["n_negative"]) == (3, 3)
    # of 20 labellings: itself, the one with both 3s exchanged, and their mirrors
    assert row["p"] == pytest.approx(4 / 20, abs=0.02)
    assert row["q"] == row["p"]
    assert not row["rare"]


def test_subject_counts_once():
    """The number of readings, folds and seeds does not matter."""
    once = make_readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0])
    again = [once.assign(occlusion=once["occlusion"] + d, seed=k) for k, d in enumerate((-1, 1))]
    pd.testing.assert_frame_equal(
        compare_words(pd.concat(again), **FAST), compare_words(once, **FAST)
    )


def test_equal_effects_are_ordered_by_name():
    column = [1.0, 2.0, 4.0, 7.0, 9.0, 8.0]
    table = make_readings(dict.fromkeys(("wolf", "ape", "cat"), column), [1, 1, 1, 0, 0, 0])
    expected = compare_words(table, **FAST)
    assert expected["word"].tolist() == ["ape", "cat", "wolf"]
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(compare_words(shuffled, **FAST), expected)


def test_rare_and_constant_words():
    nan = float("nan")
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    values = {
        "joy": [1.0, 2.0, 4.0, 3.0, 7.0, 9.0, 8.0, 7.5],
        "rare": [99.0, 99.5, nan, nan, 3.0, 4.0, 3.5, nan],  # the largest effect, of two subjects
        "alone": [1.0, nan, nan, nan, 3.0, 4.0, nan, nan],
        "constant": [0.1] * 8,
    }
    table = compare_words(make_readings(values, labels), draws=50, permutations=99).set_index(
        "word"
    )
    assert table.index.tolist() == ["joy", "constant", "rare", "alone"]
    assert table.loc["rare", ["n_positive", "n_negative"]].tolist() == [2, 3]
    assert table["rare"].tolist() == [False, False, True, True]
    assert np.isfinite(table.loc["rare", "effect"])
    assert table.loc["alone", "difference"] == pytest.approx(-2.5)
    assert table.loc[["constant", "alone"], "effect"].isna().all()
    assert table.iloc[1:][["ci_low", "ci_high", "p", "q"]].isna().all(axis=None)
    assert table.loc["joy", "q"] == table.loc["joy", "p"]  # the only word that was tested


def test_selection_rate_is_compared_as_well():
    table = make_readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0])
    table["selected"] = [0.5, 1.0, 0.75, 0.25, 0.0, 0.5]
    row = compare_words(table, **FAST).iloc[0]
    alone = compare_words(table, "selected", **FAST).iloc[0]
    for value in (row["selected_difference"], alone["difference"]):
        assert value == pytest.approx(0.5)
    assert row["selected_effect"] == pytest.approx(alone["effect"])
    assert "selected_effect" not in alone


def test_perfect_separation_has_an_infinite_effect():
    """Rates of few heads are often equal, so that no subject differs within a label."""
    mixed = make_readings({"w": [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]}, [1] * 4 + [0] * 4)
    # labellings with as large an effect have 3 or 4 ones on a side: (16 + 16 + 1 + 1) of 70
    assert compare_words(mixed, draws=0)["p"].item() == pytest.approx(34 / 70, abs=0.03)
    separated = compare_words(
        make_readings({"w": [1.0] * 4 + [0.0] * 4}, [1] * 4 + [0] * 4), draws=0
    )
    assert separated["effect"].item() == np.inf
    assert separated["p"].item() == pytest.approx(2 / 70, abs=0.01)


def test_large_values_do_not_drown_the_effect():
    values, labels = [3.0, 5.0, 7.0, 1.0, 2.0, 3.0], [1, 1, 1, 0, 0, 0]
    near, far = (
        compare_words(
            make_readings({"w": [v * 1e-4 + shift for v in values]}, labels), **FAST
        ).iloc[0]
        for shift in (0.0, 1e4)
    )
    assert far["effect"] == pytest.approx(near["effect"], rel=1e-3)
    assert far["p"] == pytest.approx(near["p"])


def test_p_is_the_share_of_labellings_with_as_large_a_t():
    """The number of readers differs by labelling; with the effect as statistic, p would be .27."""
    nan = float("nan")
    values = np.array([1.0, -2.0, 0.0, 2.0, 1.0, 0.0, 2.0, 3.0, nan, nan])
    t = []
    for chosen in combinations(range(10), 5):
        is_first = np.isin(np.arange(10), chosen)
        first, second = (values[side & ~np.isnan(values)] for side in (is_first, ~is_first))
        t.append(abs(stats.ttest_ind(first, second).statistic))
    exact = np.mean(np.array(t) >= t[0] - 1e-9)
    table = make_readings({"few": list(values), "all": list(range(10))}, [1] * 5 + [0] * 5)
    p = compare_words(table, permutations=2000, draws=0).set_index("word")["p"]
    assert p["few"] == pytest.approx(exact, abs=0.04)


def test_p_counts_only_labellings_with_two_readers_per_label():
    nan = float("nan")
    few = [5.0, 6.0, 7.0, nan, nan, nan, 1.0, 2.0, 3.0]
    table = make_readings({"few": few, "all": list(range(9))}, [1] * 6 + [0] * 3)
    p = compare_words(table, permutations=2000, draws=0).set_index("word")["p"]
    # of 84 labellings, 20 leave 3 readers on each side, 2 of them separated; 45 leave 4 and 2, none
    # as far; 18 leave 5 and 1 and one 6 and 0, and do not count
    assert p["few"] == pytest.approx(2 / 65, abs=0.012)


def test_planted_word_comes_first():
    rng = np.random.default_rng(0)
    labels = [1, 0] * 12
    words = {f"word{n}": rng.normal(size=24) for n in range(30)}
    words["grief"] = rng.normal(size=24) + 2.5 * np.array(labels)
    table = compare_words(make_readings(words, labels, "negative"), draws=0)
    assert table.loc[0, ["word", "valence"]].tolist() == ["grief", "negative"]
    assert table["q"][0] < 0.01
    assert (table["q"][1:] > 0.05).all()
    assert table["effect"].abs().is_monotonic_decreasing


def make_confounded(n: int = 60) -> tuple[pd.DataFrame, list[int]]:
    """Make women read ``soft`` differently and more often have label 1; plant ``grief``."""
    rng = np.random.default_rng(5)
    labels = [k % 2 for k in range(n)]
    gender = ["female" if (k % 2) != (k % 10 < 2) else "male" for k in range(n)]
    women = np.array([name == "female" for name in gender])
    words = {f"word{k}": rng.normal(size=n) for k in range(8)}
    words["soft"] = rng.normal(size=n) + 2.0 * women
    words["grief"] = rng.normal(size=n) + 2.0 * np.array(labels)
    table = make_readings(words, labels)
    return table.assign(gender=get_by_subject(table, gender)), labels


def test_confound_is_not_significant_within_its_strata():
    table, _ = make_confounded()
    plain = compare_words(table, permutations=999, draws=0).set_index("word")
    within = compare_words(table, stratify_by="gender", permutations=999, draws=0).set_index("word")
    assert (plain.loc[["soft", "grief"], "q"] < 0.05).all()
    assert within.loc["soft", "q"] > 0.05
    assert within.loc["grief", "q"] < 0.05
    assert (within.drop("grief")["q"] > 0.05).all()


def test_difference_within_strata_is_that_of_a_linear_model():
    table, labels = make_confounded()
    row = compare_words(table, stratify_by="gender", **FAST).set_index("word").loc["soft"]
    rows = table[table["word"] == "soft"]
    women = (rows["gender"] == "female").to_numpy(float)
    design = np.stack([np.array(labels, dtype=float), women, 1 - women], axis=1)
    y = rows["occlusion"].to_numpy()
    coefficients, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - 3
    assert row["difference"] == pytest.approx(coefficients[0])
    g = coefficients[0] / np.sqrt(residual[0] / freedom) * (1 - 3 / (4 * freedom - 1))
    assert row["effect"] == pytest.approx(g)


def test_subjects_compared_with_themselves():
    """Sessions of both labels by the same subjects: the paired t test."""
    rng = np.random.default_rng(4)
    subject = rng.normal(size=10) * 50
    first, second = subject + rng.normal(size=10) + 1.0, subject + rng.normal(size=10)
    table = pd.concat(
        [make_readings({"w": first}, [1] * 10), make_readings({"w": second}, [0] * 10)]
    ).reset_index(drop=True)
    with pytest.raises(QuestionError) as info:
        compare_words(table)
    assert info.value.subject == "p0"
    row = compare_words(table, stratify_by="subject", permutations=1000, draws=100).iloc[0]
    paired = stats.ttest_rel(first, second)
    assert row["difference"] == pytest.approx((first - second).mean())
    # sqrt(2): the deviation of one reading, not of a difference of two
    deviation = (first - second).std(ddof=1) / np.sqrt(2)
    assert row["effect"] == pytest.approx(row["difference"] / deviation * (1 - 3 / 35))
    assert row["p"] == pytest.approx(paired.pvalue, abs=0.03)
    assert row["ci_low"] < row["effect"] < row["ci_high"]
    assert row["n_positive"] == 10


def test_labels_are_permuted_within_strata():
    differences = np.array([1.0, 1.1, 0.9, 1.2])
    table = pd.concat(
        [make_readings({"w": list(differences)}, [1] * 4), make_readings({"w": [0.0] * 4}, [0] * 4)]
    )
    p = compare_words(table, stratify_by="subject", permutations=2000, draws=0)["p"].item()
    assert p == pytest.approx(2 / 16, abs=0.03)  # two of the 16 ways to swap the pairs


def test_valence_is_the_mean_of_its_words():
    labels = [1, 1, 1, 0, 0, 0]
    table = pd.concat(
        [
            make_readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, labels, "negative"),
            make_readings({"fear": [1.0, 1.0, 1.0, 0.0, 2.0, 1.0]}, labels, "negative"),
            make_readings(
                {"fear": [1.0, 1.0, 1.0, 0.0, 2.0, 1.0]}, labels, "negative"
            ),  # read twice
            make_readings({"table": [1.0, 2.0, 0.0, 1.0, 0.0, 2.0]}, labels),
            make_readings({"?": [9.0] * 6}, labels, None),
        ]
    )
    valences = compare_valences(table, **FAST).set_index("valence")
    assert valences.index.tolist() == ["negative", "neutral"]
    assert valences["n_words"].tolist() == [2, 1]
    assert valences.loc["negative", "mean_positive"] == pytest.approx((5 + 1) / 2)
    assert valences.loc["negative", "mean_negative"] == pytest.approx((2 + 1) / 2)
    with pytest.raises(QuestionError) as info:
        compare_valences(table.assign(valence=None))
    assert info.value.column == "valence"


def test_measures_are_adjusted_together():
    rng = np.random.default_rng(0)
    labels = [1, 0] * 6
    table = make_readings({f"w{k}": rng.normal(size=12) for k in range(4)}, labels)
    table["selected_face"], table["selected_audio"] = table["occlusion"] ** 2, rng.random(48)
    measures = ["selected_face", "selected_audio"]
    both = compare_measures(table, measures, permutations=500, draws=0)
    assert len(both) == 8
    assert both["q"].tolist() == pytest.approx(stats.false_discovery_control(both["p"]).tolist())
    for name in measures:
        measure = both[both["measure"] == name].set_index("word")["effect"]
        alone = compare_words(table, name, **FAST).set_index("word")["effect"]
        pd.testing.assert_series_equal(measure.sort_index(), alone.sort_index())


@pytest.mark.parametrize(
    ("change", "options", "attribute", "value"),
    [
        ({"label": 1}, {}, "value", 1),
        ({"word": None}, {}, "column", "word"),
        ({"label": [3.0, 40.0, 12.0, 1.0]}, {}, "column", "label"),
        ({"label": None}, {}, "column", "label"),
        ({"occlusion": np.nan}, {}, "column", "occlusion"),
        ({}, {"measure": "oclusion"}, "column", "oclusion"),
        ({}, {"stratify_by": "gendr"}, "column", "gendr"),
        ({}, {"stratify_by": "subject"}, "value", "subject"),
        ({"gender": list("fmfm")}, {"stratify_by": "gender"}, "value", "gender"),
        (
            {"subject": ["p0", "p0", "p1", "p2"], "label": [1, 1, 0, 0], "gender": list("fmfm")},
            {"stratify_by": "gender"},
            "subject",
            "p0",
        ),
    ],
)
def test_unusable_tables_are_rejected(change, options, attribute, value):
    table = make_readings({"joy": [1.0, 2.0, 3.0, 4.0]}, [1, 0, 1, 0]).assign(**change)
    with pytest.raises(QuestionError) as info:
        compare_words(table, **options)
    assert getattr(info.value, attribute) == value
