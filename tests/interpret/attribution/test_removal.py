"""Logits with removed steps against means by hand; batching changes nothing."""

import numpy as np
import pandas as pd
import pytest
from removal_models import (
    DEP_FORMER,
    get_values,
    kept_logit,
    sessions,
    tiny_model,
)

from depmm.interpret.attribution.explain_sessions import COMPUTE
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.removal import compute_kept_logits, make_session_reference


@pytest.mark.parametrize("center", [True, False])
def test_removed_steps_become_the_mean_of_the_session(center):
    model = tiny_model(DEP_FORMER, center=center)
    x, masks = sessions([5, 3])
    masks["face"][0, 1] = False
    kept = [set(), {1}, {0, 3}, {0, 1, 2, 3, 4}]
    table = np.array([[step in some for step in range(5)] for some in kept])
    reference = make_session_reference(x, masks)
    logits = compute_kept_logits(model, x, masks, reference, np.zeros(4, int), table)
    by_hand = [kept_logit(model, x, masks, 0, some) for some in kept]
    np.testing.assert_allclose(logits, by_hand, atol=1e-5)
    assert len(set(logits.round(3))) >= 3
    one_removed = np.eye(5) == 0
    occluded = logits[-1] - compute_kept_logits(
        model, x, masks, reference, np.zeros(5, int), one_removed
    )
    occlusion = get_values(occlude_steps(model, x, masks, reference), "occlusion")
    np.testing.assert_allclose(occluded, occlusion, atol=1e-5)


def test_splitting_a_batch_changes_no_value(monkeypatch):
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([6])
    reference = make_session_reference(x, masks)
    whole = {name: run(model, x, masks, reference, [1]) for name, run in COMPUTE.items()}
    monkeypatch.setattr("depmm.interpret.attribution.removal.VALUES_PER_CHUNK", 6 * 1024 * 25)
    for name, run in COMPUTE.items():
        pd.testing.assert_frame_equal(run(model, x, masks, reference, [1]), whole[name], atol=1e-5)
