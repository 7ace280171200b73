"""Shapley values of known games, of all orders, and sampled ones."""

import itertools
from math import factorial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import ShapleyValues
from removal_models import (
    DEP_FORMER,
    MEAN_POOL,
    get_values,
    kept_logit,
    sessions,
    summing_model,
    tiny_model,
    training_reference,
)

from depmm.interpret.attribution.integrated_gradients import compute_integrated_gradients
from depmm.interpret.attribution.occlusion import occlude_steps, remove_all_steps
from depmm.interpret.attribution.removal import compute_kept_logits, make_session_reference
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
    table = compute_step_shapley(model, x, masks, make_session_reference(x, masks), [1])
    np.testing.assert_allclose(get_values(table, "shapley"), gains, atol=1e-5)
    assert (table["shapley_error"] == 0).all()
    total = worth[frozenset(range(4))] - worth[frozenset()]
    assert table["shapley"].sum() == pytest.approx(total, abs=1e-5)


def test_sampled_values_are_unbiased_with_valid_errors():
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([9])
    reference = make_session_reference(x, masks)
    worth = compute_kept_logits(model, x, masks, reference, np.zeros(2**9, int), list_subsets(9))
    exact = compute_exact_values(worth)
    standard = []
    for seed in range(6):
        table = compute_step_shapley(model, x, masks, reference, [seed], pairs=12)
        assert table["shapley"].sum() == pytest.approx(worth[-1] - worth[0], abs=1e-5)
        error = get_values(table, "shapley_error")
        assert (error > 0).all()
        standard.append((get_values(table, "shapley") - exact) / error)
    # 54 deviations in units of their error (Student's t with 11 degrees: deviation 1.1)
    assert 0.6 < np.std(standard) < 1.6
    assert abs(np.mean(standard)) < 0.6
    again = compute_step_shapley(model, x, masks, reference, [5], pairs=12)
    pd.testing.assert_frame_equal(again, table, atol=1e-5)


def test_equal_steps_have_equal_values():
    model = tiny_model(MEAN_POOL)
    x, masks = sessions([10])
    for name in x:
        x[name][0, 7] = x[name][0, 2]
    table = compute_step_shapley(model, x, masks, make_session_reference(x, masks), [0], pairs=200)
    value, error = get_values(table, "shapley"), get_values(table, "shapley_error")
    # of a model that is linear in its steps, the error is that of rounding
    assert abs(value[7] - value[2]) < 4 * np.hypot(error[7], error[2]) + 1e-6
    few = sessions([6])
    for name in few[0]:
        few[0][name][0, 5] = few[0][name][0, 2]
    value = get_values(
        compute_step_shapley(model, *few, make_session_reference(*few), [0]), "shapley"
    )
    assert value[5] == pytest.approx(value[2], abs=1e-5)


def test_one_pair_is_rejected():
    x, masks = sessions([3])
    with pytest.raises(ValueError, match="pairs=1"):
        compute_step_shapley(
            tiny_model(MEAN_POOL), x, masks, make_session_reference(x, masks), [0], pairs=1
        )


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


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("outside", [True, False])
def test_exact_values_equal_those_of_captum(center, outside):
    """The same game, by the 5! permutations of captum."""
    model = tiny_model(DEP_FORMER, center=center)
    x, masks = sessions([5])
    masks["face"][0, 3] = False
    x["face"][0, 3] = 0.0  # captum cannot leave out a missing step
    reference = training_reference(x) if outside else make_session_reference(x, masks)
    names = list(x)

    def compute_logit(*inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.head.logit(model.fuse(dict(zip(names, inputs, strict=True)), masks)[0])

    step = torch.arange(5)[None, :, None]
    values = ShapleyValues(compute_logit).attribute(
        tuple(x.values()),
        baselines=tuple(reference.steps[name].contiguous() for name in names),
        feature_mask=tuple(step.expand_as(part).contiguous() for part in x.values()),
    )
    expected = values[0][0, :, 0].numpy()  # one value for all features of a step
    table = compute_step_shapley(model, x, masks, reference, [0])
    np.testing.assert_allclose(get_values(table, "shapley"), expected, atol=2e-6)
    assert np.abs(expected).min() > 1e-4


@pytest.mark.parametrize("steps", [6, 12], ids=["exact", "sampled"])
@pytest.mark.parametrize("outside", [True, False])
def test_steps_that_the_model_does_not_read_have_no_attribution(steps, outside):
    """The axioms: dummy players have the value 0, and all values sum to logit - reference."""
    model, read = tiny_model(DEP_FORMER).double(), [0, 2, 3]
    reader = SimpleNamespace(
        fuse=lambda x, masks: model.fuse(
            {name: part[:, read] for name, part in x.items()},
            {name: mask[:, read] for name, mask in masks.items()},
        ),
        head=model.head,
        parameters=model.parameters,
    )
    x, masks = sessions([steps])
    x = {name: part.double() for name, part in x.items()}
    reference = training_reference(x) if outside else make_session_reference(x, masks)
    table = compute_step_shapley(reader, x, masks, reference, [0])
    for name, values in {
        "shapley": table,
        "occlusion": occlude_steps(reader, x, masks, reference),
        "integrated_gradients": compute_integrated_gradients(reader, x, masks, reference),
    }.items():
        value = get_values(values, name)
        unread = np.delete(value, read)
        np.testing.assert_allclose(unread, np.zeros(steps - 3), atol=1e-12, err_msg=name)
        assert np.abs(value[read]).min() > 1e-3, name
    whole = remove_all_steps(reader, x, masks, reference)
    assert table["shapley"].sum() == pytest.approx(whole["all_steps"].item(), abs=1e-9)
    logit, empty = whole[["logit", "reference_logit"]].to_numpy()[0]
    assert table["shapley"].sum() == pytest.approx(logit - empty, abs=1e-9)
