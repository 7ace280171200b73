"""Shapley values of known games, of all orders, and sampled ones."""

import itertools
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch
from removal_models import (
    DEP_FORMER,
    MEAN_POOL,
    get_values,
    kept_logit,
    sessions,
    summing_model,
    tiny_model,
)

from depmm.interpret.attribution.removal import compute_kept_logits
from depmm.interpret.attribution.shapley import (
    compute_exact_values,
    compute_modality_shapley,
    compute_step_shapley,
    list_subsets,
)


def test_values_of_known_games():
    # gloves (Shapley and Shubik 1969): player 0 has a left one, 1 and 2 a right one each
    members = list_subsets(3)
    pairs = np.minimum(members[:, 0], members[:, 1:].sum(1)).astype(float)
    np.testing.assert_allclose(compute_exact_values(pairs), [2 / 3, 1 / 6, 1 / 6])
    # additive, with a player (2) who adds nothing; several games at once
    games = np.stack([members @ [1.0, -3.0, 0.0], pairs], axis=1)
    np.testing.assert_allclose(compute_exact_values(games)[:, 0], [1, -3, 0], atol=1e-12)
    assert members.tolist()[5] == [True, False, True]


def test_step_values_are_means_over_all_orders():
    model = tiny_model(DEP_FORMER, center=True)
    x, masks = sessions([4])
    worth = {
        frozenset(some): kept_logit(model, x, masks, 0, set(some))
        for size in range(5)
        for some in itertools.combinations(range(4), size)
    }
    gains = np.zeros(4)
    for order in itertools.permutations(range(4)):
        for position, step in enumerate(order):
            before = frozenset(order[:position])
            gains[step] += (worth[before | {step}] - worth[before]) / factorial(4)
    table = compute_step_shapley(model, x, masks, [1])
    np.testing.assert_allclose(get_values(table, "shapley"), gains, atol=1e-5)
    assert (table["shapley_error"] == 0).all()
    total = worth[frozenset(range(4))] - worth[frozenset()]
    assert table["shapley"].sum() == pytest.approx(total, abs=1e-5)


def test_sampled_values_are_unbiased_with_valid_errors():
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([9])
    worth = compute_kept_logits(model, x, masks, np.zeros(2**9, int), list_subsets(9))
    exact = compute_exact_values(worth)
    standard = []
    for seed in range(6):
        table = compute_step_shapley(model, x, masks, [seed], pairs=12)
        assert table["shapley"].sum() == pytest.approx(worth[-1] - worth[0], abs=1e-5)
        error = get_values(table, "shapley_error")
        assert (error > 0).all()
        standard.append((get_values(table, "shapley") - exact) / error)
    # 54 deviations in units of their error (Student's t with 11 degrees: deviation 1.1)
    assert 0.6 < np.std(standard) < 1.6
    assert abs(np.mean(standard)) < 0.6
    again = compute_step_shapley(model, x, masks, [5], pairs=12)
    pd.testing.assert_frame_equal(again, table, atol=1e-5)


def test_equal_steps_have_equal_values():
    model = tiny_model(MEAN_POOL)
    x, masks = sessions([10])
    for name in x:
        x[name][0, 7] = x[name][0, 2]
    table = compute_step_shapley(model, x, masks, [0], pairs=200)
    value, error = get_values(table, "shapley"), get_values(table, "shapley_error")
    assert abs(value[7] - value[2]) < 4 * np.hypot(error[7], error[2])
    few = sessions([6])
    for name in few[0]:
        few[0][name][0, 5] = few[0][name][0, 2]
    value = get_values(compute_step_shapley(model, *few, [0]), "shapley")
    assert value[5] == pytest.approx(value[2], abs=1e-5)


def test_one_pair_is_rejected():
    with pytest.raises(ValueError, match="pairs=1"):
        compute_step_shapley(tiny_model(MEAN_POOL), *sessions([3]), [0], pairs=1)


@torch.no_grad()
@pytest.mark.parametrize("fusion", [DEP_FORMER, MEAN_POOL], ids=["dep_former", "mean_pool"])
def test_modality_values_by_hand(fusion):
    model = tiny_model(fusion)
    x, masks = sessions([4, 3])
    masks["face"][1] = False
    table = compute_modality_shapley(model, x, masks)
    assert table[["row", "modality"]].to_numpy().tolist() == [
        [0, "audio"],
        [0, "face"],
        [1, "audio"],
    ]
    none = torch.zeros_like(masks["face"])
    both, audio, face = (
        model.fuse(x, masked)[0][0].item()
        for masked in (masks, {**masks, "face": none}, {**masks, "audio": none})
    )
    expected = [(audio + both - face) / 2, (face + both - audio) / 2]
    np.testing.assert_allclose(table["shapley"][:2], expected, atol=1e-5)
    alone = model.fuse(x, masks)[0][1].item()
    assert table["shapley"][2] == pytest.approx(alone, abs=1e-5)


def test_modality_without_effect_has_value_zero():
    x, masks = sessions([4])
    table = compute_modality_shapley(summing_model({"audio": 2.0, "face": 0.0}), x, masks)
    expected = [2 * x["audio"].mean(1).sum().item(), 0.0]
    assert table["shapley"].tolist() == pytest.approx(expected, abs=1e-5)


def test_score_without_modalities_is_that_of_zero_logits():
    model = tiny_model(MEAN_POOL, target="severity", output="classes", score_range=(0, 24))
    x, masks = sessions([4])
    with torch.no_grad():
        logit = model.head.logit(model.fuse(x, masks)[0]).item()
    total = compute_modality_shapley(model, x, masks)["shapley"].sum()
    assert total == pytest.approx(logit - 12, abs=1e-4)  # the middle of 0 ... 24
