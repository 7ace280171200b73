"""saliency: permutation, integrated gradients and Shapley values against hand-made references."""

import itertools
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch
from removal_models import (
    DEP_FORMER,
    MEAN_POOL,
    kept_logit,
    sessions,
    summing_model,
    tiny_model,
)

from depmm.interpret.attribution.integrated_gradients import integrated_gradients
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.permutation import DONORS, permute_steps
from depmm.interpret.attribution.removal import kept_logits
from depmm.interpret.attribution.shapley import (
    exact_values,
    shapley_modalities,
    shapley_steps,
    subsets,
)

METHODS = {
    "permutation": permute_steps,
    "integrated_gradients": lambda model, x, masks, seeds: integrated_gradients(model, x, masks),
    "shapley": shapley_steps,
}


def values(table: pd.DataFrame, name: str, row: int = 0) -> np.ndarray:
    return table[table["row"] == row].sort_values("step")[name].to_numpy()


# ---- removal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("center", [True, False])
def test_removed_steps_are_the_mean_of_the_kept(center):
    model = tiny_model(DEP_FORMER, center=center)
    x, masks = sessions([5, 3])
    masks["face"][0, 1] = False
    kept = [set(), {1}, {0, 3}, {0, 1, 2, 3, 4}]
    table = np.array([[step in some for step in range(5)] for some in kept])
    found = kept_logits(model, x, masks, np.zeros(4, int), table)
    by_hand = [kept_logit(model, x, masks, 0, some) for some in kept]
    np.testing.assert_allclose(found, by_hand, atol=1e-5)
    assert len(set(found.round(3))) >= 3
    one_removed = np.eye(5) == 0
    occluded = found[-1] - kept_logits(model, x, masks, np.zeros(5, int), one_removed)
    contribution = values(occlude_steps(model, x, masks), "occlusion")
    np.testing.assert_allclose(occluded, contribution, atol=1e-5)


def test_parts_of_a_large_batch_change_nothing(monkeypatch):
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([6])
    whole = {name: run(model, x, masks, [1]) for name, run in METHODS.items()}
    monkeypatch.setattr("depmm.interpret.attribution.removal.NUMBERS_AT_ONCE", 6 * 1024 * 25)
    for name, run in METHODS.items():
        pd.testing.assert_frame_equal(run(model, x, masks, [1]), whole[name], atol=1e-5)


# ---- all methods -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("fusion", [DEP_FORMER, MEAN_POOL], ids=["dep_former", "mean_pool"])
def test_a_session_is_explained_alike_in_any_batch(name, fusion):
    model = tiny_model(fusion)
    alone = METHODS[name](model, *sessions([9]), [7])
    beside = METHODS[name](model, *sessions([4, 1, 9], padding=3), [3, 5, 7])
    assert beside["row"].unique().tolist() == [0, 2]  # the only step of a session has no row
    assert beside[beside["row"] == 2]["step"].tolist() == list(range(9))
    for column in alone.columns.drop(["row", "gap"], errors="ignore"):
        np.testing.assert_allclose(values(beside, column, 2), values(alone, column), atol=2e-5)
    assert alone[name].abs().max() > 1e-3


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("modalities", [("audio",), ("audio", "face")])
def test_missing_steps_and_modalities(name, modalities):
    model = tiny_model(DEP_FORMER, modalities)
    x, masks = sessions([5, 5, 1], modalities)
    for mask in masks.values():
        mask[:2, 2] = False  # a step without anything
    if len(modalities) > 1:
        masks["face"][0, 3] = False
        masks["face"][1] = False  # a session without faces
        x["face"][~masks["face"]] = torch.nan
    table = METHODS[name](model, x, masks, [1, 2, 3])
    assert table[["row", "step"]].to_numpy().tolist() == [
        [row, step] for row in (0, 1) for step in (0, 1, 3, 4)
    ]
    assert table[name].notna().all()
    assert table[name].dtype == np.float64
    if len(modalities) > 1 and name != "shapley":
        lacks = table[f"{name}_face"].isna().to_numpy()
        assert lacks.tolist() == [False, False, True, False, True, True, True, True]
        assert table[f"{name}_audio"].notna().all()
    x, masks = sessions([1], modalities)
    empty = METHODS[name](model, x, masks, [1])
    assert empty.empty
    assert set(table.columns) == set(empty.columns)


@pytest.mark.parametrize("output", ["number", "classes", "ordinal"])
def test_scores_are_explained(output):
    model = tiny_model(MEAN_POOL, target="severity", output=output, score_range=(0, 24))
    x, masks = sessions([4])
    difference = kept_logit(model, x, masks, 0, {0, 1, 2, 3}) - kept_logit(
        model, x, masks, 0, set()
    )
    tables = {name: run(model, x, masks, [1]) for name, run in METHODS.items()}
    assert values(tables["shapley"], "shapley").sum() == pytest.approx(difference, abs=1e-4)
    total = values(tables["integrated_gradients"], "integrated_gradients").sum()
    assert total == pytest.approx(difference, abs=1e-4)
    occluded = values(occlude_steps(model, x, masks), "occlusion")
    for name, table in tables.items():  # nearly linear: all say nearly the same
        assert np.corrcoef(values(table, name), occluded)[0, 1] > 0.99, name


def test_a_linear_model_by_hand():
    """Of a mean over n steps, w (x_i - mean) / n is what a step adds; methods scale it."""
    model = tiny_model(MEAN_POOL, ("audio",))
    x, masks = sessions([5], ("audio",))
    weight = model.fusion.output_layers["audio"][1].weight[0].detach()
    added = ((x["audio"][0] - x["audio"][0].mean(0)) @ weight).numpy() / 5
    table = {name: values(run(model, x, masks, [1]), name) for name, run in METHODS.items()}
    np.testing.assert_allclose(table["integrated_gradients"], added, atol=1e-5)
    np.testing.assert_allclose(table["permutation"], added * 5 / 4, atol=1e-5)
    occluded = values(occlude_steps(model, x, masks), "occlusion")
    np.testing.assert_allclose(table["permutation"], occluded, atol=1e-5)
    # gains of joining 0, 1, ... n - 1 others: 1, n / (2 (n - 1)), n / (3 (n - 1)), ...
    joining = 1 + 5 / 4 * sum(1 / size for size in range(2, 6))
    np.testing.assert_allclose(table["shapley"], added * joining, atol=1e-5)


# ---- permutation -------------------------------------------------------------------------------


def test_permutation_by_hand():
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([4])
    masks["face"][0, 2] = False
    full = kept_logit(model, x, masks, 0, {0, 1, 2, 3})
    table = permute_steps(model, x, masks, [1])
    for step, names in ((1, ["audio", "face"]), (1, ["face"]), (2, ["audio"])):
        changes = []
        for donor in {0, 1, 2, 3} - {step}:
            other = {name: value.clone() for name, value in x.items()}
            for name in names:
                given = x[name][0, donor]
                if name == "face" and donor == 2:  # it has none: the mean of the others
                    given = x[name][0, [0, 3]].mean(0)
                other[name][0, step] = given
            changes.append(full - kept_logit(model, other, masks, 0, {0, 1, 2, 3}))
        column = "permutation" if len(names) == 2 else f"permutation_{names[0]}"
        found = values(table, column)[step]
        assert found == pytest.approx(np.mean(changes), abs=1e-5)


def test_long_sessions_draw_donors_by_their_seed():
    model = tiny_model(MEAN_POOL, ("audio",))
    x, masks = sessions([DONORS + 9], ("audio",))
    first, again, other = (
        values(permute_steps(model, x, masks, [seed]), "permutation") for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(again, first, atol=1e-5)
    assert (np.abs(first - other) > 1e-4).mean() > 0.9
    occluded = values(occlude_steps(model, x, masks), "occlusion")
    assert np.corrcoef(first, occluded)[0, 1] > 0.99


# ---- integrated gradients ----------------------------------------------------------------------


@torch.no_grad()
def test_what_gradients_miss_is_where_the_selection_jumps():
    x, masks = sessions([9, 6])
    missed = {}
    for factor in (1, 50):  # 50: every query is selected, and the evidence is smooth
        model = tiny_model({**DEP_FORMER, "sampling_factor": factor}, center=True)
        for name, weight in model.named_parameters():
            if name.endswith(("attention.project.weight", "attention.out.weight")):
                weight *= 3  # attention that matters
        table = integrated_gradients(model, x, masks, points=64)
        missed[factor] = table.groupby("row")["gap"].first()
        for row, steps in ((0, 9), (1, 6)):
            full, empty = (
                kept_logit(model, x, masks, row, kept) for kept in (set(range(steps)), set())
            )
            gap = values(table, "integrated_gradients", row).sum() - (full - empty)
            assert missed[factor][row] == pytest.approx(gap, abs=1e-5)
    assert missed[50].abs().max() < 1e-3
    assert missed[1].abs().min() > 3e-3


def test_integrated_gradients_by_hand():
    model = tiny_model(DEP_FORMER, center=True)
    x, masks = sessions([5])
    table = integrated_gradients(model, x, masks, points=6)
    usual = {name: value.mean(1, keepdim=True) for name, value in x.items()}
    total = dict.fromkeys(x, 0.0)
    for share in (np.arange(6) + 0.5) / 6:
        at = {
            name: (usual[name] + float(share) * (x[name] - usual[name])).requires_grad_()
            for name in x
        }
        model.fuse(at, masks)[0].sum().backward()
        for name in x:
            total[name] += ((x[name] - usual[name]) * at[name].grad).sum(-1)[0].numpy() / 6
    for name in x:
        found = values(table, f"integrated_gradients_{name}")
        np.testing.assert_allclose(found, total[name], atol=1e-5)
    both = values(table, "integrated_gradients")
    np.testing.assert_allclose(both, total["audio"] + total["face"], atol=1e-5)
    assert all(p.grad is not None for p in model.fusion.adapter.parameters())  # ours, by backward
    model.zero_grad()
    integrated_gradients(model, x, masks, points=2)
    assert all(p.grad is None for p in model.parameters())


# ---- Shapley values ----------------------------------------------------------------------------


def test_exact_values_of_known_games():
    # gloves (Shapley and Shubik 1969): player 0 has a left one, 1 and 2 a right one each
    members = subsets(3)
    pairs = np.minimum(members[:, 0], members[:, 1:].sum(1)).astype(float)
    np.testing.assert_allclose(exact_values(pairs), [2 / 3, 1 / 6, 1 / 6])
    # additive, with a player (2) who adds nothing; several games at once
    games = np.stack([members @ [1.0, -3.0, 0.0], pairs], axis=1)
    np.testing.assert_allclose(exact_values(games)[:, 0], [1, -3, 0], atol=1e-12)
    assert members.tolist()[5] == [True, False, True]


def test_shapley_of_all_orders():
    model = tiny_model(DEP_FORMER, center=True)
    x, masks = sessions([4])
    worth = {
        frozenset(some): kept_logit(model, x, masks, 0, set(some))
        for size in range(5)
        for some in itertools.combinations(range(4), size)
    }
    gains = np.zeros(4)
    for order in itertools.permutations(range(4)):
        for place, step in enumerate(order):
            before = frozenset(order[:place])
            gains[step] += (worth[before | {step}] - worth[before]) / factorial(4)
    table = shapley_steps(model, x, masks, [1])
    np.testing.assert_allclose(values(table, "shapley"), gains, atol=1e-5)
    assert (table["shapley_error"] == 0).all()
    total = worth[frozenset(range(4))] - worth[frozenset()]
    assert table["shapley"].sum() == pytest.approx(total, abs=1e-5)


def test_sampled_values_lie_around_the_exact_ones():
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([9])
    worth = kept_logits(model, x, masks, np.zeros(2**9, int), subsets(9))
    exact = exact_values(worth)
    standard = []
    for seed in range(6):
        table = shapley_steps(model, x, masks, [seed], pairs=12)
        assert table["shapley"].sum() == pytest.approx(worth[-1] - worth[0], abs=1e-5)
        error = values(table, "shapley_error")
        assert (error > 0).all()
        standard.append((values(table, "shapley") - exact) / error)
    # 54 deviations in units of their error (Student's t with 11 degrees: deviation 1.1)
    assert 0.6 < np.std(standard) < 1.6
    assert abs(np.mean(standard)) < 0.6
    again = shapley_steps(model, x, masks, [5], pairs=12)
    pd.testing.assert_frame_equal(again, table, atol=1e-5)


def test_equal_steps_share_alike():
    model = tiny_model(MEAN_POOL)
    x, masks = sessions([10])
    for name in x:
        x[name][0, 7] = x[name][0, 2]
    table = shapley_steps(model, x, masks, [0], pairs=200)
    value, error = values(table, "shapley"), values(table, "shapley_error")
    assert abs(value[7] - value[2]) < 4 * np.hypot(error[7], error[2])
    few = sessions([6])
    for name in few[0]:
        few[0][name][0, 5] = few[0][name][0, 2]
    value = values(shapley_steps(model, *few, [0]), "shapley")
    assert value[5] == pytest.approx(value[2], abs=1e-5)


def test_pairs_need_an_error():
    with pytest.raises(ValueError, match=r"1 pair\(s\) have no standard error: take 2 or more"):
        shapley_steps(tiny_model(MEAN_POOL), *sessions([3]), [0], pairs=1)


@torch.no_grad()
@pytest.mark.parametrize("fusion", [DEP_FORMER, MEAN_POOL], ids=["dep_former", "mean_pool"])
def test_modalities_by_hand(fusion):
    model = tiny_model(fusion)
    x, masks = sessions([4, 3])
    masks["face"][1] = False
    table = shapley_modalities(model, x, masks)
    assert table[["row", "modality"]].to_numpy().tolist() == [
        [0, "audio"],
        [0, "face"],
        [1, "audio"],
    ]
    none = torch.zeros_like(masks["face"])
    both, audio, face = (
        model.fuse(x, shown)[0][0].item()
        for shown in (masks, {**masks, "face": none}, {**masks, "audio": none})
    )
    expected = [(audio + both - face) / 2, (face + both - audio) / 2]
    np.testing.assert_allclose(table["shapley"][:2], expected, atol=1e-5)
    alone = model.fuse(x, masks)[0][1].item()
    assert table["shapley"][2] == pytest.approx(alone, abs=1e-5)


def test_a_modality_that_adds_nothing_gets_nothing():
    x, masks = sessions([4])
    table = shapley_modalities(summing_model({"audio": 2.0, "face": 0.0}), x, masks)
    expected = [2 * x["audio"].mean(1).sum().item(), 0.0]
    assert table["shapley"].tolist() == pytest.approx(expected, abs=1e-5)


def test_without_a_modality_a_score_is_that_of_zero_logits():
    model = tiny_model(MEAN_POOL, target="severity", output="classes", score_range=(0, 24))
    x, masks = sessions([4])
    with torch.no_grad():
        evidence = model.head.logit(model.fuse(x, masks)[0]).item()
    total = shapley_modalities(model, x, masks)["shapley"].sum()
    assert total == pytest.approx(evidence - 12, abs=1e-4)  # the middle of 0 ... 24
