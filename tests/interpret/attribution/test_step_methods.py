"""Properties that all step methods share: batches, missing modalities, scores, a linear model."""

import numpy as np
import pandas as pd
import pytest
import torch
from model_builders import FUSIONS
from removal_models import (
    DEP_FORMER,
    MEAN_POOL,
    get_values,
    kept_logit,
    sessions,
    tiny_model,
)

from depmm.interpret.attribution.explain_sessions import COMPUTE
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.removal import make_session_reference

BASELINES = [
    {"kind": kind, **settings}
    for kind, settings in FUSIONS.items()
    if kind not in ("dep_former", "mean_pool")
]


def run_method(name: str, model, x, masks, seeds: list[int]) -> pd.DataFrame:
    """Run a method with the mean of the session as reference."""
    return COMPUTE[name](model, x, masks, make_session_reference(x, masks), seeds)


@pytest.mark.parametrize("name", COMPUTE)
@pytest.mark.parametrize("fusion", [DEP_FORMER, MEAN_POOL, *BASELINES], ids=lambda f: f["kind"])
def test_attributions_do_not_depend_on_the_batch(name, fusion):
    model = tiny_model(fusion)
    alone = run_method(name, model, *sessions([9]), [7])
    batched = run_method(name, model, *sessions([4, 1, 9], padding=3), [3, 5, 7])
    assert batched["row"].unique().tolist() == [0, 2]  # the only step of a session has no row
    assert batched[batched["row"] == 2]["step"].tolist() == list(range(9))
    for column in alone.columns.drop(["row", "integrated_gradients_gap"], errors="ignore"):
        np.testing.assert_allclose(
            get_values(batched, column, 2), get_values(alone, column), atol=2e-5
        )
    assert alone[name].abs().max() > 1e-3


@pytest.mark.parametrize("name", COMPUTE)
@pytest.mark.parametrize(
    ("modalities", "fusion"),
    [(("audio",), DEP_FORMER), *((("audio", "face"), f) for f in (DEP_FORMER, *BASELINES))],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "_".join(value),
)
def test_missing_steps_and_modalities_have_no_attribution(name, modalities, fusion):
    model = tiny_model(fusion, modalities)
    x, masks = sessions([5, 5, 1], modalities)
    for mask in masks.values():
        mask[:2, 2] = False  # a step without any modality
    if len(modalities) > 1:
        masks["face"][0, 3] = False
        masks["face"][1] = False  # a session without faces
        x["face"][~masks["face"]] = torch.nan
    table = run_method(name, model, x, masks, [1, 2, 3])
    assert table[["row", "step"]].to_numpy().tolist() == [
        [row, step] for row in (0, 1) for step in (0, 1, 3, 4)
    ]
    assert table[name].notna().all()
    assert table[name].dtype == np.float64
    if len(modalities) > 1 and name != "shapley":
        missing = table[f"{name}_face"].isna().to_numpy()
        assert missing.tolist() == [False, False, True, False, True, True, True, True]
        assert table[f"{name}_audio"].notna().all()
    x, masks = sessions([1], modalities)
    empty = run_method(name, model, x, masks, [1])
    assert empty.empty
    assert set(table.columns) == set(empty.columns)


@pytest.mark.parametrize("output", ["number", "classes", "ordinal"])
def test_attributions_of_scores_sum_to_the_difference(output):
    model = tiny_model(MEAN_POOL, target="severity", output=output, score_range=(0, 24))
    x, masks = sessions([4])
    difference = kept_logit(model, x, masks, 0, {0, 1, 2, 3}) - kept_logit(
        model, x, masks, 0, set()
    )
    tables = {name: run_method(name, model, x, masks, [1]) for name in COMPUTE}
    assert get_values(tables["shapley"], "shapley").sum() == pytest.approx(difference, abs=1e-4)
    total = get_values(tables["integrated_gradients"], "integrated_gradients").sum()
    assert total == pytest.approx(difference, abs=1e-4)
    occluded = get_values(
        occlude_steps(model, x, masks, make_session_reference(x, masks)), "occlusion"
    )
    for name, table in tables.items():  # nearly linear: all methods nearly agree
        assert np.corrcoef(get_values(table, name), occluded)[0, 1] > 0.99, name


def test_methods_on_a_linear_model_by_hand():
    """A step adds w (x_i - mean) / n to a mean over n steps; all but permutation find it."""
    model = tiny_model(MEAN_POOL, ("audio",))
    x, masks = sessions([5], ("audio",))
    weight = model.fusion.output_layers["audio"][1].weight[0].detach()
    added = ((x["audio"][0] - x["audio"][0].mean(0)) @ weight).numpy() / 5
    table = {name: get_values(run_method(name, model, x, masks, [1]), name) for name in COMPUTE}
    np.testing.assert_allclose(table["integrated_gradients"], added, atol=1e-5)
    np.testing.assert_allclose(table["shapley"], added, atol=1e-5)
    occluded = get_values(
        occlude_steps(model, x, masks, make_session_reference(x, masks)), "occlusion"
    )
    np.testing.assert_allclose(occluded, added, atol=1e-5)
    np.testing.assert_allclose(table["permutation"], added * 5 / 4, atol=1e-5)
