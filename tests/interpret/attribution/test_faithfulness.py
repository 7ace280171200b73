"""Removal curves and their areas by hand; random attributions are no better than random orders."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from removal_models import DEP_FORMER, MEAN_POOL, kept_logit, sessions, tiny_model

from depmm.interpret.attribution.faithfulness import (
    POINTS,
    RANDOM_ORDERS,
    compare_with_random,
    compute_curve_areas,
    compute_removal_curves,
)
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.removal import make_session_reference


def make_attributions(**columns: list[float]) -> pd.DataFrame:
    steps = range(len(next(iter(columns.values()))))
    return pd.DataFrame({"row": 0, "step": steps, **columns})


def curve(table: pd.DataFrame, method: str, name: str, order: int = 0) -> list[float]:
    return table[(table["method"] == method) & (table["order"] == order)][name].tolist()


@torch.no_grad()
@pytest.mark.parametrize(
    ("fusion", "direction"), [(DEP_FORMER, 1), (DEP_FORMER, -1), (MEAN_POOL, -1)]
)
def test_curves_by_hand(fusion, direction):
    model = tiny_model(fusion)
    for name, weight in model.fusion.output_layers.named_parameters():
        weight += 5 * direction * name.endswith("bias")  # moves every prediction
    x, masks = sessions([4, 1, 3], padding=1)
    masks["face"][0, 1] = False
    both = pd.concat(
        [
            make_attributions(signed=[0.1, -2.0, 1.0, 0.3], size=[0.1, -2.0, 1.0, 0.3]),
            make_attributions(signed=[0.0], size=[0.0]).assign(row=1),
            make_attributions(signed=[3.0, 1.0, 2.0], size=[3.0, 1.0, 2.0]).assign(row=2),
        ]
    )
    table = compute_removal_curves(
        model, x, masks, make_session_reference(x, masks), both, [4, 5, 6], unsigned=["size"]
    )
    assert table["row"].unique().tolist() == [0, 2]
    session = table[table["row"] == 0]
    assert curve(session, "signed", "share") == [0, 0.25, 0.5, 0.75, 1]
    orders = {"signed": [2, 3, 0, 1][::direction], "size": [2, 3, 0, 1]}
    for method, order in orders.items():
        for name, kept in (
            ("deletion", [set(order[count:]) for count in range(5)]),
            ("insertion", [set(order[:count]) for count in range(5)]),
        ):
            expected = [direction * kept_logit(model, x, masks, 0, some) for some in kept]
            np.testing.assert_allclose(curve(session, method, name), expected, atol=1e-4)
    assert (session[session["share"] == 0]["deletion"] > 0).all()
    random = session[session["method"] == "random"]
    assert random.groupby("order").size().tolist() == [5] * RANDOM_ORDERS
    # the same seed gives the same orders in any batch
    third = both[both["row"] == 2].assign(row=0)
    alone = compute_removal_curves(
        model, *sessions([3]), make_session_reference(*sessions([3])), third, [6], ["size"]
    )
    batched = table[table["row"] == 2].reset_index(drop=True)
    for name in ("deletion", "insertion"):
        np.testing.assert_allclose(alone[name], batched[name], atol=1e-4)


def test_occlusion_gives_the_best_order_for_a_mean():
    model = tiny_model(MEAN_POOL)
    x, masks = sessions([5])
    best = occlude_steps(model, x, masks, make_session_reference(x, masks)).rename(
        columns={"occlusion": "best"}
    )
    every = {
        f"order{index}": np.argsort(order)
        for index, order in enumerate(itertools.permutations(range(5)))
    }
    table = pd.concat([best.assign(worst=-best["best"]), pd.DataFrame(every)], axis=1)
    areas = compute_curve_areas(
        compute_removal_curves(
            model, x, masks, make_session_reference(x, masks), table, [0], unsigned=list(every)
        )
    )
    areas = areas[areas["method"] != "random"].set_index("method")
    assert areas.loc["best", "deletion"] == pytest.approx(areas["deletion"].min(), abs=1e-5)
    assert areas.loc["best", "insertion"] == pytest.approx(areas["insertion"].max(), abs=1e-5)
    assert areas.loc["worst", "deletion"] == pytest.approx(areas["deletion"].max(), abs=1e-5)
    assert areas["deletion"].round(4).nunique() > 50


def test_ties_are_random_and_missing_values_last():
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([6])
    ties = make_attributions(same=[1.0] * 6, known=[np.nan, np.nan, 2.0, 1.0, np.nan, np.nan])
    tables = {
        seed: compute_removal_curves(
            model,
            x,
            masks,
            make_session_reference(x, masks),
            ties,
            [seed],
            unsigned=["same", "known"],
        )
        for seed in range(4)
    }
    starts = {tuple(np.round(curve(table, "same", "deletion"), 4)) for table in tables.values()}
    assert len(starts) == 4
    for table in tables.values():
        known = curve(tables[0], "known", "deletion")
        assert curve(table, "known", "deletion")[:3] == pytest.approx(known[:3], abs=1e-5)


def test_long_sessions_are_shortened_by_several_steps_at_once():
    model = tiny_model(MEAN_POOL, ("audio",))
    x, masks = sessions([47], ("audio",))
    table = compute_removal_curves(
        model,
        x,
        masks,
        make_session_reference(x, masks),
        make_attributions(some=list(range(47))),
        [0],
    )
    shares = curve(table, "some", "share")
    assert len(shares) == POINTS + 1
    assert (shares[0], shares[-1]) == (0, 1)
    assert np.diff(shares).max() == pytest.approx(3 / 47)


def test_areas_by_hand():
    curves = pd.DataFrame(
        {
            "session": ["a"] * 3 + ["b"] * 2,
            "method": "m",
            "order": 0,
            "share": [0, 0.5, 1, 0, 1],
            "deletion": [4.0, 1.0, 0.0, 2.0, 0.0],
            "insertion": [0.0, 3.0, 4.0, 0.0, 2.0],
        }
    )
    areas = compute_curve_areas(curves).set_index("session")
    assert areas.loc["a", ["deletion", "insertion", "logit"]].tolist() == [1.5, 2.5, 4.0]
    assert areas.loc["b", ["deletion", "insertion", "logit"]].tolist() == [1.0, 1.0, 2.0]


def area_table(gains: list[float]) -> pd.DataFrame:
    """Areas of subjects: random orders 0.9 and 1.1, a method that gains on their mean."""
    rows = []
    for index, gain in enumerate(gains):
        subject = {"corpus": "c", "subject": f"p{index:02}", "y_true": index % 2, "logit": 2.0}
        rows += [
            {**subject, "method": "random", "order": 0, "deletion": 0.9, "insertion": 0.9},
            {**subject, "method": "random", "order": 1, "deletion": 1.1, "insertion": 1.1},
            {**subject, "method": "m", "order": 0, "deletion": 1 - gain, "insertion": 1 + gain},
        ]
    return pd.DataFrame(rows)


def test_comparison_by_hand():
    gains = [0.5, 0.1, 0.2, -0.1, 0.0, 0.3, 0.4, 0.2]
    table = compare_with_random(area_table(gains), draws=500).set_index("curve")
    for name in ("deletion", "insertion"):
        row = table.loc[name]
        assert row["gain"] == pytest.approx(np.mean(gains) / 2)
        assert (row["n_better"], row["n_subjects"]) == (6, 8)
        assert row["p"] == pytest.approx(2 * (1 + 7) / 2**7)  # 6 of 7, the tie is left out
        assert 0 < row["ci_low"] < row["gain"] < row["ci_high"]
        assert row["random"] == pytest.approx(0.5)
        assert (row["random_low"], row["random_high"]) == pytest.approx((0.4525, 0.5475))
    assert table["area"].tolist() == pytest.approx([0.4, 0.6])
    # the sessions of a subject count once
    twice = pd.concat([area_table(gains), area_table(gains)[:3]])
    again = compare_with_random(twice, draws=500).set_index("curve")
    pd.testing.assert_frame_equal(again, table)


def test_random_attributions_gain_nothing():
    model = tiny_model(MEAN_POOL, ("audio",))
    rng = np.random.default_rng(0)
    tables = []
    for index in range(16):
        x, masks = sessions([6], ("audio",))
        x["audio"] = torch.from_numpy(rng.normal(size=(1, 6, 6))).float()
        table = make_attributions(chance=rng.normal(size=6), same=[0.0] * 6)
        good = occlude_steps(model, x, masks, make_session_reference(x, masks))["occlusion"]
        curves = compute_removal_curves(
            model, x, masks, make_session_reference(x, masks), table.assign(good=good), [index]
        )
        tables.append(curves.assign(corpus="c", subject=f"p{index:02}", y_true=index % 2))
    areas = compute_curve_areas(pd.concat(tables).drop(columns="row"))
    table = compare_with_random(areas, draws=500).set_index(["method", "curve"])
    for name in ("deletion", "insertion"):
        assert table.loc[("good", name), "p"] < 1e-3
        assert table.loc[("good", name), "ci_low"] > 0.1
        for method in ("chance", "same"):
            row = table.loc[(method, name)]
            assert row["p"] > 0.01
            assert row["ci_low"] < 0 < row["ci_high"]


def test_unknown_columns_and_missing_random_orders_are_rejected():
    model = tiny_model(MEAN_POOL)
    with pytest.raises(ValueError, match="attention_received"):
        compute_removal_curves(
            model,
            *sessions([3]),
            make_session_reference(*sessions([3])),
            make_attributions(some=[1.0] * 3),
            [0],
            ["attention_received"],
        )
    with pytest.raises(ValueError, match="random"):
        compare_with_random(area_table([0.1, 0.2])[lambda t: t["method"] == "m"])
    only = compute_removal_curves(
        model,
        *sessions([1]),
        make_session_reference(*sessions([1])),
        make_attributions(some=[1.0]),
        [0],
    )
    assert only.empty
    assert only.columns.tolist()[:4] == ["row", "method", "order", "share"]
