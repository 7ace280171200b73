"""Association of measures with the target: units, designs, strata and false positives."""

import numpy as np
import pandas as pd
import pytest

from depmm.evaluation.measure_effects import measure_effects
from depmm.evaluation.stats.effect_sizes import hedges_g, paired_hedges_g, rank_correlation
from depmm.measures.measure import Measure
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY


def measures(*names: str) -> list[Measure]:
    return [Measure(name, "audio", "group", "1", "formula") for name in names]


def build(
    rows: list[tuple[str, str, float, float, str | None]], gender: dict[str, str] | None = None
):
    """Build tables from rows: subject, session, target, value of measure ``a``, task."""
    keys, seen = [], {}
    for subject, session, *_ in rows:
        seen[subject, session] = seen.get((subject, session), -1) + 1
        keys.append(("c", subject, session, seen[subject, session]))
    index = pd.MultiIndex.from_tuples(keys, names=STEP_KEY)
    steps = pd.DataFrame({"a": [row[3] for row in rows]}, index=index)
    conditions = pd.DataFrame({"task": [row[4] for row in rows], "valence": None}, index=index)
    targets = (
        pd.DataFrame({"target": [row[2] for row in rows]}, index=index.droplevel("step"))
        .groupby(level=SESSION_KEY, sort=False)
        .first()
    )
    targets["gender"] = [(gender or {}).get(subject) for _, subject, _ in targets.index]
    return steps, pd.DataFrame(index=targets.index), measures("a"), targets, conditions


def whole(effects) -> pd.Series:
    return effects.table[effects.table["stratum"] == "all"].iloc[0]


def test_the_unit_is_the_subject():
    """A subject with many steps and sessions counts once, with the mean of its sessions."""
    rng = np.random.default_rng(0)
    values = {f"{label}{i}": rng.normal(label) for label in (0, 1) for i in range(5)}
    rows = [(name, "s", float(name[0]), value, None) for name, value in values.items()]
    effects = measure_effects(*build(rows), binary=True)
    expected = hedges_g(
        *(pd.Series([v for n, v in values.items() if n[0] == label]) for label in "10")
    )
    row = whole(effects)
    assert effects.design == "groups"
    assert effects.n_subjects == 10
    assert row["estimate"] == pytest.approx(expected.estimate)
    assert (row["n_negative"], row["n_positive"], row["n"], row["missing"]) == (5, 5, 10, 0)
    assert row["mean_positive"] == pytest.approx(
        np.mean([v for n, v in values.items() if n[0] == "1"])
    )
    more = []
    for name, session, target, value, task in rows:
        more += [(name, session, target, value + d, task) for d in (-1, 1)]
        more += [(name, "t", target, value, task)] * 3
    assert whole(measure_effects(*build(more), binary=True))["p"] == pytest.approx(row["p"])


def test_subjects_with_both_classes_are_compared_within():
    rng = np.random.default_rng(1)
    base = rng.normal(0, 5, 8)
    change = rng.normal(1, 0.3, 8)
    rows = [
        (f"p{i}", str(label), float(label), base[i] + label * change[i], None)
        for i in range(8)
        for label in (0, 1)
    ]
    effects = measure_effects(*build(rows), binary=True)
    expected = paired_hedges_g(pd.Series(base + change), pd.Series(base))
    assert effects.design == "paired"
    row = whole(effects)
    assert (row["estimate"], row["p"]) == pytest.approx((expected.estimate, expected.p))
    assert row["p"] < 1e-4 < hedges_g(pd.Series(base + change), pd.Series(base)).p
    assert (row["n"], row["effect"]) == (8, "paired_hedges_g")
    # one of five subjects with both classes: its rarer class is left out
    few = [(f"p{i}", "s", float(i % 2), base[i], None) for i in range(8)]
    few += [("p1", "t", 1.0, base[1], None), ("p1", "u", 0.0, 1e6, None)]
    effects = measure_effects(*build(few), binary=True)
    assert (effects.design, effects.n_mixed) == ("groups", 1)
    assert whole(effects)["mean_negative"] < 1e3


def test_a_score_is_correlated_over_subjects():
    rng = np.random.default_rng(2)
    score = np.arange(12.0)
    value = score + rng.normal(0, 4, 12)
    value[3] = np.nan
    rows = [(f"p{i}", "s", score[i], value[i], None) for i in range(12)]
    effects = measure_effects(*build(rows), binary=False)
    expected = rank_correlation(pd.Series(value), pd.Series(score))
    row = whole(effects)
    assert (effects.design, row["effect"], row["n"], row["missing"]) == ("score", "spearman", 11, 1)
    assert (row["estimate"], row["ci_low"]) == pytest.approx((expected.estimate, expected.ci_low))


def test_strata_of_tasks_and_gender():
    rng = np.random.default_rng(3)
    rows, gender = [], {}
    for i in range(16):
        gender[f"p{i}"] = "female" if i < 8 else "male"
        for task, shift in (("read", 0.0), ("talk", 3.0)):
            if task == "talk" and i == 0:
                continue
            rows.append((f"p{i}", "s", float(i % 2), rng.normal() + shift * (i % 2), task))
    effects = measure_effects(*build(rows, gender), binary=True)
    table = effects.table.set_index("stratum")
    assert table.index.tolist() == ["all", "gender = female", "gender = male", "task = read",
                                    "task = talk"]  # fmt: skip
    assert table.loc["task = talk", "estimate"] > 2 > table.loc["task = read", "estimate"]
    assert table.loc["task = talk", "n"] == 15
    assert table.loc["gender = female", "n"] == 8
    assert (table["p_adjusted"] >= table["p"]).all()
    # two tests of equal weight: rows of all steps count as much as all strata together
    assert table.loc["all", "p_adjusted"] <= 2 * table.loc["all", "p"] + 1e-12
    many = [(f"p{i}", "s", float(i % 2), rng.normal(), f"word {i}") for i in range(16)]
    assert measure_effects(*build(many), binary=True).left_out == ["task"]


def test_sessions_without_target_or_value_are_counted():
    rows = [(f"p{i}", "s", float(i % 2), float(i), None) for i in range(10)]
    rows += [("q1", "s", np.nan, 99.0, None), ("q2", "s", 1.0, np.nan, None)]
    row = whole(measure_effects(*build(rows), binary=True))
    assert (row["n_positive"], row["n_negative"], row["missing"]) == (5, 5, 1)
    assert row["mean_positive"] == 5


@pytest.mark.slow
def test_random_labels_rarely_have_any_adjusted_p_below_05():
    """Skewed, correlated measures of 30 subjects; with strata, 36 tests per corpus."""
    rng = np.random.default_rng(4)
    n_corpora, found = 60, 0
    names = [f"m{i}" for i in range(12)]
    index = pd.MultiIndex.from_tuples([("c", f"p{i}", "s", 0) for i in range(30)], names=STEP_KEY)
    conditions = pd.DataFrame({"task": None, "valence": None}, index=index)
    for _ in range(n_corpora):
        common = rng.normal(size=(30, 1))
        values = np.exp(0.6 * common + 0.6 * rng.normal(size=(30, 12)))
        steps = pd.DataFrame(values, index=index, columns=names)
        targets = pd.DataFrame(
            {"target": rng.permutation(30) < 12, "gender": np.where(np.arange(30) < 15, "f", "m")},
            index=index.droplevel("step"),
        ).astype({"target": float})
        sessions = pd.DataFrame(index=targets.index)
        effects = measure_effects(steps, sessions, measures(*names), targets, conditions, True)
        assert len(effects.table) == 36
        found += bool((effects.table["p_adjusted"] < 0.05).any())
    assert found <= 8  # more than 8 of 60 has a probability below 1 % if the rate is 5 %
