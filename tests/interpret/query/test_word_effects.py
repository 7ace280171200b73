"""Statistics of words: effects, intervals and tests over people; agreement of rankings."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from depmm.interpret.query.group_effects import UNIT, drawn_effects, group_effects, observed
from depmm.interpret.query.stability import face_and_voice, stability
from depmm.interpret.query.word_effects import words_by_label, words_by_measure, words_by_valence

FAST = {"permutations": 99, "draws": 0}


def readings(
    values: dict[str, list[float]], labels: list[int], valence: str = "neutral", **columns: object
) -> pd.DataFrame:
    """One row for each person and word, of ``values[word][person]``."""
    table = pd.DataFrame(
        [
            ("c", f"p{person}", labels[person], word, valence, value)
            for word, column in values.items()
            for person, value in enumerate(column)
        ],
        columns=["corpus", "subject", "label", "word", "valence", "occlusion"],
    )
    return table.astype({"label": "Int8"}).assign(**columns)


def by_person(table: pd.DataFrame, values: list[object]) -> list[object]:
    return [values[int(name[1:])] for name in table["subject"]]


def matrix_of(
    values: np.ndarray, labels: np.ndarray, strata: list[str] | None = None
) -> pd.DataFrame:
    people = len(labels)
    index = pd.MultiIndex.from_arrays(
        [["c"] * people, [f"p{k}" for k in range(people)], labels, strata or ["all"] * people],
        names=UNIT,
    )
    words = pd.Index([f"w{k:02d}" for k in range(values.shape[1])], name="word")
    return pd.DataFrame(values, index, words)


# ---- the effect --------------------------------------------------------------------------------


def test_effect_by_hand():
    table = words_by_label(readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0]))
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


def test_interval_is_that_of_scipy():
    """BCa against an independent implementation: two samples, each drawn by itself."""
    rng = np.random.default_rng(3)
    labels = np.array([1] * 12 + [0] * 15)
    values = rng.gamma(2.0, size=(27, 1)) + labels[:, None]

    def g(first, second, axis=-1):
        n1, n0 = first.shape[axis], second.shape[axis]
        pooled = (n1 - 1) * first.var(axis, ddof=1) + (n0 - 1) * second.var(axis, ddof=1)
        difference = first.mean(axis) - second.mean(axis)
        return difference / np.sqrt(pooled / (n1 + n0 - 2)) * (1 - 3 / (4 * (n1 + n0 - 2) - 1))

    row = group_effects(matrix_of(values, labels), permutations=1, draws=8000).iloc[0]
    theirs = stats.bootstrap(
        (values[labels == 1, 0], values[labels == 0, 0]), g, n_resamples=8000, rng=0
    ).confidence_interval
    assert row["effect"] == pytest.approx(g(values[labels == 1, 0], values[labels == 0, 0]))
    assert row["low"] == pytest.approx(theirs.low, abs=0.06)
    assert row["high"] == pytest.approx(theirs.high, abs=0.06)


def test_a_person_counts_once():
    """However often a word is read, in however many folds and seeds."""
    once = readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0])
    again = [once.assign(occlusion=once["occlusion"] + d, seed=k) for k, d in enumerate((-1, 1))]
    pd.testing.assert_frame_equal(
        words_by_label(pd.concat(again), **FAST), words_by_label(once, **FAST)
    )


def test_order_is_decided_by_names_where_effects_are_equal():
    column = [1.0, 2.0, 4.0, 7.0, 9.0, 8.0]
    table = readings(dict.fromkeys(("wolf", "ape", "cat"), column), [1, 1, 1, 0, 0, 0])
    expected = words_by_label(table, **FAST)
    assert expected["word"].tolist() == ["ape", "cat", "wolf"]
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(words_by_label(shuffled, **FAST), expected)


def test_words_that_some_did_not_read():
    nan = float("nan")
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    values = {
        "joy": [1.0, 2.0, 4.0, 3.0, 7.0, 9.0, 8.0, 7.5],
        "rare": [99.0, 99.5, nan, nan, 3.0, 4.0, 3.5, nan],  # the largest effect, of two people
        "alone": [1.0, nan, nan, nan, 3.0, 4.0, nan, nan],
        "constant": [0.1] * 8,
    }
    table = words_by_label(readings(values, labels), draws=50, permutations=99).set_index("word")
    assert table.index.tolist() == ["joy", "constant", "rare", "alone"]
    assert table.loc["rare", ["n_positive", "n_negative"]].tolist() == [2, 3]
    assert table["rare"].tolist() == [False, False, True, True]
    assert np.isfinite(table.loc["rare", "effect"])
    assert table.loc["alone", "difference"] == pytest.approx(-2.5)
    assert table.loc[["constant", "alone"], "effect"].isna().all()
    assert table.iloc[1:][["low", "high", "p", "q"]].isna().all(axis=None)
    assert table.loc["joy", "q"] == table.loc["joy", "p"]  # the only word that was tested


def test_selection_rate_stands_beside_the_contribution():
    table = readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0])
    table["selected"] = [0.5, 1.0, 0.75, 0.25, 0.0, 0.5]
    row = words_by_label(table, **FAST).iloc[0]
    alone = words_by_label(table, "selected", **FAST).iloc[0]
    for value in (row["selected_difference"], alone["difference"]):
        assert value == pytest.approx(0.5)
    assert row["selected_effect"] == pytest.approx(alone["effect"])
    assert "selected_effect" not in alone


def test_perfect_separation_is_not_overlooked():
    """Shares of few heads are often equal: then nobody differs within a group."""
    mixed = readings({"w": [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]}, [1] * 4 + [0] * 4)
    # labellings with as large an effect have 3 or 4 ones on a side: (16 + 16 + 1 + 1) of 70
    assert words_by_label(mixed, draws=0)["p"].item() == pytest.approx(34 / 70, abs=0.03)
    parted = words_by_label(readings({"w": [1.0] * 4 + [0.0] * 4}, [1] * 4 + [0] * 4), draws=0)
    assert parted["effect"].item() == np.inf
    assert parted["p"].item() == pytest.approx(2 / 70, abs=0.01)


def test_large_values_do_not_drown_the_effect():
    values, labels = [3.0, 5.0, 7.0, 1.0, 2.0, 3.0], [1, 1, 1, 0, 0, 0]
    near, far = (
        words_by_label(readings({"w": [v * 1e-4 + shift for v in values]}, labels), **FAST).iloc[0]
        for shift in (0.0, 1e4)
    )
    assert far["effect"] == pytest.approx(near["effect"], rel=1e-3)
    assert far["p"] == pytest.approx(near["p"])


# ---- the test ----------------------------------------------------------------------------------


def test_p_is_the_share_of_labellings_with_as_large_a_t():
    """Readers differ from labelling to labelling: an effect would not do (p .27)."""
    nan = float("nan")
    values = np.array([1.0, -2.0, 0.0, 2.0, 1.0, 0.0, 2.0, 3.0, nan, nan])
    t = []
    for chosen in combinations(range(10), 5):
        is_first = np.isin(np.arange(10), chosen)
        first, second = (values[side & ~np.isnan(values)] for side in (is_first, ~is_first))
        t.append(abs(stats.ttest_ind(first, second).statistic))
    exact = np.mean(np.array(t) >= t[0] - 1e-9)
    table = readings({"few": list(values), "all": list(range(10))}, [1] * 5 + [0] * 5)
    p = words_by_label(table, permutations=2000, draws=0).set_index("word")["p"]
    assert p["few"] == pytest.approx(exact, abs=0.04)


def test_p_counts_only_labellings_that_say_something():
    nan = float("nan")
    few = [5.0, 6.0, 7.0, nan, nan, nan, 1.0, 2.0, 3.0]
    table = readings({"few": few, "all": list(range(9))}, [1] * 6 + [0] * 3)
    p = words_by_label(table, permutations=2000, draws=0).set_index("word")["p"]
    # of 84 labellings 20 leave 3 readers on each side, 2 of them parted; 45 leave 4 and 2, none as
    # far; 18 leave 5 and 1 and one 6 and 0, and do not count
    assert p["few"] == pytest.approx(2 / 65, abs=0.012)


def test_planted_word_comes_first():
    rng = np.random.default_rng(0)
    labels = [1, 0] * 12
    words = {f"word{n}": rng.normal(size=24) for n in range(30)}
    words["grief"] = rng.normal(size=24) + 2.5 * np.array(labels)
    table = words_by_label(readings(words, labels, "negative"), draws=0)
    assert table.loc[0, ["word", "valence"]].tolist() == ["grief", "negative"]
    assert table["q"][0] < 0.01
    assert (table["q"][1:] > 0.05).all()
    assert table["effect"].abs().is_monotonic_decreasing


def test_p_is_uniform_when_nothing_differs():
    rng = np.random.default_rng(1)
    labels = np.array([1, 0] * 12)
    p = group_effects(matrix_of(rng.normal(size=(24, 300)), labels), 500, 0)["p"]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_simulated_studies():
    """48 people, 40 words: nothing planted is rarely found, one word at effect 1 comes first."""
    rng = np.random.default_rng(2)
    labels = np.arange(48) % 2
    false, first = [], []
    for _ in range(20):
        nothing = rng.normal(size=(48, 40))
        false.append((group_effects(matrix_of(nothing, labels), 200, 0)["q"] < 0.05).any())
        nothing[:, 7] += labels
        first.append(observed(matrix_of(nothing, labels)).effect.argmax() == 7)
    assert np.mean(false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20)
    assert np.mean(first) > 0.7


# ---- strata ------------------------------------------------------------------------------------


def confounded(n: int = 60) -> tuple[pd.DataFrame, list[int]]:
    """Women read ``soft`` differently, and more women are of group 1; ``grief`` is of the group."""
    rng = np.random.default_rng(5)
    labels = [k % 2 for k in range(n)]
    gender = ["female" if (k % 2) != (k % 10 < 2) else "male" for k in range(n)]
    women = np.array([name == "female" for name in gender])
    words = {f"word{k}": rng.normal(size=n) for k in range(8)}
    words["soft"] = rng.normal(size=n) + 2.0 * women
    words["grief"] = rng.normal(size=n) + 2.0 * np.array(labels)
    table = readings(words, labels)
    return table.assign(gender=by_person(table, gender)), labels


def test_a_confound_is_not_reported_within_its_strata():
    table, _ = confounded()
    plain = words_by_label(table, permutations=999, draws=0).set_index("word")
    within = words_by_label(table, stratify_by="gender", permutations=999, draws=0).set_index(
        "word"
    )
    assert (plain.loc[["soft", "grief"], "q"] < 0.05).all()
    assert within.loc["soft", "q"] > 0.05
    assert within.loc["grief", "q"] < 0.05
    assert (within.drop("grief")["q"] > 0.05).all()


def test_difference_within_strata_is_that_of_a_linear_model():
    table, labels = confounded()
    row = words_by_label(table, stratify_by="gender", **FAST).set_index("word").loc["soft"]
    people = table[table["word"] == "soft"]
    women = (people["gender"] == "female").to_numpy(float)
    design = np.stack([np.array(labels, dtype=float), women, 1 - women], axis=1)
    y = people["occlusion"].to_numpy()
    coefficients, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - 3
    assert row["difference"] == pytest.approx(coefficients[0])
    g = coefficients[0] / np.sqrt(residual[0] / freedom) * (1 - 3 / (4 * freedom - 1))
    assert row["effect"] == pytest.approx(g)


def test_people_compared_with_themselves():
    """Sessions of both groups by the same people: the paired test."""
    rng = np.random.default_rng(4)
    person = rng.normal(size=10) * 50
    first, second = person + rng.normal(size=10) + 1.0, person + rng.normal(size=10)
    table = pd.concat(
        [readings({"w": first}, [1] * 10), readings({"w": second}, [0] * 10)]
    ).reset_index(drop=True)
    with pytest.raises(ValueError, match=r"p0 has sessions of both groups: .*stratify_by=subject"):
        words_by_label(table)
    row = words_by_label(table, stratify_by="subject", permutations=1000, draws=100).iloc[0]
    paired = stats.ttest_rel(first, second)
    assert row["difference"] == pytest.approx((first - second).mean())
    # sqrt(2): the deviation of one reading, not of a difference of two
    deviation = (first - second).std(ddof=1) / np.sqrt(2)
    assert row["effect"] == pytest.approx(row["difference"] / deviation * (1 - 3 / 35))
    assert row["p"] == pytest.approx(paired.pvalue, abs=0.03)
    assert row["low"] < row["effect"] < row["high"]
    assert row["n_positive"] == 10


def test_labels_are_permuted_inside_of_strata():
    differences = np.array([1.0, 1.1, 0.9, 1.2])
    table = pd.concat(
        [readings({"w": list(differences)}, [1] * 4), readings({"w": [0.0] * 4}, [0] * 4)]
    )
    p = words_by_label(table, stratify_by="subject", permutations=2000, draws=0)["p"].item()
    assert p == pytest.approx(2 / 16, abs=0.03)  # two of the 16 ways to turn the pairs


def test_draws_weigh_people():
    rng = np.random.default_rng(0)
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    matrix = matrix_of(rng.normal(size=(7, 3)), labels)
    same = drawn_effects(matrix, np.ones((300, 7)))  # more than are drawn at a time
    np.testing.assert_allclose(same, [observed(matrix).effect] * 300)
    doubled = matrix_of(matrix.to_numpy()[[0, 0, 1, 3, 3, 5]], labels[[0, 0, 1, 3, 3, 5]])
    drawn = drawn_effects(matrix, np.array([[2, 1, 0, 2, 0, 1, 0]]))
    np.testing.assert_allclose(drawn[0], observed(doubled).effect)


# ---- valence and encoder -----------------------------------------------------------------------


def test_valence_is_the_mean_of_its_words():
    labels = [1, 1, 1, 0, 0, 0]
    table = pd.concat(
        [
            readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, labels, "negative"),
            readings({"fear": [1.0, 1.0, 1.0, 0.0, 2.0, 1.0]}, labels, "negative"),
            readings({"fear": [1.0, 1.0, 1.0, 0.0, 2.0, 1.0]}, labels, "negative"),  # read twice
            readings({"table": [1.0, 2.0, 0.0, 1.0, 0.0, 2.0]}, labels),
            readings({"?": [9.0] * 6}, labels, None),
        ]
    )
    found = words_by_valence(table, **FAST).set_index("valence")
    assert found.index.tolist() == ["negative", "neutral"]
    assert found["words"].tolist() == [2, 1]
    assert found.loc["negative", "mean_positive"] == pytest.approx((5 + 1) / 2)
    assert found.loc["negative", "mean_negative"] == pytest.approx((2 + 1) / 2)
    with pytest.raises(ValueError, match="no word has a valence: name a word list"):
        words_by_valence(table.assign(valence=None))


def test_encoders_are_corrected_together():
    rng = np.random.default_rng(0)
    labels = [1, 0] * 6
    table = readings({f"w{k}": rng.normal(size=12) for k in range(4)}, labels)
    table["selected_face"], table["selected_audio"] = table["occlusion"] ** 2, rng.random(48)
    measures = ["selected_face", "selected_audio"]
    both = words_by_measure(table, measures, permutations=500, draws=0)
    assert len(both) == 8
    assert both["q"].tolist() == pytest.approx(stats.false_discovery_control(both["p"]).tolist())
    for name in measures:
        own = both[both["measure"] == name].set_index("word")["effect"]
        alone = words_by_label(table, name, **FAST).set_index("word")["effect"]
        pd.testing.assert_series_equal(own.sort_index(), alone.sort_index())


# ---- agreement ---------------------------------------------------------------------------------


def modalities(people: int = 12, words: int = 6, shared: float = 1.0) -> pd.DataFrame:
    """Voice and face of each word; their group effects agree, a person's steps do not."""
    rng = np.random.default_rng(7)
    rows = []
    for person in range(people):
        group = person % 2
        for step in range(words):
            audio, face = rng.normal(size=2) + shared * group * step
            rows.append(("c", f"p{person}", "1", 0, 0, group, step, f"w{step}", audio, face))
    names = ["corpus", "subject", "session", "fold", "seed", "label", "step", "word"]
    table = pd.DataFrame(rows, columns=[*names, "occlusion_audio", "occlusion_face"])
    return table.assign(valence="neutral", occlusion=table["occlusion_audio"])


def test_agreement_of_face_and_voice():
    table = modalities()
    found = face_and_voice(table, draws=200).set_index(["over", "people"])
    effects = [
        words_by_label(table, name, **FAST).set_index("word")["effect"].sort_index()
        for name in ("occlusion_audio", "occlusion_face")
    ]
    words = found.loc[("words", "all")]
    assert words["correlation"] == pytest.approx(stats.spearmanr(*effects)[0])
    assert words["n"] == 6
    own = table.groupby(["subject", "label"]).apply(
        lambda rows: stats.spearmanr(rows["occlusion_audio"], rows["occlusion_face"])[0]
    )
    assert found.loc[("steps", "all"), "correlation"] == pytest.approx(own.mean())
    positive = own[own.index.get_level_values("label") == 1]
    assert found.loc[("steps", "positive"), "correlation"] == pytest.approx(positive.mean())
    assert found["n"].tolist() == [6, 12, 6, 6]
    assert (found["low"] <= found["correlation"]).all()
    assert (found["correlation"] <= found["high"]).all()
    assert found.loc[("steps", "positive"), "low"] > found.loc[("steps", "negative"), "high"]
    noise = np.random.default_rng(1).normal(size=len(table))
    seeds = [
        table.assign(seed=k, occlusion_face=table["occlusion_face"] + noise * (1 - 2 * k))
        for k in (0, 1)
    ]
    again = face_and_voice(pd.concat(seeds), draws=20)["correlation"]
    assert again.tolist() == pytest.approx(found["correlation"].tolist())


def test_agreement_where_little_can_be_ranked():
    table = modalities()
    two = face_and_voice(table[table["step"] < 2], draws=20)
    assert two["correlation"].isna().all()
    flat = table.assign(occlusion_face=table["occlusion_face"].where(table["label"] == 1, 0.0))
    steps = face_and_voice(flat, draws=20).set_index(["over", "people"]).loc["steps"]
    assert steps["n"].tolist() == [6, 6, 0]  # of constant steps nothing is ranked
    with pytest.raises(ValueError, match=r"no step has occlusion_face: .*both modalities"):
        face_and_voice(table.assign(occlusion_face=np.nan))


def test_stability_over_folds_and_seeds():
    table = modalities(people=24, shared=2.0)
    table["fold"] = [int(name[1:]) // 2 % 2 for name in table["subject"]]
    rng = np.random.default_rng(0)
    other = table.assign(seed=1, occlusion=table["occlusion"] + rng.normal(size=len(table)) * 0.1)
    found = stability(pd.concat([table, other]))
    assert found["compared"].value_counts().to_dict() == {
        "other people": 4, "same people": 2, "seeds": 1
    }  # fmt: skip
    seeds = found[found["compared"] == "seeds"].iloc[0]
    effects = [
        words_by_label(own, **FAST).set_index("word")["effect"].sort_index()
        for own in (table, other)
    ]
    assert seeds["spearman"] == pytest.approx(stats.spearmanr(*effects)[0])
    assert seeds["kendall"] == pytest.approx(stats.kendalltau(*effects)[0])
    assert (seeds["first"], seeds["second"], seeds["people"]) == ("seed 0", "seed 1", 24)
    assert found[found["compared"] == "same people"]["people"].tolist() == [12, 12]
    assert found[found["compared"] == "other people"]["people"].tolist() == [0] * 4
    with pytest.raises(ValueError, match="one model alone is neither stable nor unstable"):
        stability(table[table["fold"] == 0])
    with pytest.raises(ValueError, match="no two models have 3 words in common that 3 people"):
        stability(table[table["subject"].isin([f"p{k}" for k in range(8)])])


def test_leave_one_subject_out_compares_seeds():
    """A fold of one person has no effects of its own; two seeds of all folds have."""
    table = modalities(people=8)
    table["fold"] = [int(name[1:]) for name in table["subject"]]
    found = stability(pd.concat([table, table.assign(seed=1)]))
    assert found[["compared", "spearman"]].to_numpy().tolist() == [["seeds", pytest.approx(1.0)]]


# ---- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"label": 1}, {}, r"all 4 people are of one group: .*Explain sessions of both"),
        ({"word": None}, {}, r"no step has a word: .*steps carry text"),
        ({"label": [3.0, 40.0, 12.0, 1.0]}, {}, r"scores, not the groups 0 and 1: .*kind binary"),
        ({"label": None}, {}, r"scores, not the groups 0 and 1"),
        ({"occlusion": np.nan}, {}, r"no row has a value of occlusion"),
        ({}, {"measure": "oclusion"}, r"'oclusion' is no column. Did you mean 'occlusion'\?"),
        ({}, {"stratify_by": "gendr"}, r"'gendr' is no column"),
        ({}, {"stratify_by": "subject"}, r"nobody has sessions of both groups: leave it out"),
        (
            {"gender": list("fmfm")},
            {"stratify_by": "gender"},
            r"same gender: nobody can be compared",
        ),
        (
            {"subject": ["p0", "p0", "p1", "p2"], "label": [1, 1, 0, 0], "gender": list("fmfm")},
            {"stratify_by": "gender"},
            r"p0 has several values of gender \(f, m\)",
        ),
    ],
)
def test_questions_that_cannot_be_answered(change, options, message):
    table = readings({"joy": [1.0, 2.0, 3.0, 4.0]}, [1, 0, 1, 0]).assign(**change)
    with pytest.raises(ValueError, match=message):
        words_by_label(table, **options)
