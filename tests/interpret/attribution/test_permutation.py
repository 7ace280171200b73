"""Permutation importance within a session against sums by hand."""

import numpy as np
import pytest
from removal_models import (
    DEP_FORMER,
    MEAN_POOL,
    get_values,
    kept_logit,
    sessions,
    tiny_model,
)

from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.permutation import DONORS, permute_steps
from depmm.interpret.attribution.removal import make_session_reference


def test_values_by_hand():
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
                donated = x[name][0, donor]
                if name == "face" and donor == 2:  # missing: the mean of the other steps
                    donated = x[name][0, [0, 3]].mean(0)
                other[name][0, step] = donated
            changes.append(full - kept_logit(model, other, masks, 0, {0, 1, 2, 3}))
        column = "permutation" if len(names) == 2 else f"permutation_{names[0]}"
        value = get_values(table, column)[step]
        assert value == pytest.approx(np.mean(changes), abs=1e-5)


def test_a_modality_of_one_step_is_not_exchanged():
    model = tiny_model(DEP_FORMER)
    x, masks = sessions([4])
    masks["face"][0, 1:] = False
    table = permute_steps(model, x, masks, [1])
    assert table["permutation_face"].isna().all()
    assert table[["permutation", "permutation_audio"]].notna().all(axis=None)
    # no other step has either modality: nothing is exchanged
    masks["audio"][0] = False
    masks["audio"][0, 2] = True
    table = permute_steps(model, x, masks, [1])
    assert table["step"].tolist() == [0, 2]
    assert table.filter(like="permutation").isna().all(axis=None)


def test_donors_of_long_sessions_depend_on_the_seed():
    model = tiny_model(MEAN_POOL, ("audio",))
    x, masks = sessions([DONORS + 9], ("audio",))
    first, again, other = (
        get_values(permute_steps(model, x, masks, [seed]), "permutation") for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(again, first, atol=1e-5)
    assert (np.abs(first - other) > 1e-4).mean() > 0.9
    occluded = get_values(
        occlude_steps(model, x, masks, make_session_reference(x, masks)), "occlusion"
    )
    assert np.corrcoef(first, occluded)[0, 1] > 0.99
